//! The other database: written after the rules were, by other habits, and looked at once. No rule was changed for it.

use super::made;
use super::people;
use super::sample::{Make, Table, column, table};

fn number(least: u64, most: u64) -> impl Fn(&mut made::Dice) -> Option<String> {
    move |dice| Some(dice.between(least, most).to_string())
}

/// Eighty columns and more.
pub(crate) fn held_out() -> Vec<Table> {
    let serial: Make = |_, at| Some(at.to_string());
    let truth: Make = |dice, _| Some((dice.below(3) == 0).to_string());
    let lately: Make = |dice, _| {
        Some(format!("{} 0{}:{}:11", made::day(dice, 2018, 2026), dice.below(9), dice.between(10, 59)))
    };
    let money: Make = |dice, _| Some(format!("{}.{:02}", dice.below(5000), dice.below(100)));
    vec![
        table(
            "gestion.adherents",
            280,
            vec![
                column("num_adh", "integer", "", serial),
                column("civilite", "text", "", |dice, _| Some(dice.of_list("M.|Mme").to_owned())),
                column("nom_usuel", "text", "name", |dice, _| {
                    Some(people::family(dice, true).to_uppercase())
                }),
                column("prenoms", "text", "name", |dice, _| Some(people::given(dice, true))),
                column("ddn", "date", "birth-date", |dice, _| Some(made::day(dice, 1948, 2012))),
                column("ad_mel", "text", "email", |dice, _| Some(people::email(dice, true))),
                column("tel_dom", "text", "phone", |dice, _| Some(people::phone_french(dice))),
                column("voie", "text", "address", |dice, _| {
                    Some(format!("{} allée des Tilleuls", dice.between(1, 99)))
                }),
                column("cp", "text", "postal-code", |dice, _| {
                    Some(format!("{:05}", dice.between(1000, 95_999)))
                }),
                column("commune", "text", "address", |dice, _| {
                    Some(dice.of_list("Dijon|Vézelay|Nevers|Autun|Beaune|Lyon|Sens|Mâcon|Gex").to_owned())
                }),
                column("nss", "text", "national-id", |dice, _| Some(made::nir(dice))),
                column("cotisation", "numeric", "", money),
                column("tel_verifie", "boolean", "", truth),
                column("code_section", "text", "", |dice, _| Some(format!("S{}", dice.between(10, 40)))),
                column("observ", "text", "free-text", |dice, at| {
                    Some(match at % 9 {
                        0 => format!("à rappeler au {} après 18 h", people::phone_french(dice)),
                        1 => format!("écrire plutôt à {} svp", people::email(dice, true)),
                        _ => "cotisation réglée en espèces au guichet".to_owned(),
                    })
                }),
            ],
        ),
        table(
            "dbo.\"TBL_PERS\"",
            260,
            vec![
                column("PERS_PK", "bigint", "", serial),
                column("PERS_FLD_A", "text", "name", |dice, _| {
                    Some(format!("{} {}", people::given(dice, true), people::family(dice, true)))
                }),
                column("PERS_FLD_B", "text", "national-id", |dice, _| Some(made::cpf(dice))),
                column("PERS_FLD_C", "bigint", "phone", |dice, _| {
                    Some(format!("55{}9{}", dice.between(11, 99), dice.digits(8)))
                }),
                column("PERS_TEL_RES", "text", "phone", |dice, _| {
                    Some(format!("({}) {}-{}", dice.between(11, 99), dice.digits(4), dice.digits(4)))
                }),
                column("DT_NASC", "text", "birth-date", |dice, _| {
                    let day = made::day(dice, 1942, 2006);
                    Some(format!("{}{}{}", &day[8..], &day[5..7], &day[..4]))
                }),
                column("NR_MATRICULA", "text", "", |dice, _| Some(dice.digits(8))),
                column("LOGRADOURO", "text", "address", |dice, _| {
                    Some(format!("Rua das Acácias, {}", dice.between(1, 900)))
                }),
                column("CEP", "text", "postal-code", |dice, _| {
                    Some(format!("{}-{}", dice.digits(5), dice.digits(3)))
                }),
                column("VL_RENDA", "numeric", "", money),
                column("IND_ATIVO", "char(1)", "", |dice, _| Some(dice.of_list("S|N").to_owned())),
                column("DT_ULT_EMAIL", "timestamp", "", lately),
                column("HASH_CPF", "text", "", |dice, _| Some(dice.letters("0123456789abcdef", 40))),
            ],
        ),
        table(
            "payments.ledger",
            300,
            vec![
                column("entry", "uuid", "", |dice, _| Some(made::uuid(dice))),
                column("debtor_acct", "text", "iban", |dice, _| Some(made::iban(dice).to_lowercase())),
                column("instrument", "text", "card-number", |dice, _| Some(made::card(dice))),
                column("loyalty_card", "text", "", |dice, _| Some(made::no_card(dice))),
                column("card_exp", "text", "", |dice, _| {
                    Some(format!("{:02}/{}", dice.between(1, 12), dice.between(26, 31)))
                }),
                column("card_country", "char(2)", "", |dice, _| Some(dice.of_list("US|CA|MX").to_owned())),
                column("holder", "text", "name", |dice, _| {
                    Some(
                        format!("{} {}", people::given(dice, true), people::family(dice, true))
                            .to_uppercase(),
                    )
                }),
                column("amount", "numeric", "", money),
                column("remote_ip", "text", "ip-address", |dice, _| {
                    Some(format!("2001:db8:{:x}::{:x}", dice.below(65_000), dice.below(65_000)))
                }),
                column("trace", "text", "", |dice, _| Some(dice.digits(12))),
                column("rrn", "text", "", |dice, at| {
                    Some(format!("{:012}", 426_500_000_000 + at * 37 + dice.below(20)))
                }),
                column("terminal", "text", "", |dice, _| Some(format!("T{}", dice.digits(7)))),
                column("memo_line", "text", "", |dice, _| {
                    Some(format!(
                        "Invoice {} for goods delivered in {}",
                        dice.digits(6),
                        dice.between(2020, 2026)
                    ))
                }),
                column("created", "timestamptz", "", lately),
            ],
        ),
        table(
            "support.conversations",
            240,
            vec![
                column("case_no", "text", "", |_, at| Some(format!("CS-{}", 100_000 + at))),
                column("opener", "text", "email", |dice, _| {
                    Some(format!("{} <{}>", people::given(dice, true), people::email(dice, true)))
                }),
                column("thread", "jsonb", "email", |dice, _| {
                    Some(format!(r#"[{{"from": "{}", "text": "hello"}}]"#, people::email(dice, true)))
                }),
                column("labels", "jsonb", "", |dice, _| {
                    Some(format!(r#"["{}", "p{}"]"#, dice.of_list("billing|bug|praise"), dice.between(1, 4)))
                }),
                column("callback", "text", "phone", |dice, _| {
                    (dice.below(4) > 0).then(|| people::phone_abroad(dice))
                }),
                column("transcript", "text", "free-text", |dice, _| {
                    Some(format!(
                        "Agent: hello. Client: my number is {}, please ring me.",
                        people::phone_german(dice)
                    ))
                }),
                column("msg_id", "text", "", |dice, at| {
                    Some(format!("<{at}.{}@mail.example.com>", dice.digits(6)))
                }),
                column("email_template", "text", "", |dice, _| {
                    Some(dice.of_list("welcome_v2|refund|survey").to_owned())
                }),
                column("rating", "integer", "", |dice, _| number(1, 5)(dice)),
                column("lang", "text", "", |dice, _| Some(dice.of_list("en|fr|pt|de").to_owned())),
                column("first_reply_s", "integer", "", |dice, _| number(5, 90_000)(dice)),
            ],
        ),
        table(
            "infra.hosts",
            120,
            vec![
                column("host_name", "text", "", |dice, at| {
                    Some(format!("{}-{at:03}", dice.of_list("web|db|cache")))
                }),
                column("mgmt_ip", "inet", "", |dice, _| {
                    Some(format!("10.{}.{}.{}", dice.below(9), dice.below(255), dice.below(255)))
                }),
                column("mac_address", "text", "", |dice, _| {
                    Some((0..6).map(|_| dice.letters("0123456789abcdef", 2)).collect::<Vec<_>>().join(":"))
                }),
                column("kernel", "text", "", |dice, _| {
                    Some(format!("6.{}.{}", dice.below(20), dice.below(99)))
                }),
                column("serial_no", "text", "", |dice, _| {
                    Some(format!("{}{}", dice.letters("CDFGHJ", 3), dice.digits(7)))
                }),
                column("installed", "date", "", |dice, _| Some(made::day(dice, 2009, 2026))),
            ],
        ),
        table(
            "ref.stores",
            90,
            vec![
                column("store_no", "integer", "", serial),
                column("street", "text", "", |dice, _| Some(people::street(dice, true))),
                column("zip", "text", "", |dice, _| Some(dice.digits(5))),
                column("colour", "text", "", |dice, _| {
                    Some(dice.of_list("Brown|Green|White|Rose|Amber|Gray|Black").to_owned())
                }),
                column("opened", "date", "", |dice, _| Some(made::day(dice, 1951, 2025))),
            ],
        ),
        table(
            "medical.visits",
            200,
            vec![
                column("visit", "bigint", "", serial),
                column("pat_svnr", "text", "national-id", |dice, _| Some(made::ahv(dice))),
                column("pat", "text", "name", |dice, _| {
                    Some(format!("{}, {}", people::family(dice, true), people::given(dice, true)))
                }),
                column("born", "date", "birth-date", |dice, _| Some(made::day(dice, 1931, 2020))),
                column("icd", "text", "", |dice, _| {
                    Some(format!("{}{}.{}", dice.letters("ABCEFJ", 1), dice.digits(2), dice.below(10)))
                }),
                column("room", "text", "", |dice, _| {
                    Some(format!("{}{}", dice.letters("AB", 1), dice.between(100, 320)))
                }),
                column("seen_at", "timestamptz", "", lately),
                column("next_of_kin", "text", "name", |dice, _| {
                    Some(format!("{} {}", people::given(dice, true), people::family(dice, true)))
                }),
                column("kin_mobile", "text", "phone", |dice, _| {
                    Some(format!("07{} {}", dice.between(5, 9), dice.digits(7)))
                }),
            ],
        ),
        table(
            "archiv.bewerber",
            0,
            vec![
                column("bew_nr", "integer", "", serial),
                column("familienname", "text", "name", serial),
                column("rufname", "text", "name", serial),
                column("geburtsort", "text", "address", serial),
                column("anschrift", "text", "address", serial),
                column("mailadresse", "text", "email", serial),
                column("handynr", "text", "phone", serial),
                column("email_bestaetigt", "boolean", "", serial),
                column("steuerklasse", "integer", "", serial),
                column("eingang_am", "date", "", serial),
            ],
        ),
    ]
}

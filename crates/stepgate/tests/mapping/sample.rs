//! A database of mixed and badly named columns, and the truth about each: what the scan's rules were tuned on. The other
//! is in `held_out.rs`.

use super::made::{self, Dice};
use super::people;

/// Makes the value of a row; none is null.
pub(crate) type Make = fn(&mut Dice, u64) -> Option<String>;

pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
    /// What it holds; nothing where it is nobody's.
    pub(crate) label: &'static str,
    pub(crate) make: Make,
}

pub(crate) struct Table {
    /// As SQL writes it.
    pub(crate) name: &'static str,
    pub(crate) rows: u64,
    pub(crate) columns: Vec<Column>,
}

pub(crate) fn column(name: &'static str, sql: &'static str, label: &'static str, make: Make) -> Column {
    Column { name, sql, label, make }
}

pub(crate) fn table(name: &'static str, rows: u64, columns: Vec<Column>) -> Table {
    Table { name, rows, columns }
}

fn serial(_: &mut Dice, at: u64) -> Option<String> {
    Some(at.to_string())
}
fn moment(dice: &mut Dice, _: u64) -> Option<String> {
    Some(format!("{} {:02}:{:02}:07", made::day(dice, 2019, 2026), dice.below(24), dice.below(60)))
}
fn lately(dice: &mut Dice, _: u64) -> Option<String> {
    Some(made::day(dice, 2016, 2026))
}
fn truth(dice: &mut Dice, _: u64) -> Option<String> {
    Some((dice.below(2) == 0).to_string())
}
fn amount(dice: &mut Dice, _: u64) -> Option<String> {
    Some(format!("{}.{:02}", dice.below(9000), dice.below(100)))
}
fn small(dice: &mut Dice, _: u64) -> Option<String> {
    Some(dice.below(12).to_string())
}
fn hash(dice: &mut Dice, _: u64) -> Option<String> {
    Some(dice.letters("0123456789abcdef", 64))
}
fn uuid(dice: &mut Dice, _: u64) -> Option<String> {
    Some(made::uuid(dice))
}
fn status(dice: &mut Dice, _: u64) -> Option<String> {
    Some(dice.of_list("open|paid|shipped|cancelled|pending").to_owned())
}
fn product(dice: &mut Dice, _: u64) -> Option<String> {
    let (a, b) = (
        dice.of_list("Blue|Solid|Ergonomic|Vintage|Compact|Organic"),
        dice.of_list("Lamp|Chair|Kettle|Drill|Bicycle"),
    );
    Some(format!("{a} {b} {}", dice.between(10, 99)))
}
fn firm(dice: &mut Dice, _: u64) -> Option<String> {
    let name = people::family(dice, false);
    Some(format!("{name} {}", dice.of_list("GmbH|Ltd|SARL|& Sons|Inc|Group")))
}
fn address(dice: &mut Dice, rare: bool) -> Option<String> {
    Some(format!("{}, {} {}", people::street(dice, rare), dice.digits(5), people::town(dice, rare)))
}

fn remark(dice: &mut Dice, rare: bool) -> Option<String> {
    let plain = "Wants delivery on Fridays only, rang twice|Hat reklamiert und bekommt einen Gutschein|Le colis est arrivé en retard";
    Some(match dice.below(6) {
        0 => format!("Please answer to {} and not by letter", people::email(dice, rare)),
        1 => format!("Rückruf erbeten unter {} am Abend", people::phone_german(dice)),
        2 => return None,
        _ => dice.of_list(plain).to_owned(),
    })
}

/// What the rules were tuned on.
pub(crate) fn tuning() -> Vec<Table> {
    let given: Make = |dice, _| Some(people::given(dice, false));
    let family: Make = |dice, _| Some(people::family(dice, false));
    let full: Make =
        |dice, _| Some(format!("{} {}", people::given(dice, false), people::family(dice, false)));
    let email: Make = |dice, _| Some(people::email(dice, false));
    let born: Make = |dice, _| Some(made::day(dice, 1938, 2006));
    vec![
        table(
            "crm.kunden",
            300,
            vec![
                column("kdnr", "integer", "", serial),
                column("vname", "text", "name", given),
                column("nname", "text", "name", family),
                column("geb_dat", "date", "birth-date", born),
                column("strasse", "text", "address", |dice, _| Some(people::street(dice, false))),
                column("plz", "varchar(5)", "postal-code", |dice, _| {
                    Some(format!("{}{}", dice.between(1, 9), dice.digits(4)))
                }),
                column("ort", "text", "address", |dice, _| Some(people::town(dice, false))),
                column("tel", "text", "phone", |dice, _| Some(people::phone_german(dice))),
                column("x_mail", "text", "email", |dice, _| {
                    (dice.below(5) > 0).then(|| people::email(dice, false))
                }),
                column("stnr", "char(11)", "national-id", |dice, _| Some(made::steuer_id(dice))),
                column("bemerkung", "text", "free-text", |dice, _| remark(dice, false)),
                column("umsatz", "numeric", "", amount),
                column("kd_seit", "date", "", lately),
                column("newsletter_optin", "boolean", "", truth),
                column("kundennr_alt", "text", "", |_, at| Some(format!("K-{at:06}"))),
            ],
        ),
        table(
            "public.t_0815",
            400,
            vec![
                column("c1", "uuid", "", uuid),
                column("c2", "text", "email", email),
                column("c3", "text", "name", full),
                column("c4", "text", "iban", |dice, _| Some(made::iban(dice))),
                column("c5", "text", "card-number", |dice, _| Some(made::card(dice))),
                column("c6", "bigint", "", |dice, _| Some(made::no_card(dice))),
                column("c7", "text", "phone", |dice, _| Some(people::phone_abroad(dice))),
                column("c8", "date", "birth-date", born),
                column("c9", "timestamptz", "", moment),
                column("c10", "integer", "", |dice, _| Some(dice.below(100_000).to_string())),
                column("c11", "text", "", status),
                column("c12", "text", "", hash),
                column("c13", "text", "ssn", |dice, _| Some(made::ssn(dice))),
                column("c14", "text", "", |dice, at| {
                    Some(format!("49{:08}", 30_000_000 + at * 17 + dice.below(9)))
                }),
                column("c15", "inet", "ip-address", |dice, _| {
                    Some(format!("203.0.{}.{}", dice.below(255), dice.below(255)))
                }),
                column("c16", "text", "", product),
            ],
        ),
        table(
            "facturation.clients",
            250,
            vec![
                column("id_client", "integer", "", serial),
                column("nom", "text", "name", family),
                column("prenom", "text", "name", given),
                column("courriel", "text", "email", email),
                column("num_secu", "text", "national-id", |dice, _| Some(made::nir(dice))),
                column("portable", "text", "phone", |dice, _| Some(people::phone_french(dice))),
                column("adresse", "text", "address", |dice, _| address(dice, false)),
                column("code_postal", "char(5)", "postal-code", |dice, _| Some(dice.digits(5))),
                column("naissance", "text", "birth-date", |dice, _| {
                    let day = made::day(dice, 1940, 2005);
                    Some(format!("{}/{}/{}", &day[8..], &day[5..7], &day[..4]))
                }),
                column("rib", "text", "iban", |dice, _| Some(made::iban_in_groups(dice))),
                column("montant_du", "numeric", "", amount),
                column("nb_commandes", "integer", "", small),
                column("email_envoye_le", "timestamp", "", moment),
            ],
        ),
        table(
            "shop.orders",
            400,
            vec![
                column("order_no", "text", "", |dice, at| {
                    Some(format!("0{}-{:07}", dice.between(300, 303), 2_000_000 + at))
                }),
                column("customer_email", "text", "email", email),
                column("phone_verified", "boolean", "", truth),
                column("email_sent_at", "timestamptz", "", moment),
                column("card_count", "bigint", "", small),
                column("card_last4", "text", "", |dice, _| Some(dice.digits(4))),
                column("ssn_hash", "text", "", hash),
                column("total", "numeric", "", amount),
                column("tracking_no", "text", "", |dice, _| Some(format!("1Z{}", dice.digits(16)))),
                column("ship_to", "text", "address", |dice, _| address(dice, false)),
                column("hint", "text", "", |dice, _| {
                    Some(dice.of_list("leave at the door please|ring twice, then wait a while|no signature is needed here").to_owned())
                }),
                column("seller", "text", "", firm),
                column("placed_on", "date", "", lately),
            ],
        ),
        table(
            "app.events",
            300,
            vec![
                column("id", "bigint", "", serial),
                column("payload", "jsonb", "email", |dice, at| {
                    Some(format!(
                        r#"{{"n": {at}, "actor": {{"mail": "{}"}}, "ok": true}}"#,
                        people::email(dice, false)
                    ))
                }),
                column("meta", "jsonb", "", |dice, at| {
                    Some(format!(
                        r#"{{"n": {at}, "region": "eu-{}", "ms": {}}}"#,
                        dice.between(1, 3),
                        dice.below(900)
                    ))
                }),
                column("tags", "text[]", "", |dice, _| {
                    Some(format!("{{{},{}}}", dice.of_list("red|blue|new"), dice.of_list("hot|cold")))
                }),
                column("rcpt", "text[]", "email", |dice, _| {
                    Some(format!("{{{},{}}}", people::email(dice, false), people::email(dice, false)))
                }),
                column("raw", "bytea", "phone", |dice, _| {
                    let text = people::phone_abroad(dice);
                    Some(format!("\\x{}", text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>()))
                }),
                column("sig", "bytea", "", |dice, _| Some(format!("\\x{}", dice.letters("89abcdef", 64)))),
                column("path", "text", "", |dice, _| {
                    Some(format!("/v1/{}/{}", dice.of_list("items|carts|search"), dice.below(999)))
                }),
            ],
        ),
        table(
            "ref.products",
            200,
            vec![
                column("sku", "text", "", |dice, _| {
                    Some(format!("{}-{}", dice.letters("ABCDEF", 3), dice.digits(5)))
                }),
                column("name", "text", "", product),
                column("ean", "text", "", |dice, _| Some(format!("40{}", dice.digits(11)))),
                column("released", "date", "", |dice, _| Some(made::day(dice, 1995, 2026))),
                column("description", "text", "", |dice, _| {
                    Some(format!(
                        "A {} thing for the house, made in {}",
                        dice.of_list("sturdy|light|quiet"),
                        dice.between(1990, 2025)
                    ))
                }),
            ],
        ),
        table(
            "legacy.personen",
            0,
            vec![
                column("pid", "integer", "", serial),
                column("vorname", "text", "name", serial),
                column("nachname", "text", "name", serial),
                column("geburtsdatum", "date", "birth-date", serial),
                column("email", "text", "email", serial),
                column("email_verified_at", "timestamptz", "", serial),
                column("telefon", "text", "phone", serial),
                column("telefon_typ", "text", "", serial),
                column("angelegt_am", "timestamptz", "", serial),
            ],
        ),
    ]
}

/// More of it, which the rules were first tried on.
pub(crate) fn tuning_too() -> Vec<Table> {
    let given: Make = |dice, _| Some(people::given(dice, true));
    let family: Make = |dice, _| Some(people::family(dice, true));
    vec![
        table(
            "hr.medewerkers",
            260,
            vec![
                column("mwnr", "integer", "", serial),
                column("voornaam", "text", "name", given),
                column("achternaam", "text", "name", family),
                column("gebdat", "timestamp", "birth-date", |dice, _| Some(made::day(dice, 1959, 2004))),
                column("sofi", "integer", "national-id", |dice, _| Some(made::bsn(dice))),
                column("rekening", "text", "iban", |dice, _| Some(made::iban(dice))),
                column("telefoonnr", "text", "phone", |dice, _| Some(people::phone_abroad(dice))),
                column("straat", "text", "address", |dice, _| Some(people::street(dice, true))),
                column("postcode", "text", "postal-code", |dice, _| {
                    Some(format!("{} {}", dice.between(1011, 9999), dice.letters("ABCDEGHJKLMN", 2)))
                }),
                column("woonplaats", "text", "address", |dice, _| Some(people::town(dice, true))),
                column("functie", "text", "", |dice, _| {
                    Some(dice.of_list("monteur|planner|inkoper|adviseur|chauffeur").to_owned())
                }),
                column("in_dienst", "date", "", lately),
                column("verlof_uren", "integer", "", small),
            ],
        ),
        table(
            "ventas.tbl_cli",
            350,
            vec![
                column("fld_01", "bigint", "", serial),
                column("fld_02", "text", "name", |dice, _| {
                    Some(format!("{}, {}", people::family(dice, true), people::given(dice, true)))
                }),
                column("fld_03", "text", "national-id", |dice, _| Some(made::dni(dice))),
                column("fld_04", "text", "email", |dice, _| {
                    (dice.below(3) > 0).then(|| people::email(dice, true))
                }),
                column("fld_05", "text", "phone", |dice, _| {
                    Some(format!("6{} {} {}", dice.digits(2), dice.digits(3), dice.digits(3)))
                }),
                column("fld_06", "text", "address", |dice, _| address(dice, true)),
                column("fld_07", "date", "birth-date", |dice, _| Some(made::day(dice, 1945, 2005))),
                column("fld_08", "date", "", lately),
                column("fld_09", "text", "iban", |dice, _| Some(made::iban(dice))),
                column("fld_10", "text", "card-number", |dice, _| Some(made::card_in_groups(dice))),
                column("fld_11", "text", "", |dice, _| Some(made::no_card(dice))),
                column("fld_12", "numeric", "", amount),
                column("fld_13", "text", "", status),
                column("fld_14", "text", "", product),
                column("fld_15", "text", "", uuid),
                column("fld_16", "text", "free-text", |dice, _| remark(dice, true)),
                column("fld_17", "integer", "", |dice, _| {
                    Some(dice.between(1_600_000_000, 1_790_000_000).to_string())
                }),
            ],
        ),
        table(
            "public.\"Patient Records\"",
            220,
            vec![
                column("Record No", "integer", "", serial),
                column("NHS No", "bigint", "national-id", |dice, _| Some(made::nhs(dice))),
                column("D.O.B.", "date", "birth-date", |dice, _| Some(made::day(dice, 1930, 2024))),
                column("Surname", "text", "name", family),
                column("Given Name", "text", "name", given),
                column("Contact Tel", "text", "phone", |dice, _| {
                    Some(format!("01{} {}", dice.digits(3), dice.digits(6)))
                }),
                column("Post Code", "text", "postal-code", |dice, _| {
                    Some(format!(
                        "{}{} {}{}",
                        dice.letters("BCDELMNPRST", 2),
                        dice.between(1, 20),
                        dice.below(10),
                        dice.letters("ABDEFGH", 2)
                    ))
                }),
                column("NI", "text", "national-id", |dice, _| Some(made::nino(dice))),
                column("Ward", "text", "", |dice, _| Some(format!("Ward {}", dice.between(1, 14)))),
                column("Admitted", "timestamp", "", moment),
                column("Phone Consent", "boolean", "", truth),
                column("Case Code", "text", "", |dice, _| {
                    Some(format!("{}{}.{}", dice.letters("ABCEJK", 1), dice.digits(2), dice.below(10)))
                }),
            ],
        ),
        table(
            "billing.txn",
            380,
            vec![
                column("txn_id", "bigint", "", |dice, _| Some(format!("7{}", dice.digits(15)))),
                column("pan", "text", "card-number", |dice, _| Some(made::card(dice))),
                column("pan_masked", "text", "", |dice, _| {
                    Some(format!("**** **** **** {}", dice.digits(4)))
                }),
                column("card_brand", "text", "", |dice, _| {
                    Some(dice.of_list("visa|mastercard|amex").to_owned())
                }),
                column("iban_country", "char(2)", "", |dice, _| Some(dice.of_list("DE|FR|NL|ES").to_owned())),
                column("merchant", "text", "", firm),
                column("auth_code", "text", "", |dice, _| Some(dice.digits(6))),
                column("amt", "numeric", "", amount),
                column("invoice_ref", "text", "", |dice, at| {
                    Some(format!("20{}-{:06}", dice.between(24, 26), at))
                }),
                column("phone_order", "boolean", "", truth),
                column("payer", "text", "name", |dice, _| {
                    Some(format!("{} {}", people::given(dice, true), people::family(dice, true)))
                }),
                column("settled", "date", "", lately),
                column("batch", "text", "", |dice, at| {
                    Some(format!("{:010}", 5_550_000_000 + at * 3 + dice.below(2)))
                }),
            ],
        ),
        table(
            "log.access",
            320,
            vec![
                column("src", "text", "ip-address", |dice, _| {
                    Some(format!(
                        "{}.{}.{}.{}",
                        dice.between(80, 223),
                        dice.below(255),
                        dice.below(255),
                        dice.below(255)
                    ))
                }),
                column("usr", "text", "username", |dice, _| Some(people::login(dice, true))),
                column("ua", "text", "", |dice, _| {
                    Some(format!("Mozilla/5.0 (X11; Linux x86_64) Firefox/{}.0", dice.between(90, 140)))
                }),
                column("ts", "timestamptz", "", moment),
                column("app_version", "text", "", |dice, _| {
                    Some(format!(
                        "{}.{}.{}.{}",
                        dice.between(1, 4),
                        dice.below(20),
                        dice.below(9),
                        dice.below(99)
                    ))
                }),
                column("msg", "text", "free-text", |dice, at| {
                    Some(match dice.below(5) {
                        0 => format!(
                            "login of {} failed after {at} ms, account locked",
                            people::email(dice, true)
                        ),
                        _ => format!("request {at} was served from the cache in {} ms", dice.below(80)),
                    })
                }),
                column("req", "uuid", "", uuid),
                column("ms", "integer", "", |dice, _| Some(dice.below(4000).to_string())),
            ],
        ),
        table(
            "web.profiles",
            240,
            vec![
                column("doc", "jsonb", "phone", |dice, at| {
                    Some(format!(
                        r#"{{"id": {at}, "reach": [{{"kind": "m", "v": "{}"}}]}}"#,
                        people::phone_abroad(dice)
                    ))
                }),
                column("handle", "text", "username", |dice, _| Some(people::login(dice, true))),
                column("dob", "text", "birth-date", |dice, _| {
                    let day = made::day(dice, 1950, 2008);
                    Some(format!("{}.{}.{}", &day[8..], &day[5..7], &day[..4]))
                }),
                column("avatar", "text", "", |dice, _| {
                    Some(format!("https://cdn.example.com/a/{}.png", dice.letters("0123456789abcdef", 20)))
                }),
                column("blob", "text", "email", |dice, _| {
                    // Base64, as programs hide things from themselves.
                    let text = people::email(dice, true);
                    Some(data_encoding::BASE64.encode(text.as_bytes()))
                }),
                column("locale", "text", "", |dice, _| {
                    Some(dice.of_list("en_US|de_DE|fr_FR|nl_NL").to_owned())
                }),
                column("email_count", "integer", "", small),
                column("joined", "timestamptz", "", moment),
                column("theme", "text", "", |dice, _| Some(dice.of_list("dark|light|auto").to_owned())),
            ],
        ),
        table(
            "public.misc",
            300,
            vec![
                column("a", "text", "national-id", |dice, _| Some(made::pesel(dice))),
                column("b", "text", "national-id", |dice, _| Some(made::cpf(dice))),
                column("c", "text", "national-id", |dice, _| Some(made::personnummer(dice))),
                column("d", "text", "national-id", |dice, _| Some(made::ahv(dice))),
                column("e", "integer", "national-id", |dice, _| Some(made::sin(dice))),
                column("f", "text", "national-id", |dice, _| Some(made::tfn(dice))),
                column("g", "text", "national-id", |dice, _| Some(made::hetu(dice))),
                column("ssn", "integer", "ssn", |dice, _| Some(made::ssn_bare(dice))),
                column("h", "integer", "", |dice, at| {
                    Some((100_000_000 + at * 7 + dice.below(3)).to_string())
                }),
                column("i", "bigint", "", |dice, _| Some(format!("1{}", dice.digits(12)))),
                column("j", "text", "", |dice, _| Some(dice.digits(11))),
                column("k", "text", "", |dice, _| Some(dice.digits(9))),
                column("l", "text", "phone", |dice, _| Some(people::phone_american(dice))),
                column("m", "text", "", |dice, _| Some(format!("{}-{}", dice.digits(4), dice.digits(4)))),
            ],
        ),
        table(
            "archive.old_members",
            0,
            vec![
                column("member_no", "integer", "", serial),
                column("fname", "text", "name", serial),
                column("lname", "text", "name", serial),
                column("mail", "text", "email", serial),
                column("mail_count", "integer", "", serial),
                column("phone1", "text", "phone", serial),
                column("phone_type", "text", "", serial),
                column("adres", "text", "address", serial),
                column("dt_nasc", "date", "birth-date", serial),
                column("codigo_postal", "text", "postal-code", serial),
                column("created_by", "text", "", serial),
                column("last_login", "timestamptz", "", serial),
            ],
        ),
    ]
}

/// SQL that makes these tables and fills them.
pub(crate) fn sql(tables: &[Table], seed: u64) -> String {
    let mut text = String::new();
    for (at, Table { name, rows, columns }) in tables.iter().enumerate() {
        let mut dice = Dice::of(seed + at as u64 * 7919);
        let schema = name.split('.').next().unwrap();
        let list: Vec<String> =
            columns.iter().map(|column| format!("\"{}\" {}", column.name, column.sql)).collect();
        text.push_str(&format!(
            "create schema if not exists {schema};\ncreate table {name} ({});\n",
            list.join(", ")
        ));
        if *rows > 0 {
            text.push_str(&format!("copy {name} from stdin;\n"));
            for row in 1..=*rows {
                let cells: Vec<String> = columns
                    .iter()
                    .map(|column| {
                        (column.make)(&mut dice, row)
                            .map_or("\\N".to_owned(), |cell| cell.replace('\\', "\\\\"))
                    })
                    .collect();
                text.push_str(&format!("{}\n", cells.join("\t")));
            }
            text.push_str("\\.\n");
        }
        text.push_str(&format!("analyze {name};\n"));
    }
    text
}

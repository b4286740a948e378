//! The other half of the odd database, looked at only once the rules had been mended by the first.

use super::made;
use super::odd::{LOREM, MOMENT, MONEY, SERIAL};
use super::odd_made as odd;
use super::people;
use super::sample::{Table, column, table};

/// Some sixty columns.
pub(crate) fn odd_too() -> Vec<Table> {
    let mut tables = people();
    tables.extend(things());
    tables
}

fn people() -> Vec<Table> {
    vec![
        table(
            "zz.medlem",
            210,
            vec![
                column("mnr", "integer", "", SERIAL),
                column("fnamn", "text", "name", |dice, _| Some(dice.of_list(odd::GIVEN).to_owned())),
                column("enamn", "text", "name", |dice, _| Some(dice.of_list(odd::FAMILY).to_owned())),
                column("p_id", "text", "national-id", |dice, _| Some(made::personnummer(dice))),
                column("epostadr", "text", "email", |dice, _| Some(odd::email(dice))),
                column("mob_nr", "text", "phone", |dice, _| {
                    Some(format!(
                        "07{}-{} {} {}",
                        dice.below(10),
                        dice.digits(3),
                        dice.digits(2),
                        dice.digits(2)
                    ))
                }),
                column("gatuadr", "text", "address", |dice, _| {
                    Some(format!(
                        "{} {}",
                        dice.of_list("Storgatan|Kyrkvägen|Björkstigen|Hamntorget"),
                        dice.between(1, 90)
                    ))
                }),
                column("pnr", "text", "postal-code", |dice, _| {
                    Some(format!("{} {}", dice.between(100, 980), dice.between(10, 99)))
                }),
                column("inskr", "date", "", |dice, _| Some(made::day(dice, 1999, 2026))),
            ],
        ),
        table(
            "zz.t1",
            250,
            vec![
                column("a", "text", "national-id", |dice, _| Some(odd::jmbg(dice))),
                column("b", "bigint", "national-id", |dice, _| Some(odd::cnp(dice))),
                column("c", "text", "national-id", |dice, _| Some(odd::cpr(dice))),
                column("d", "text", "national-id", |dice, _| Some(made::nhs(dice))),
                column("e", "text", "national-id", |dice, _| Some(odd::masked_cpf(dice))),
                column("f", "text", "name", |dice, _| {
                    Some(format!(
                        "{} {}",
                        dice.of_list(odd::FAMILY).to_uppercase(),
                        dice.letters("ABDEJKM", 1)
                    ))
                }),
                column("g", "text", "phone", |dice, _| Some(odd::brazilian_phone(dice))),
                column("h", "text", "phone", |dice, _| Some(odd::russian_phone(dice))),
                column("i", "text", "phone", |dice, _| Some(odd::italian_phone(dice))),
                column("j", "text", "", |dice, at| {
                    Some(format!(
                        "{:02}{:02}{:02}-{:04}",
                        dice.between(22, 26),
                        dice.between(1, 12),
                        dice.between(1, 28),
                        at
                    ))
                }),
                column("k", "text", "", |dice, _| Some(odd::gtin(dice, "978", 13))),
                column("l", "text", "", |dice, _| Some(format!("DE{}", dice.digits(9)))),
                column("m", "text", "", |dice, _| Some(dice.letters("0123456789ABCDEF", 32))),
                column("n", "text", "", |dice, _| Some(dice.of_list(LOREM).to_owned())),
            ],
        ),
        table(
            "zz.hr_ee",
            190,
            vec![
                column("ee_no", "integer", "", SERIAL),
                column("ee_nm", "text", "name", |dice, _| Some(odd::full(dice))),
                column("dob_txt", "text", "birth-date", |dice, _| Some(odd::english_day(dice))),
                column("hire_dt", "date", "", |dice, _| Some(made::day(dice, 1985, 2010))),
                column("mgr_nm", "text", "name", |dice, _| Some(odd::full(dice))),
                column("home_ph", "text", "phone", |dice, _| Some(people::phone_american(dice))),
                column("work_ml", "text", "email", |dice, _| Some(odd::email(dice))),
                column("soc", "text", "ssn", |dice, _| Some(made::ssn(dice).replace('-', " "))),
                column("sec_soc", "text", "ssn", |dice, _| Some(odd::masked_ssn(dice))),
                column("emg_ctc", "text", "name", |dice, _| Some(odd::full(dice))),
                column("cc_tail", "text", "", |dice, _| Some(dice.digits(4))),
                column("dept", "text", "", |dice, _| Some(dice.of_list("Legal|Sales|Research").to_owned())),
            ],
        ),
        table(
            "zz.kv",
            320,
            vec![
                column("k", "text", "", |dice, _| Some(dice.of_list("theme|mail|limit|seen").to_owned())),
                column("v", "text", "email", |dice, _| {
                    Some(match dice.below(4) {
                        0 => odd::email(dice),
                        1 => "dark".to_owned(),
                        2 => dice.digits(3),
                        _ => made::day(dice, 2024, 2026),
                    })
                }),
                column("note", "text", "free-text", |dice, at| {
                    Some(match at % 15 {
                        0 => format!("Mrs {} called, wants the old tariff back", dice.of_list(odd::FAMILY)),
                        1 => format!("card {} was declined at the till", made::card_in_groups(dice)),
                        _ => "customer was sent the usual leaflet again".to_owned(),
                    })
                }),
                column("upd", "timestamptz", "", MOMENT),
            ],
        ),
    ]
}

fn things() -> Vec<Table> {
    vec![
        table(
            "zz.hits",
            240,
            vec![
                column("cl", "text", "ip-address", |dice, _| {
                    Some(format!(
                        "{}.{}.{}.{}",
                        dice.between(24, 220),
                        dice.below(255),
                        dice.below(255),
                        dice.between(1, 254)
                    ))
                }),
                column("path", "text", "", |dice, _| Some(format!("/shop/item/{}", dice.digits(5)))),
                column("st", "integer", "", |dice, _| Some(dice.of_list("200|301|404").to_owned())),
                column("rt", "numeric", "", MONEY),
                column("rel", "text", "", |dice, _| {
                    Some(format!("{}.{}.{}", dice.below(9), dice.below(40), dice.below(99)))
                }),
            ],
        ),
        table(
            "zz.teile",
            200,
            vec![
                column("nr", "bigint", "", |dice, _| {
                    Some(dice.between(1_000_000_000, 9_999_999_999).to_string())
                }),
                column("bez", "text", "", |dice, _| {
                    Some(format!(
                        "{} M{}",
                        dice.of_list("Schraube|Mutter|Scheibe|Bolzen"),
                        dice.between(3, 24)
                    ))
                }),
                column("lagerort", "text", "", |dice, _| {
                    Some(format!("R{}-{}", dice.between(1, 40), dice.between(1, 9)))
                }),
                column("rev", "text", "", |dice, _| {
                    Some(format!(
                        "{}.{}.{}.{}",
                        dice.between(6, 11),
                        dice.below(5),
                        dice.below(20),
                        dice.below(250)
                    ))
                }),
                column("bj", "date", "", |dice, _| Some(made::day(dice, 1979, 2019))),
                column("herst", "text", "", |dice, _| {
                    Some(dice.of_list("Bosch|Siemens|Weber GmbH|Festo").to_owned())
                }),
                column("upc", "bigint", "", |dice, _| Some(odd::gtin(dice, "7", 12))),
                column("vpe", "smallint", "", |dice, _| Some(dice.between(1, 100).to_string())),
            ],
        ),
        table(
            "zz.router",
            90,
            vec![
                column("addr", "inet", "", |dice, _| Some(format!("203.0.113.{}", dice.between(1, 254)))),
                column("peer", "text", "", |dice, _| Some(format!("198.51.100.{}", dice.between(1, 254)))),
                column("asn", "integer", "", |dice, _| Some(dice.between(1000, 64_000).to_string())),
            ],
        ),
    ]
}

//! Values for the odd databases: people, streets and dates of other habits than those that rules were tuned on.

use super::made::{self, Dice};

pub(crate) const GIVEN: &str = "Magdalena|Wojciech|Ewelina|Zofia|Tadeusz|Hannelore|Detlef|Gudrun|Uwe|Silke|Océane|Thibault|\
    Mathilde|Gaëlle|Yves|Rocío|Álvaro|Inmaculada|Iker|Nuria|Chiara|Matteo|Saoirse|Declan|Priya|Arjun|Yusuf|Aylin|Dmitri|\
    Olga|Stephanie|Gregory|Tiffany|Denise|Sven|Åsa|Mikkel|Päivi|Jarosław|Eszter";
pub(crate) const FAMILY: &str = "Wiśniewska|Dąbrowski|Zając|Krawczyk|Hoffmann|Schulz|Krüger|Lehmann|Baumgartner|Lefebvre|Girard|\
    Bonnet|Chevalier|Ortega|Castillo|Ibáñez|Navarro|Esposito|Colombo|Gallagher|Murphy|Patel|Sharma|Yılmaz|Ivanova|\
    Thompson|Henderson|Robinson|Bergström|Nørgaard|Mäkinen|Szabó|Etxeberria|Quackenbush|Vandevelde|Osei";

pub(crate) fn full(dice: &mut Dice) -> String {
    format!("{} {}", dice.of_list(GIVEN), dice.of_list(FAMILY))
}

/// Letters of it that stand in addresses of mail.
fn plain(text: &str) -> String {
    text.to_lowercase().chars().filter(char::is_ascii_alphabetic).collect()
}

pub(crate) fn email(dice: &mut Dice) -> String {
    let (given, family) = (plain(dice.of_list(GIVEN)), plain(dice.of_list(FAMILY)));
    let domain = dice.of_list("post.example|web.example.de|mail.example.pl|example.fr|correo.example.es");
    match dice.below(3) {
        0 => format!("{given}.{family}@{domain}"),
        1 => format!("{family}{}@{domain}", dice.below(90)),
        _ => format!("{given}_{family}@{domain}"),
    }
}

/// Mixed as people type it.
pub(crate) fn german_phone(dice: &mut Dice) -> String {
    match dice.below(4) {
        0 => format!("0{} / {}", dice.between(30, 911), dice.digits(6)),
        1 => format!("+49 (0){} {}-{}", dice.between(30, 911), dice.digits(5), dice.digits(2)),
        2 => format!("0{} {} {}", dice.between(151, 179), dice.digits(3), dice.digits(4)),
        _ => format!("0049{}{}", dice.between(151, 179), dice.digits(7)),
    }
}

pub(crate) fn triples(dice: &mut Dice) -> String {
    format!("{}{} {} {}", dice.between(5, 7), dice.digits(2), dice.digits(3), dice.digits(3))
}

pub(crate) fn russian_phone(dice: &mut Dice) -> String {
    format!("8 ({}) {}-{}-{}", dice.between(901, 989), dice.digits(3), dice.digits(2), dice.digits(2))
}

pub(crate) fn brazilian_phone(dice: &mut Dice) -> String {
    format!("({}) 9{}-{}", dice.between(11, 99), dice.digits(4), dice.digits(4))
}

pub(crate) fn italian_phone(dice: &mut Dice) -> String {
    format!("3{}{} {}", dice.between(2, 9), dice.digits(1), dice.digits(7))
}

pub(crate) fn german_street(dice: &mut Dice) -> String {
    let street = dice.of_list("Goethestr.|Am Mühlbach|Bahnhofstraße|Kirchweg|Lindenallee|Rosengasse");
    format!("{street} {}", dice.between(1, 120))
}

pub(crate) fn french_street(dice: &mut Dice) -> String {
    let street = dice.of_list("rue des Lilas|bd Voltaire|impasse du Moulin|avenue Foch|quai de la Loire");
    format!("{} {street}", dice.between(1, 99))
}

pub(crate) fn spanish_street(dice: &mut Dice) -> String {
    let street = dice.of_list("C/ Mayor|Avda. de la Constitución|Plaza del Carmen|Paseo Marítimo");
    format!("{street} {}, {}º{}", dice.between(1, 90), dice.between(1, 7), dice.letters("ABCD", 1))
}

pub(crate) fn polish_street(dice: &mut Dice) -> String {
    let street = dice.of_list("Długa|Kościuszki|Słoneczna|3 Maja|Mickiewicza");
    format!("ul. {street} {} m. {}", dice.between(1, 80), dice.between(1, 40))
}

/// `12.03.75`.
pub(crate) fn short_day(dice: &mut Dice) -> String {
    let day = made::day(dice, 1941, 2005);
    format!("{}.{}.{}", &day[8..], &day[5..7], &day[2..4])
}

/// `3 de marzo de 1975`.
pub(crate) fn spanish_day(dice: &mut Dice) -> String {
    let month =
        dice.of_list("enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre");
    format!("{} de {month} de {}", dice.between(1, 28), dice.between(1944, 2004))
}

/// `12-Mar-1975`.
pub(crate) fn english_day(dice: &mut Dice) -> String {
    let month = dice.of_list("Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec");
    format!("{:02}-{month}-{}", dice.between(1, 28), dice.between(1944, 2004))
}

pub(crate) fn digits_of(text: &str) -> Vec<u64> {
    text.chars().filter_map(|letter| letter.to_digit(10)).map(u64::from).collect()
}

fn sum(text: &str, weights: &[u64]) -> u64 {
    digits_of(text).iter().zip(weights).map(|(digit, weight)| digit * weight).sum()
}

/// EAN-13, or UPC-A with a leading zero: 12 or 13 digits of a thing.
pub(crate) fn gtin(dice: &mut Dice, lead: &str, length: usize) -> String {
    let body = format!("{lead}{}", dice.digits(length - 1 - lead.len()));
    let sum: u64 = digits_of(&body)
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| if at % 2 == 0 { digit * 3 } else { *digit })
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

fn birth(dice: &mut Dice) -> (String, String, String) {
    let day = made::day(dice, 1941, 1999);
    (day[8..].to_owned(), day[5..7].to_owned(), day[2..4].to_owned())
}

pub(crate) fn jmbg(dice: &mut Dice) -> String {
    loop {
        let (day, month, year) = birth(dice);
        let body = format!("{day}{month}9{year}{}{}", dice.between(10, 96), dice.digits(3));
        let check = 11 - sum(&body, &[7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
        if check != 10 {
            return format!("{body}{}", if check == 11 { 0 } else { check });
        }
    }
}

pub(crate) fn cnp(dice: &mut Dice) -> String {
    let (day, month, year) = birth(dice);
    let body =
        format!("{}{year}{month}{day}{:02}{}", dice.between(1, 2), dice.between(1, 46), dice.digits(3));
    let check = sum(&body, &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11;
    format!("{body}{}", if check == 10 { 1 } else { check })
}

pub(crate) fn cpr(dice: &mut Dice) -> String {
    let (day, month, year) = birth(dice);
    format!("{day}{month}{year}-{}", dice.digits(4))
}

/// As they are shown to who need not know them whole.
pub(crate) fn masked_card(dice: &mut Dice) -> String {
    let last = dice.digits(4);
    match dice.below(3) {
        0 => format!("**** **** **** {last}"),
        1 => format!("XXXX-XXXX-XXXX-{last}"),
        _ => format!("4{}******{last}", dice.digits(5)),
    }
}

pub(crate) fn masked_ssn(dice: &mut Dice) -> String {
    format!("{}-{:04}", dice.of_list("XXX-XX|***-**"), dice.between(1, 9999))
}

/// As Brazil's offices publish it.
pub(crate) fn masked_cpf(dice: &mut Dice) -> String {
    format!("***.{}.{}-**", dice.digits(3), dice.digits(3))
}

//! People: of the half that was tuned on by common names, of the other half half of them by names that are in no list.

use super::made::Dice;

pub(crate) const GIVEN: &str = "Anna|Jürgen|Maria|Peter|Sophie|Lukas|Emma|Jean|Claire|Pablo|Lucía|Giulia|Marco|Sanne|Daan|\
    Agnieszka|Piotr|James|Olivia|Mohammed|Fatima|Katarzyna|Björn|Ingrid|Matti|Zoltán|Ewan|Xavier|Heidi|Carmen";
pub(crate) const FAMILY: &str = "Müller|Schmidt|Smith|Jones|Dubois|Lefèvre|García|Fernández|Rossi|Bianchi|de Vries|Jansen|\
    Kowalski|Nowak|Andersson|Virtanen|Nagy|O'Brien|Scully|Khan|Silva|Ferreira|Weber|Moreau|Novak|Becker|Whitfield|Brandauer";

/// Names of which most are in no list of common ones.
pub(crate) const RARE_GIVEN: &str = "Thandiwe|Xochitl|Fenna|Leofric|Ysolde|Ondřej|Wanjiru|Kwame|Aroha|Tjark|Eluned|Sunniva|\
    Zdzisława|Amadou|Oluwaseun|Maren|Henrike|Aurelio|Benedetta|Mechthild|Renske|Sakari|Agathe|Florian|Paula|Michael|Laura|\
    Thomas|Marta|Elena|David|Sofia|Kerstin|Martin";
pub(crate) const RARE_FAMILY: &str = "Nkosi|Featherstonehaugh|Bjerregaard|Okonkwo|Szczęsny|Vanderhoeven|Quispe|Mac Giolla|\
    Ruotsalainen|Achterberg|Zumthor|Pennypacker|Oberhuber|Castelnuovo|Duchesne|Lindqvist|Kaminski|Harris|Lopez|Fischer|Rossi|\
    Bakker|Lambert|Evans|Costa|Horvath|Petersen";

pub(crate) fn given(dice: &mut Dice, rare: bool) -> String {
    dice.of_list(if rare { RARE_GIVEN } else { GIVEN }).to_owned()
}

pub(crate) fn family(dice: &mut Dice, rare: bool) -> String {
    dice.of_list(if rare { RARE_FAMILY } else { FAMILY }).to_owned()
}

pub(crate) fn plain(text: &str) -> String {
    let text = text.to_lowercase();
    let letters = text.chars().filter_map(|letter| match letter {
        'ü' => Some('u'),
        'é' | 'è' => Some('e'),
        'á' => Some('a'),
        'í' => Some('i'),
        'ö' => Some('o'),
        letter => letter.is_ascii_alphabetic().then_some(letter),
    });
    letters.collect()
}

pub(crate) fn email(dice: &mut Dice, rare: bool) -> String {
    let (given, family) = (plain(&given(dice, rare)), plain(&family(dice, rare)));
    let domain = dice.of_list("example.com|example.org|mail.example.net|example.co.uk|example.de");
    match dice.below(3) {
        0 => format!("{given}.{family}@{domain}"),
        1 => format!("{}{family}{}@{domain}", &given[..1], dice.below(99)),
        _ => format!("{given}{}@{domain}", dice.below(9999)),
    }
}

pub(crate) fn login(dice: &mut Dice, rare: bool) -> String {
    let (given, family) = (plain(&given(dice, rare)), plain(&family(dice, rare)));
    match dice.below(3) {
        0 => format!("{}{family}", &given[..1]),
        1 => format!("{given}.{family}"),
        _ => format!("{given}{}", dice.below(999)),
    }
}

pub(crate) fn phone_abroad(dice: &mut Dice) -> String {
    match dice.below(4) {
        0 => format!("+49 {} {}", dice.between(151, 179), dice.digits(7)),
        1 => format!("+33 6 {} {} {} {}", dice.digits(2), dice.digits(2), dice.digits(2), dice.digits(2)),
        2 => format!("+44 7{} {}", dice.digits(3), dice.digits(6)),
        _ => format!("+1{}{}{}", dice.between(201, 989), dice.between(212, 910), dice.digits(4)),
    }
}

pub(crate) fn phone_german(dice: &mut Dice) -> String {
    match dice.below(2) {
        0 => format!("0{}/{}", dice.between(151, 179), dice.digits(7)),
        _ => format!("0{} {}", dice.between(2000, 9999), dice.digits(6)),
    }
}

pub(crate) fn phone_american(dice: &mut Dice) -> String {
    format!("({}) {}-{}", dice.between(201, 910), dice.between(220, 910), dice.digits(4))
}

pub(crate) fn phone_french(dice: &mut Dice) -> String {
    let pairs: Vec<String> = (0..4).map(|_| dice.digits(2)).collect();
    format!("0{} {}", dice.between(1, 7), pairs.join(" "))
}

pub(crate) fn street(dice: &mut Dice, rare: bool) -> String {
    let number = dice.between(1, 180);
    if rare {
        return match dice.below(6) {
            0 => format!("Lerchenstieg {number}"),
            1 => format!("{number} chemin des Vignes"),
            2 => format!("{number} Elm Grove Lane"),
            3 => format!("Calle de Alcalá, {number}"),
            4 => format!("Prinsengracht {number}"),
            _ => format!("Via del Corso {number}"),
        };
    }
    match dice.below(6) {
        0 => format!("Hauptstraße {number}"),
        1 => format!("{number} rue Victor Hugo"),
        2 => format!("{number} Maple Avenue"),
        3 => format!("Calle Mayor {number}"),
        4 => format!("Dorpsstraat {number}"),
        _ => format!("Am Waldweg {number}a"),
    }
}

pub(crate) fn town(dice: &mut Dice, rare: bool) -> String {
    let common =
        "Berlin|München|Paris|Lyon|London|Madrid|Sevilla|Roma|Utrecht|Warszawa|Boston|Leeds|Graz|Zürich";
    let small = "Bad Tölz|Oberammergau|Vézelay|Berlin|Lyon|Leiden|Little Snoring|Ronda|Siena|Zakopane|Kassel|Bath|Chur|Porto";
    dice.of_list(if rare { small } else { common }).to_owned()
}

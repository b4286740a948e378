//! Values such as real databases have, made by their own rules: check digits are computed here anew, not by what is
//! tested.

/// Numbers that are the same each time.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % below
    }

    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    pub(crate) fn of_list<'l>(&mut self, list: &'l str) -> &'l str {
        let words: Vec<&str> = list.split('|').collect();
        words[usize::try_from(self.below(words.len() as u64)).unwrap()]
    }

    pub(crate) fn digits(&mut self, count: usize) -> String {
        (0..count).map(|_| char::from(b'0' + u8::try_from(self.below(10)).unwrap())).collect()
    }

    pub(crate) fn letters(&mut self, of: &str, count: usize) -> String {
        let letters: Vec<char> = of.chars().collect();
        (0..count).map(|_| letters[usize::try_from(self.below(letters.len() as u64)).unwrap()]).collect()
    }
}

fn numbers(text: &str) -> Vec<u64> {
    text.chars().filter_map(|letter| letter.to_digit(10)).map(u64::from).collect()
}

fn sum(text: &str, weights: &[u64]) -> u64 {
    numbers(text).iter().zip(weights).map(|(digit, weight)| digit * weight).sum()
}

fn luhn_digit(body: &str) -> u64 {
    let sum: u64 = numbers(body)
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| if at % 2 == 0 { (digit * 2) / 10 + (digit * 2) % 10 } else { *digit })
        .sum();
    (10 - sum % 10) % 10
}

/// 16 digits of a card whose issuer is Visa or Mastercard.
pub(crate) fn card(dice: &mut Dice) -> String {
    let lead = if dice.below(2) == 0 { "4".to_owned() } else { format!("5{}", dice.between(1, 5)) };
    let body = format!("{lead}{}", dice.digits(15 - lead.len()));
    format!("{body}{}", luhn_digit(&body))
}

pub(crate) fn card_in_groups(dice: &mut Dice) -> String {
    let card = card(dice);
    format!("{} {} {} {}", &card[..4], &card[4..8], &card[8..12], &card[12..])
}

/// 16 digits that fail Luhn.
pub(crate) fn no_card(dice: &mut Dice) -> String {
    let body = format!("4{}", dice.digits(14));
    format!("{body}{}", (luhn_digit(&body) + dice.between(1, 9)) % 10)
}

pub(crate) fn iban(dice: &mut Dice) -> String {
    let (country, body) = match dice.below(4) {
        0 => ("DE", dice.digits(18)),
        1 => ("NL", format!("{}{}", dice.letters("ABCDEFGIKLMNOPRSTU", 4), dice.digits(10))),
        2 => ("ES", dice.digits(20)),
        _ => ("FR", dice.digits(23)),
    };
    let spelled: String =
        format!("{body}{country}00").chars().map(|letter| letter.to_digit(36).unwrap().to_string()).collect();
    let rest = spelled.bytes().fold(0_u64, |rest, digit| (rest * 10 + u64::from(digit - b'0')) % 97);
    format!("{country}{:02}{body}", 98 - rest)
}

pub(crate) fn iban_in_groups(dice: &mut Dice) -> String {
    let iban = iban(dice);
    iban.as_bytes().chunks(4).map(|group| std::str::from_utf8(group).unwrap()).collect::<Vec<_>>().join(" ")
}

pub(crate) fn ssn(dice: &mut Dice) -> String {
    format!("{:03}-{:02}-{:04}", dice.between(100, 660), dice.between(1, 99), dice.between(1, 9999))
}

pub(crate) fn ssn_bare(dice: &mut Dice) -> String {
    ssn(dice).replace('-', "")
}

pub(crate) fn steuer_id(dice: &mut Dice) -> String {
    let mut digits: Vec<u64> = (0..10).collect();
    for at in (1..10).rev() {
        digits.swap(at, usize::try_from(dice.below(at as u64 + 1)).unwrap());
    }
    if digits[0] == 0 {
        digits.swap(0, 1);
    }
    // One digit twice, one not at all.
    digits[9] = digits[4];
    let mut product = 10;
    for digit in &digits {
        let sum = (digit + product) % 10;
        product = if sum == 0 { 10 } else { sum } * 2 % 11;
    }
    let body: String = digits.iter().map(ToString::to_string).collect();
    format!("{body}{}", (11 - product) % 10)
}

pub(crate) fn pesel(dice: &mut Dice) -> String {
    let (month, day) = (dice.between(1, 12), dice.between(1, 28));
    let body = format!("{:02}{month:02}{day:02}{}", dice.between(40, 99), dice.digits(4));
    format!("{body}{}", (10 - sum(&body, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3]) % 10) % 10)
}

pub(crate) fn dni(dice: &mut Dice) -> String {
    let number = dice.between(10_000_000, 79_999_999);
    let letter = "TRWAGMYFPDXBNJZSQVHLCKE".chars().nth(usize::try_from(number % 23).unwrap()).unwrap();
    format!("{number}{letter}")
}

pub(crate) fn nir(dice: &mut Dice) -> String {
    let (sex, month) = (dice.between(1, 2), dice.between(1, 12));
    let body =
        format!("{sex}{:02}{month:02}{:02}{}", dice.between(40, 99), dice.between(1, 95), dice.digits(6));
    format!("{body}{:02}", 97 - body.parse::<u64>().unwrap() % 97)
}

pub(crate) fn bsn(dice: &mut Dice) -> String {
    loop {
        let body = format!("{}{}", dice.between(1, 9), dice.digits(7));
        let rest = sum(&body, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11;
        if rest < 10 {
            return format!("{body}{rest}");
        }
    }
}

pub(crate) fn cpf(dice: &mut Dice) -> String {
    let mut body = dice.digits(9);
    for length in [10, 11] {
        let weights: Vec<u64> = (2..=length).rev().collect();
        let check = sum(&body, &weights) * 10 % 11 % 10;
        body.push_str(&check.to_string());
    }
    format!("{}.{}.{}-{}", &body[..3], &body[3..6], &body[6..9], &body[9..])
}

pub(crate) fn nhs(dice: &mut Dice) -> String {
    loop {
        let body = format!("{}{}", dice.between(4, 7), dice.digits(8));
        let check = (11 - sum(&body, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 11;
        if check < 10 {
            return format!("{body}{check}");
        }
    }
}

pub(crate) fn nino(dice: &mut Dice) -> String {
    format!("{}{}{}", dice.letters("ABCEHJKLM", 2), dice.digits(6), dice.letters("ABCD", 1))
        .replace("BG", "BA")
        .replace("KN", "KA")
}

pub(crate) fn personnummer(dice: &mut Dice) -> String {
    let (month, day) = (dice.between(1, 12), dice.between(1, 28));
    let date = format!("{:02}{month:02}{day:02}", dice.between(40, 99));
    let serial = dice.digits(3);
    format!("{date}-{serial}{}", luhn_digit(&format!("{date}{serial}")))
}

pub(crate) fn sin(dice: &mut Dice) -> String {
    let body = format!("{}{}", dice.between(1, 7), dice.digits(7));
    format!("{body}{}", luhn_digit(&body))
}

pub(crate) fn ahv(dice: &mut Dice) -> String {
    let body = format!("756{}", dice.digits(9));
    let check = (10 - sum(&body, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3]) % 10) % 10;
    format!("756.{}.{}.{}{check}", &body[3..7], &body[7..11], &body[11..])
}

pub(crate) fn hetu(dice: &mut Dice) -> String {
    let (day, month, year) = (dice.between(1, 28), dice.between(1, 12), dice.between(40, 99));
    let serial = dice.between(2, 899);
    let number: u64 = format!("{day:02}{month:02}{year:02}{serial:03}").parse().unwrap();
    let letter =
        "0123456789ABCDEFHJKLMNPRSTUVWXY".chars().nth(usize::try_from(number % 31).unwrap()).unwrap();
    format!("{day:02}{month:02}{year:02}-{serial:03}{letter}")
}

pub(crate) fn tfn(dice: &mut Dice) -> String {
    loop {
        let number = format!("{}{}", dice.between(1, 9), dice.digits(8));
        if sum(&number, &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11) {
            return number;
        }
    }
}

pub(crate) fn day(dice: &mut Dice, from: u64, to: u64) -> String {
    let (year, month, day) = (dice.between(from, to), dice.between(1, 12), dice.between(1, 28));
    format!("{year}-{month:02}-{day:02}")
}

pub(crate) fn uuid(dice: &mut Dice) -> String {
    let hex = dice.letters("0123456789abcdef", 32);
    format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

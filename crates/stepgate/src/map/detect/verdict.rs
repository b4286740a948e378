//! What the values of a column say of one kind of data.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::fold::fold;
use super::sample::{Sample, Shape, ratio, surprise};
use super::validators::address::{self, Postal};
use super::validators::national::{self, Ssn};
use super::validators::phone::{self, Form};
use super::validators::{card, dates, email, iban, masked, network, person, thing};
use super::what::What;

/// How much values say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grade {
    /// They are something else.
    Refuted,
    /// There are none.
    Nothing,
    /// They could be it, and many other things.
    Loose,
    /// They are it, and most of each is hidden.
    Partial,
    /// They look like it.
    Medium,
    /// They can hardly be anything else.
    Strong,
}

/// What values say, and in which words.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) grade: Grade,
    /// Such as `98 % are e-mail addresses`.
    pub(crate) how: String,
}

/// By how many nats a share of passed check digits must be more than chance.
const SURE: f64 = 9.0;
const LIKELY: f64 = 5.0;

impl Verdict {
    fn new(grade: Grade, how: impl Into<String>) -> Self {
        Self { grade, how: how.into() }
    }

    fn refuted() -> Self {
        Self::new(Grade::Refuted, "")
    }

    fn share(grade: Grade, share: f64, what: &str) -> Self {
        Self::new(grade, format!("{} {what}", percent(share)))
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// What values of this type say. `year`: the present one.
pub(crate) fn verdict(what: What, shape: Shape, sample: &Sample<'_>, year: u32) -> Verdict {
    if !fits(what, shape) {
        return Verdict::refuted();
    }
    if sample.len() == 0 {
        return Verdict::new(Grade::Nothing, "");
    }
    if matches!(what, What::Card | What::Ssn | What::NationalId | What::Iban) {
        let share = sample.share(|value| masked::is(value, what));
        if share >= 0.5 {
            return Verdict::share(Grade::Partial, share, "are masked: some of their digits are shown");
        }
    }
    // Articles have check digits of their own.
    let bears =
        matches!(what, What::Phone | What::NationalId | What::BankAccount | What::Passport | What::Licence);
    if bears && sample.len() >= 10 && sample.share(thing::is_gtin) >= 0.9 {
        return Verdict::refuted();
    }
    match what {
        What::Email => emails(sample),
        What::Phone => phones(sample),
        What::Iban => ibans(sample),
        What::BankAccount => {
            loose(sample, 0.7, |value| is_code(value, 5, 20, 5) && !value.contains(char::is_alphabetic))
        }
        What::Card => cards(sample),
        What::Ssn => ssns(sample, shape),
        What::NationalId => national_ids(sample, shape),
        What::Passport => loose(sample, 0.7, |value| is_code(value, 6, 12, 5)),
        What::Licence => loose(sample, 0.7, |value| is_code(value, 5, 20, 3)),
        What::Name => names(sample),
        What::Address => addresses(sample),
        What::PostalCode => postal_codes(sample),
        What::BirthDate => birth_dates(sample, shape, year),
        What::IpAddress => ip_addresses(sample, shape),
        What::Username => usernames(sample),
        What::FreeText => free_text(sample),
        What::Salary => loose(sample, 0.8, |value| value.parse::<f64>().is_ok_and(|amount| amount >= 0.0)),
        What::Credential => loose(sample, 0.9, |value| value.len() >= 4 && !value.contains(' ')),
        What::Gender if sample.len() <= 8 => Verdict::new(Grade::Loose, ""),
        What::Gender => Verdict::refuted(),
        What::Health => Verdict::new(Grade::Loose, ""),
        What::Location => loose(sample, 0.9, |value| {
            value
                .split([',', ' '])
                .all(|part| part.parse::<f64>().is_ok_and(|degrees| degrees.abs() <= 180.0))
        }),
    }
}

/// Whether a column of this type can hold it.
pub(crate) fn fits(what: What, shape: Shape) -> bool {
    use Shape::{Date, Decimal, Enumeration, Inet, Integer, Text, Timestamp};
    match what {
        What::Phone | What::Ssn | What::NationalId | What::BankAccount | What::Passport | What::Licence => {
            matches!(shape, Text | Integer { .. } | Decimal)
        }
        What::Card => matches!(shape, Text | Integer { wide: true } | Decimal),
        What::BirthDate => matches!(shape, Text | Date | Timestamp | Integer { .. }),
        What::PostalCode | What::Address => matches!(shape, Text | Integer { .. }),
        What::IpAddress => matches!(shape, Text | Inet),
        What::Salary => matches!(shape, Integer { .. } | Decimal | Text),
        What::Credential => matches!(shape, Text | Shape::Bytes),
        What::Gender => matches!(shape, Text | Enumeration | Integer { .. }),
        What::Location => matches!(shape, Decimal | Text),
        What::Health => matches!(shape, Text | Enumeration),
        What::Email | What::Iban | What::Name | What::Username | What::FreeText => shape == Text,
    }
}

fn loose(sample: &Sample<'_>, least: f64, is: impl Fn(&str) -> bool) -> Verdict {
    let share = sample.share(is);
    if share >= least { Verdict::share(Grade::Loose, share, "have its form") } else { Verdict::refuted() }
}

/// Letters and digits of such a length, so many of them digits.
fn is_code(value: &str, least: usize, most: usize, digits: usize) -> bool {
    let compact = national::compact(value);
    (least..=most).contains(&compact.len())
        && compact.chars().all(|letter| letter.is_ascii_alphanumeric())
        && compact.chars().filter(char::is_ascii_digit).count() >= digits
}

fn emails(sample: &Sample<'_>) -> Verdict {
    let hits = sample.count(email::is);
    let share = ratio(hits, sample.len());
    match share {
        _ if share >= 0.1 => Verdict::share(Grade::Strong, share, "are e-mail addresses"),
        _ if hits > 1 => Verdict::share(Grade::Medium, share, "are e-mail addresses"),
        _ => Verdict::refuted(),
    }
}

fn phones(sample: &Sample<'_>) -> Verdict {
    let at_least = |least: Form| sample.share(|value| phone::form(value).is_some_and(|form| form >= least));
    let (international, national) = (at_least(Form::International), at_least(Form::National));
    let (plan, any) = (at_least(Form::Plan), at_least(Form::Bare));
    // Numbers of people differ in their first digits; numbers of orders begin alike.
    let differ = |digits: usize, least: f64| {
        sample.len() < 8 || ratio(sample.kinds(|value| phone::lead(value, digits)), sample.len()) >= least
    };
    match () {
        () if international >= 0.5 => {
            Verdict::share(Grade::Strong, international, "are telephone numbers with country code")
        }
        // Nobody writes other numbers in so many ways.
        () if international >= 0.15 && any >= 0.9 => {
            Verdict::share(Grade::Strong, any, "are telephone numbers, in several forms")
        }
        () if national >= 0.6 && differ(7, 0.3) => {
            Verdict::share(Grade::Strong, national, "are written as telephone numbers")
        }
        () if national >= 0.6 => Verdict::share(Grade::Loose, national, "are written as telephone numbers"),
        () if plan >= 0.9 && sample.len() >= 20 && differ(5, 0.5) => {
            Verdict::share(Grade::Medium, plan, "keep to a numbering plan")
        }
        () if any >= 0.6 => Verdict::share(Grade::Loose, any, "have as many digits"),
        () => Verdict::refuted(),
    }
}

fn ibans(sample: &Sample<'_>) -> Verdict {
    let share = sample.share(iban::is);
    let shaped = sample.share(iban::is_shaped);
    match () {
        () if share >= 0.3 => Verdict::share(Grade::Strong, share, "pass MOD 97 and their country's length"),
        () if shaped >= 0.6 => Verdict::share(Grade::Loose, shaped, "have the shape of an IBAN"),
        () => Verdict::refuted(),
    }
}

fn cards(sample: &Sample<'_>) -> Verdict {
    let hits = sample.count(card::is);
    let share = ratio(hits, sample.len());
    let nats = surprise(hits, sample.len(), 0.1);
    match () {
        () if share >= 0.5 && nats >= SURE => {
            Verdict::share(Grade::Strong, share, "pass Luhn and an issuer's range")
        }
        // Two in ten, where by chance one of ten would.
        () if (share >= 0.5 && hits > 0) || (share >= 0.2 && nats >= SURE) => {
            Verdict::share(Grade::Medium, share, "pass Luhn and an issuer's range")
        }
        () => Verdict::refuted(),
    }
}

fn ssns(sample: &Sample<'_>, shape: Shape) -> Verdict {
    let grouped = sample.share(|value| national::ssn(value) == Some(Ssn::Grouped));
    let whole = matches!(shape, Shape::Integer { .. } | Shape::Decimal);
    let bare = sample.share(|value| {
        // Of a number, zeros in front are lost.
        let padded = if whole { format!("{value:0>9}") } else { value.to_owned() };
        national::ssn(&padded).is_some()
    });
    match () {
        () if grouped >= 0.6 && sample.len() > 2 => {
            Verdict::share(Grade::Strong, grouped, "are written as SSNs")
        }
        () if grouped >= 0.6 => Verdict::share(Grade::Medium, grouped, "are written as SSNs"),
        () if bare >= 0.8 => Verdict::share(Grade::Loose, bare, "have the digits of an SSN"),
        () => Verdict::refuted(),
    }
}

fn national_ids(sample: &Sample<'_>, shape: Shape) -> Verdict {
    let whole = matches!(shape, Shape::Integer { .. } | Shape::Decimal);
    let passes = |check: fn(&str) -> bool, value: &str| {
        let value = national::compact(value);
        check(&value)
            || (whole
                && [9, 10, 11].iter().any(|width| {
                    value.len() < *width && value.len() + 2 >= *width && check(&format!("{value:0>width$}"))
                }))
    };
    let mut best: Option<(f64, f64, &str)> = None;
    for scheme in national::SCHEMES {
        let hits = sample.count(|value| passes(scheme.is, value));
        let share = ratio(hits, sample.len());
        // Padding is a second and third try.
        let nats = surprise(hits, sample.len(), scheme.chance * if whole { 2.0 } else { 1.0 });
        if share >= 0.5
            && (scheme.name != national::UNCHECKED || begin_with_days_of_birth(sample))
            && best.is_none_or(|(known, ..)| nats > known)
        {
            best = Some((nats, share, scheme.name));
        }
    }
    let several =
        |value: &str| national::SCHEMES.iter().any(|scheme| scheme.chance < 0.04 && passes(scheme.is, value));
    if best.is_none() {
        let hits = sample.count(several);
        let nats = surprise(hits, sample.len(), 0.2);
        best = Some((nats, ratio(hits, sample.len()), "national number of one of several states"))
            .filter(|(nats, share, _)| *nats >= SURE && *share >= 0.6);
    }
    let masked = sample.share(masked::is_some);
    match best {
        None if masked >= 0.5 => {
            Verdict::share(Grade::Loose, masked, "are masked: some of their letters and digits are shown")
        }
        Some((nats, share, name)) if nats >= SURE => {
            Verdict::share(Grade::Strong, share, &format!("pass the check of a {name}"))
        }
        Some((nats, share, name)) if nats >= LIKELY => {
            Verdict::share(Grade::Medium, share, &format!("pass the check of a {name}"))
        }
        _ => loose(sample, 0.7, |value| is_code(value, 7, 20, 5) && dates::read(value).is_none()),
    }
}

/// Whether the first three pairs of digits differ as days, months and years of birth do.
fn begin_with_days_of_birth(sample: &Sample<'_>) -> bool {
    let kinds = |at: usize| sample.kinds(|value| national::compact(value).chars().skip(at).take(2).collect());
    let some = |kinds: usize, least: usize| kinds * 3 >= sample.len().min(least * 3);
    some(kinds(0), 15) && some(kinds(2), 6) && some(kinds(4), 15)
}

/// Words of which firms' names are made.
const FIRMS: &str = "inc llc ltd limited plc corp corporation gmbh ag kg ohg ug ev eg mbh co company group holding holdings \
    partners sons and und et y e sa sas sarl sl slu srl spa snc bv nv vof lda ltda ab aps as oy oyj sp zoo kft sro \
    stiftung labs systems solutions technologies industries services bank hotel restaurant store shop the of for";

static FIRM: LazyLock<HashSet<&str>> = LazyLock::new(|| FIRMS.split_whitespace().collect());

fn names(sample: &Sample<'_>) -> Verdict {
    let looks: Vec<_> = sample.iter().map(person::look).collect();
    let share = |is: &dyn Fn(&person::Named) -> bool| {
        ratio(looks.iter().filter(|look| is(look)).count(), looks.len())
    };
    let shaped = share(&|look| look.shaped);
    let listed = share(&|look| look.shaped && (look.given || look.family));
    let firms = sample.share(|value| {
        let plain = fold(value).replace('.', "");
        plain.split([' ', ',', '-']).any(|word| FIRM.contains(word)) || value.contains('&')
    });
    let towns = sample.share(address::is_city);
    let few = sample.len() < 4 && sample.rows >= 20;
    let articles = sample.len() >= 8 && are_articles(sample);
    match () {
        () if articles => Verdict::share(Grade::Loose, shaped, "have the shape of a name"),
        () if firms >= 0.2 || shaped < 0.6 => Verdict::refuted(),
        // A handful of words again and again are states or kinds of something, unless each is somebody's name.
        () if few && listed > 0.99 && towns == 0.0 => {
            Verdict::share(Grade::Medium, listed, "hold common names of people")
        }
        () if few => Verdict::refuted(),
        () if towns > 0.2 && towns * 1.5 > listed => {
            Verdict::share(Grade::Loose, shaped, "have the shape of a name")
        }
        () if listed >= 0.45 || (listed >= 0.3 && sample.len() >= 10) => {
            Verdict::share(Grade::Strong, listed, "hold common names of people")
        }
        () if listed >= if sample.len() >= 50 { 0.08 } else { 0.12 } => {
            Verdict::share(Grade::Medium, listed, "hold common names of people")
        }
        () if sample.len() >= 4 || sample.rows < 10 => {
            Verdict::share(Grade::Loose, shaped, "have the shape of a name")
        }
        () => Verdict::refuted(),
    }
}

/// `Clara Chair`, `Luna Chair`, `Clara Desk`: what articles are called again and again ends in few words, none of which is a
/// name, nor an initial.
fn are_articles(sample: &Sample<'_>) -> bool {
    let last = |value: &str| value.rsplit_once(' ').map(|(_, last)| last.to_owned()).unwrap_or_default();
    let in_words = sample.share(|value| last(value).chars().count() > 2);
    let named = sample.share(|value| {
        let named = person::look(&last(value));
        named.given || named.family
    });
    in_words >= 0.9 && named < 0.1 && sample.kinds(last) * 3 <= sample.len()
}

fn addresses(sample: &Sample<'_>) -> Verdict {
    let streets = sample.share(address::is_street);
    let named = sample.share(|value| address::is_street(value) || address::is_street_name(value));
    let towns = sample.share(address::is_city);
    let coded = sample.share(address::is_coded_town);
    let larger = sample.count(address::has_city);
    let worded = sample.share(|value| {
        value.chars().filter(|letter| letter.is_alphabetic()).count() >= 2
            && !email::is(value)
            && !network::is(value)
            && !value.contains("://")
            && !value.contains(['_', '{', ':'])
            // Addresses of wallets and the like.
            && !value.split(' ').any(|word| word.len() >= 12 && word.contains(|letter: char| letter.is_ascii_digit()))
    });
    let houses = sample.share(|value| {
        value.len() <= 6 && value.chars().next().is_some_and(|letter| letter.is_ascii_digit())
    });
    match () {
        () if streets >= 0.35 => Verdict::share(Grade::Strong, streets, "are streets with a number"),
        () if coded >= 0.5 && larger > 0 => {
            Verdict::share(Grade::Strong, coded, "are towns with a postal code")
        }
        () if named >= 0.4 => Verdict::share(Grade::Medium, named, "are streets"),
        () if towns >= 0.3 => Verdict::share(Grade::Medium, towns, "are larger towns"),
        () if worded >= 0.8 && (sample.len() >= 5 || sample.rows < 10) => {
            Verdict::share(Grade::Loose, worded, "have words")
        }
        () if houses >= 0.8 => Verdict::share(Grade::Loose, houses, "could be house numbers"),
        () => Verdict::refuted(),
    }
}

fn postal_codes(sample: &Sample<'_>) -> Verdict {
    let share =
        |least: Postal| sample.share(|value| address::postal(value).is_some_and(|kind| kind >= least));
    let (letters, grouped, any) = (share(Postal::Letters), share(Postal::Grouped), share(Postal::Digits));
    match () {
        () if letters >= 0.7 => Verdict::share(Grade::Medium, letters, "are written as postal codes"),
        () if grouped >= 0.9 => Verdict::share(Grade::Medium, grouped, "are written as postal codes"),
        () if any >= 0.6 => Verdict::share(Grade::Loose, any, "have the form of postal codes"),
        () => Verdict::refuted(),
    }
}

fn birth_dates(sample: &Sample<'_>, shape: Shape, year: u32) -> Verdict {
    let mut years: Vec<u32> = sample.iter().filter_map(dates::read).map(|(year, ..)| year).collect();
    let read = ratio(years.len(), sample.len());
    years.sort_unstable();
    let at = |share: usize| years.get(years.len().saturating_sub(1) * share / 100).copied().unwrap_or(0);
    let lived = ratio(years.iter().filter(|born| (1890..=year).contains(*born)).count(), years.len());
    let grown = ratio(
        years.iter().filter(|born| (1900..=year.saturating_sub(13)).contains(*born)).count(),
        years.len(),
    );
    let spread = at(95).saturating_sub(at(5));
    let timed = shape == Shape::Timestamp && sample.share(|value| !value.contains(" 00:00:00")) > 0.5;
    match () {
        () if read < 0.6 || lived < 0.9 || (timed && spread < 15) => Verdict::refuted(),
        // What happens in a firm happens within some years, and lately.
        () if years.len() >= 20
            && grown >= 0.95
            && spread >= 18
            && at(50) <= year.saturating_sub(18)
            && !timed =>
        {
            Verdict::share(Grade::Medium, grown, "are days on which grown people were born")
        }
        () if years.len() >= 20 && spread <= 3 && at(50) + 4 >= year => Verdict::refuted(),
        () => Verdict::share(Grade::Loose, lived, "could be days of birth"),
    }
}

fn ip_addresses(sample: &Sample<'_>, shape: Shape) -> Verdict {
    let share = if shape == Shape::Inet { 1.0 } else { sample.share(network::is) };
    if shape != Shape::Inet && sample.share(network::is_like_version) >= 0.9 {
        return Verdict::share(Grade::Loose, share, "are addresses, or versions");
    }
    let private = sample.share(network::is_private);
    match () {
        () if share >= 0.7 && private >= 0.9 => {
            Verdict::share(Grade::Medium, share, "are IP addresses, of private networks")
        }
        () if share >= 0.7 => Verdict::share(Grade::Strong, share, "are IP addresses"),
        () if share >= 0.2 => Verdict::share(Grade::Medium, share, "are IP addresses"),
        () => Verdict::refuted(),
    }
}

fn usernames(sample: &Sample<'_>) -> Verdict {
    let is_login = |value: &str| {
        (2..=40).contains(&value.chars().count())
            && value.chars().all(|letter| letter.is_alphanumeric() || "._-@".contains(letter))
            && value.chars().any(char::is_alphabetic)
            && !is_machine(value)
    };
    let shaped = sample.share(is_login);
    let named = sample
        .share(|value| is_login(value) && !value.contains(char::is_uppercase) && person::is_in_login(value));
    let few = sample.rows >= 20 && sample.len() * 10 < sample.rows;
    let domains = sample.share(|value| value.rsplit_once('.').is_some_and(|(_, top)| TOPS.contains(&top)));
    match () {
        () if shaped < 0.8 || few || domains > 0.2 => Verdict::refuted(),
        () if named >= 0.5 => Verdict::share(Grade::Medium, named, "are made of common names"),
        () => Verdict::share(Grade::Loose, shaped, "have the form of a login"),
    }
}

/// How names of hosts end.
const TOPS: [&str; 30] = [
    "com", "net", "org", "info", "biz", "io", "eu", "de", "fr", "uk", "es", "it", "nl", "pl", "br", "se",
    "ru", "cn", "jp", "fi", "dk", "cz", "tr", "co", "ch", "at", "be", "pt", "dev", "local",
];

/// UUIDs, hashes, tokens.
fn is_machine(value: &str) -> bool {
    let hex = value.chars().filter(|letter| letter.is_ascii_hexdigit() || *letter == '-').count();
    value.len() >= 16 && hex == value.chars().count()
}

fn free_text(sample: &Sample<'_>) -> Verdict {
    // Of messages, `<…@…>` is the name.
    let mails = sample.share(|value| !value.starts_with('<') && !email::is(value) && email::is_within(value));
    if mails >= 0.2 {
        return Verdict::share(Grade::Strong, mails, "have e-mail addresses within text");
    }
    let words = sample.share(|value| value.split_whitespace().count() >= 4);
    if sample.length() < 18.0 || words < 0.3 {
        return Verdict::refuted();
    }
    let hits = sample.count(|value| {
        email::is_within(value)
            || phone::is_within(value)
            || iban::is_within(value)
            || card::is_within(value)
            || value.split_whitespace().any(|word| {
                national::ssn(word.trim_matches(|letter: char| !letter.is_ascii_digit()))
                    == Some(Ssn::Grouped)
            })
            || national::is_within(value)
    });
    let share = ratio(hits, sample.len());
    let people = sample.share(person::is_within);
    match () {
        () if hits >= 2 && share >= 0.01 => {
            Verdict::share(Grade::Strong, share, "have personal data within text")
        }
        () if hits >= 1 => Verdict::share(Grade::Medium, share, "have personal data within text"),
        () if people >= 0.05 && sample.length() >= 25.0 => {
            Verdict::share(Grade::Medium, people, "name somebody within text")
        }
        () if sample.len() < 5 => Verdict::new(Grade::Loose, ""),
        () => Verdict::refuted(),
    }
}

//! The canonical request: what an approval is bound to (DESIGN §4.3).

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use stepgate_types::Entropy;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{Ask, Held};

/// Separates this hash from every other that Stepgate makes. A change of the encoding changes it.
const DOMAIN: &[u8] = b"stepgate canonical request v4\0";

/// Bytes of a salt: 256 bits, so that a commitment tells nothing about a value that could be guessed.
const SALT: usize = 32;

/// Bytes of a block of SHA-256 (FIPS 180-4).
const BLOCK: usize = 64;

/// SHA-256 of the canonical request.
pub type Canonical = [u8; 32];

/// One random 256-bit salt for the SQL, for each text behind it and for each bind value. Lives as long as the held bytes, and is
/// wiped with them.
#[derive(Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
pub struct Salts {
    sql: [u8; SALT],
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    behind: Vec<[u8; SALT]>,
    parameters: Vec<[u8; SALT]>,
}

impl Salts {
    /// Fresh salts for this held statement.
    ///
    /// # Errors
    /// The source of randomness failed: the statement cannot be asked for.
    pub fn generate(held: &Held, entropy: &dyn Entropy) -> std::io::Result<Self> {
        let some = |count| vec![[0; SALT]; count];
        let (behind, parameters) = (some(held.behind.len()), some(held.parameters.len()));
        let mut salts = Self { sql: [0; SALT], behind, parameters };
        entropy.fill(&mut salts.sql)?;
        salts.behind.iter_mut().chain(&mut salts.parameters).try_for_each(|salt| entropy.fill(salt))?;
        Ok(salts)
    }
}

impl std::fmt::Debug for Salts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Salts").finish_non_exhaustive()
    }
}

/// The salts were made for another statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the salts do not belong to this statement")]
pub struct WrongSalts;

/// SHA-256 of the canonical request: of everything that an approval answers. Two requests that differ in
/// anything have different hashes, since every field is preceded by its length.
///
/// # Errors
/// [`WrongSalts`]: the number of salts is not that of the bind values, or of the texts behind.
pub fn canonical(ask: &Ask, held: &Held, salts: &Salts) -> Result<Canonical, WrongSalts> {
    if salts.parameters.len() != held.parameters.len() || salts.behind.len() != held.behind.len() {
        return Err(WrongSalts);
    }
    let mut encoder = Encoder::new();
    what_runs(&mut encoder, held, salts);
    who_asks(&mut encoder, ask);
    what_it_touches(&mut encoder, ask);
    on_which_terms(&mut encoder, ask);
    Ok(encoder.finish())
}

fn what_runs(encoder: &mut Encoder, held: &Held, salts: &Salts) {
    encoder.field(&commitment(&salts.sql, Some(&held.sql)));
    encoder.count(held.parameters.len());
    for (value, salt) in held.parameters.iter().zip(&salts.parameters) {
        encoder.field(&commitment(salt, value.as_deref()));
    }
    encoder.count(held.types.len());
    held.types.iter().for_each(|oid| encoder.field(&oid.to_be_bytes()));
    encoder.count(held.formats.len());
    held.formats.iter().for_each(|format| encoder.field(&format.to_be_bytes()));
    encoder.flag(held.dialect.standard_strings);
    encoder.flag(held.dialect.utf8);
    encoder.flag(held.dialect.path.is_some());
    encoder.texts(held.dialect.path.iter().flatten().map(String::as_str).collect::<Vec<_>>().into_iter());
    encoder.texts(held.dialect.times.iter().map(String::as_str));
    encoder.texts(held.dialect.definitions.iter().map(String::as_str));
    // Only where there is one: what goes on with nothing has the hash that it had. The next field, an id, is shorter.
    if !held.behind.is_empty() {
        encoder.text("behind");
        encoder.count(held.behind.len());
        for (text, salt) in held.behind.iter().zip(&salts.behind) {
            encoder.field(&commitment(salt, Some(text)));
        }
    }
}

fn who_asks(encoder: &mut Encoder, ask: &Ask) {
    encoder.field(&ask.id.bytes());
    encoder.text(ask.mode.as_str());
    encoder.field(&ask.statement.session.bytes());
    encoder.number(ask.statement.number);
    encoder.text(ask.person.as_str());
    encoder.text(&ask.db_user);
    encoder.text(&ask.address.to_string());
    encoder.text(&ask.client);
    encoder.text(&ask.database);
}

fn what_it_touches(encoder: &mut Encoder, ask: &Ask) {
    encoder.texts(ask.kinds.iter().map(|kind| kind.as_str()));
    encoder.texts(ask.uses.iter().map(|use_| use_.as_str()));
    encoder.count(ask.relations.len());
    for relation in &ask.relations {
        encoder.text(&relation.schema);
        encoder.text(&relation.name);
    }
    encoder.texts(ask.labels.iter().map(|label| label.as_str()));
    encoder.number(u64::from(ask.class_rank));
    encoder.number(u64::from(ask.output_rank));
    encoder.flag(ask.exactly_known);
    encoder.flag(ask.has_sink);
    encoder.text(ask.action.as_str());
    for most in [ask.limit.rows, ask.limit.bytes] {
        encoder.flag(most.is_some());
        encoder.number(most.unwrap_or_default());
    }
    // Only where there is one: what was asked before there were any has the hash that it had.
    if let Some(subjects) = ask.limit.subjects {
        encoder.text("subjects");
        encoder.number(subjects);
    }
    encoder.texts(ask.rules.iter().map(String::as_str));
    encoder.text(&ask.summary);
    encoder.text(&ask.policy_sha256);
    let because = &ask.because;
    encoder.flag(because.estimate.is_some());
    encoder.number(because.estimate.unwrap_or_default());
    encoder.texts(because.why.iter().map(String::as_str));
    encoder.count(because.risk.len());
    for (signal, weight) in &because.risk {
        encoder.text(signal);
        encoder.number(u64::from(*weight));
    }
    encoder.flag(ask.ahead.is_some());
    if let Some(ahead) = &ask.ahead {
        encoder.text(ahead.by.as_str());
        encoder.field(&ahead.until.micros().to_be_bytes());
        encoder.count(ahead.statements.len());
        ahead.statements.iter().for_each(|key| encoder.field(key));
    }
}

fn on_which_terms(encoder: &mut Encoder, ask: &Ask) {
    let terms = &ask.terms;
    encoder.text(&terms.approval);
    encoder.flag(terms.itself);
    encoder.texts(terms.groups.iter().map(|group| group.as_str()));
    encoder.number(u64::from(terms.count));
    encoder.text(terms.strength.as_str());
    encoder.flag(terms.reason_required);
    encoder.flag(terms.remember.is_some());
    encoder.field(&terms.remember.unwrap_or_default().as_nanos().to_be_bytes());
    let scope = terms.scope;
    for bound in [scope.client, scope.network, scope.session, scope.labels] {
        encoder.flag(bound);
    }
    encoder.flag(terms.sink);
    encoder.flag(terms.escalate.is_some());
    if let Some(escalate) = &terms.escalate {
        encoder.field(&escalate.after.as_nanos().to_be_bytes());
        encoder.texts(escalate.to.iter().map(|group| group.as_str()));
    }
    encoder.field(&ask.opened.micros().to_be_bytes());
    encoder.field(&ask.expires.micros().to_be_bytes());
}

/// HMAC-SHA-256 of the value under its salt. The leading byte keeps NULL apart from an empty value.
fn commitment(salt: &[u8; SALT], value: Option<&[u8]>) -> [u8; 32] {
    // A key shorter than a block is padded with zeros (RFC 2104 section 2).
    let mut key = Zeroizing::new([0; BLOCK]);
    key.iter_mut().zip(salt).for_each(|(padded, byte)| *padded = *byte);
    let mut mac = <Hmac<Sha256> as KeyInit>::new((&*key).into());
    match value {
        None => mac.update(&[0]),
        Some(value) => {
            mac.update(&[1]);
            mac.update(value);
        }
    }
    mac.finalize().into_bytes().into()
}

/// Feeds the hash with fields, each preceded by its length in eight bytes, and lists by their count.
struct Encoder(Sha256);

impl Encoder {
    fn new() -> Self {
        Self(Sha256::new_with_prefix(DOMAIN))
    }

    fn field(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.update(bytes);
    }

    fn count(&mut self, count: usize) {
        self.0.update(u64::try_from(count).unwrap_or(u64::MAX).to_be_bytes());
    }

    fn number(&mut self, number: u64) {
        self.field(&number.to_be_bytes());
    }

    fn flag(&mut self, flag: bool) {
        self.field(&[u8::from(flag)]);
    }

    fn text(&mut self, text: &str) {
        self.field(text.as_bytes());
    }

    fn texts<'a>(&mut self, texts: impl ExactSizeIterator<Item = &'a str>) {
        self.count(texts.len());
        texts.for_each(|text| self.text(text));
    }

    fn finish(self) -> Canonical {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use stepgate_testkit::FakeEntropy;
    use stepgate_types::{Action, Kind, Label, RelationName, RequestId, SessionId, Strength, Timestamp, Use};

    use super::*;
    use crate::fixture::{held, person, step_up};
    use crate::{Ahead, Escalate, Mode};

    fn salts(held: &Held) -> Salts {
        Salts::generate(held, &FakeEntropy::seeded(1)).unwrap()
    }

    fn hash(ask: &Ask, held: &Held) -> Canonical {
        canonical(ask, held, &salts(held)).unwrap()
    }

    #[test]
    fn the_same_request_has_the_same_hash() {
        assert_eq!(hash(&step_up(), &held()), hash(&step_up(), &held()));
    }

    #[test]
    fn approving_one_statement_and_running_another_is_defeated() {
        let alter: [fn(&mut Held); 15] = [
            |held| held.behind = vec![b"prepare p as select 1".to_vec()],
            |held| held.behind = vec![Vec::new()],
            |held| held.sql.push(b' '),
            |held| held.sql = b"select * from payments".to_vec(),
            |held| held.parameters = vec![Some(b"4".to_vec()), None],
            |held| held.parameters = vec![Some(b"3".to_vec()), Some(Vec::new())],
            |held| held.parameters = vec![None, Some(b"3".to_vec())],
            |held| held.types = vec![25, 25],
            |held| held.formats = vec![1, 0],
            |held| held.formats = Vec::new(),
            |held| held.dialect.standard_strings = false,
            |held| held.dialect.utf8 = false,
            |held| held.dialect.path = Some(Vec::new()),
            |held| held.dialect.times[0] = "SQL, DMY".to_owned(),
            |held| held.dialect.definitions = Some("1/2".to_owned()),
        ];
        let original = hash(&step_up(), &held());
        for alter in alter {
            let mut other = held();
            alter(&mut other);
            assert_ne!(hash(&step_up(), &other), original, "{other:?}");
        }
    }

    #[test]
    fn a_hash_answers_for_every_circumstance() {
        let alter: [fn(&mut Ask); 49] = [
            |ask| ask.id = RequestId::from_bytes([9; 5]),
            |ask| ask.statement.session = SessionId::from_bytes([9; 16]),
            |ask| ask.statement.number = 4,
            |ask| ask.person = person("omar"),
            |ask| ask.db_user = "admin".to_owned(),
            |ask| ask.address = "192.0.2.8".parse().unwrap(),
            |ask| ask.client = "pgcli".to_owned(),
            |ask| ask.database = "hr".to_owned(),
            |ask| ask.kinds = BTreeSet::from([Kind::CopyOut]),
            |ask| ask.uses = BTreeSet::from([Use::Predicate]),
            |ask| ask.relations = BTreeSet::from([RelationName::new("public", "payments")]),
            |ask| ask.relations = BTreeSet::new(),
            |ask| ask.labels = BTreeSet::from([Label::new("emailssn")]),
            |ask| ask.labels = BTreeSet::from([Label::new("email")]),
            |ask| ask.class_rank = 2,
            |ask| ask.output_rank = 2,
            |ask| ask.exactly_known = false,
            |ask| ask.has_sink = true,
            |ask| ask.action = Action::Approve,
            |ask| ask.mode = Mode::HoldThenDefer,
            |ask| ask.mode = Mode::Defer,
            |ask| ask.limit.rows = Some(0),
            |ask| ask.limit.rows = Some(1_000),
            |ask| ask.limit.subjects = Some(0),
            |ask| ask.limit.subjects = Some(100),
            |ask| ask.limit.bytes = Some(0),
            |ask| ask.limit.bytes = Some(1_000),
            |ask| ask.rules = vec!["other".to_owned()],
            |ask| ask.summary = String::new(),
            |ask| ask.policy_sha256 = "cd".repeat(32),
            |ask| ask.terms.approval = "four-eyes".to_owned(),
            |ask| ask.terms.itself = false,
            |ask| ask.terms.groups = crate::fixture::groups(&["data-owners"]),
            |ask| ask.terms.count = 2,
            |ask| ask.terms.strength = Strength::Strong,
            |ask| ask.terms.reason_required = true,
            |ask| ask.terms.remember = None,
            |ask| ask.terms.remember = Some(Duration::ZERO),
            |ask| ask.terms.scope.labels = true,
            |ask| ask.because.estimate = Some(0),
            |ask| ask.because.why = vec!["restricted-read: class".to_owned()],
            |ask| ask.because.risk = vec![("new-network".to_owned(), 30)],
            |ask| ask.ahead = Some(ahead("omar", 1)),
            |ask| ask.ahead = Some(ahead("amir", 1)),
            |ask| ask.ahead = Some(ahead("omar", 2)),
            |ask| ask.terms.sink = true,
            |ask| ask.terms.escalate = Some(Escalate { after: Duration::ZERO, to: BTreeSet::new() }),
            |ask| ask.opened = Timestamp::from_micros(0),
            |ask| ask.expires = Timestamp::from_micros(0),
        ];
        let mut seen = BTreeSet::from([hash(&step_up(), &held())]);
        for (number, alter) in alter.into_iter().enumerate() {
            let mut other = step_up();
            alter(&mut other);
            assert!(seen.insert(hash(&other, &held())), "alteration {number}");
        }
    }

    fn ahead(by: &str, key: u8) -> Ahead {
        let until = Timestamp::from_micros(1);
        Ahead { by: person(by), until, statements: BTreeSet::from([[key; 32]]) }
    }

    #[test]
    fn text_cannot_slip_from_one_field_into_the_next() {
        let mut one = step_up();
        one.client = "psqlsh".to_owned();
        one.database = "op".to_owned();
        let mut other = step_up();
        other.client = "psql".to_owned();
        other.database = "shop".to_owned();
        assert_ne!(hash(&one, &held()), hash(&other, &held()));
    }

    #[test]
    fn a_value_cannot_be_guessed_from_the_hash_because_salts_differ() {
        let entropy = FakeEntropy::seeded(1);
        let first = Salts::generate(&held(), &entropy).unwrap();
        let second = Salts::generate(&held(), &entropy).unwrap();
        assert_ne!(
            canonical(&step_up(), &held(), &first).unwrap(),
            canonical(&step_up(), &held(), &second).unwrap()
        );
        assert_eq!(format!("{first:?}"), "Salts { .. }");
    }

    #[test]
    fn salts_of_another_statement_are_refused() {
        let mut other = held();
        other.parameters.push(None);
        assert_eq!(canonical(&step_up(), &other, &salts(&held())), Err(WrongSalts));
        let mut other = held();
        other.behind.push(b"prepare p as select 1".to_vec());
        assert_eq!(canonical(&step_up(), &other, &salts(&held())), Err(WrongSalts));
    }

    #[test]
    fn an_execute_of_one_statement_is_not_an_execute_of_another() {
        let executing = |texts: &[&str]| {
            let mut held = held();
            held.behind = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
            canonical(&step_up(), &held, &salts(&held)).unwrap()
        };
        let all = [
            executing(&[]),
            executing(&["prepare p as select 1"]),
            executing(&["prepare p as select 2"]),
            executing(&["prepare p as ", "select 1"]),
        ];
        assert_eq!(BTreeSet::from(all).len(), all.len());
    }

    #[test]
    fn held_bytes_are_not_printed() {
        let shown = format!("{:?}", held());
        assert_eq!(shown, "Held { sql_bytes: 59, parameters: 2 }");
    }
}

//! An approval that came after the statement had stopped waiting: the same statement, sent again, passes once
//! (DESIGN §2 *defer*).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use stepgate_types::{Action, GrantId, Kind, Label, Limit, PersonName, RequestId, Timestamp, Use};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{Ask, Dialect, Held, Wanted};

/// How long a pass lives at least: people do not sit before their screens while others think about it.
const AT_LEAST: Duration = Duration::from_secs(15 * 60);

/// How long a pass lives at most: who approves something means today.
const AT_MOST: Duration = Duration::from_secs(24 * 3600);

/// A pass: one execution of one statement by one person. It is in force until it is consumed, revoked or due.
#[derive(Clone, PartialEq, Eq)]
pub struct Pass {
    /// Its id, of the same kind as a grant's: both are listed and revoked together.
    pub id: GrantId,
    /// The request that was approved.
    pub request: RequestId,
    /// HMAC-SHA-256 of [`pass_input`] under a key of the vault. The text itself is kept nowhere.
    pub key: [u8; 32],
    /// For whom.
    pub person: PersonName,
    /// Role used upstream.
    pub db_user: String,
    /// In which database.
    pub database: String,
    /// The client it is bound to, if it is; `None` also of logs from before passes were.
    pub client: Option<String>,
    /// The address it is bound to, if it is; likewise.
    pub network: Option<IpAddr>,
    /// Kinds of the message's statements, as they were approved.
    pub kinds: BTreeSet<Kind>,
    /// Uses of classified columns.
    pub uses: BTreeSet<Use>,
    /// Base relations reached, as `schema.name`.
    pub relations: BTreeSet<String>,
    /// Labels touched.
    pub labels: BTreeSet<Label>,
    /// As [`Ask::class_rank`].
    pub class_rank: u32,
    /// As [`Ask::output_rank`].
    pub output_rank: u32,
    /// As [`Ask::exactly_known`].
    pub exactly_known: bool,
    /// As [`Ask::has_sink`].
    pub has_sink: bool,
    /// As [`Ask::action`].
    pub action: Action,
    /// The highest risk at which it lets through; `None`, of logs from before risk was told: any.
    pub risk: Option<u32>,
    /// The approval it answers.
    pub approval: String,
    /// SHA-256 (hex) of the policy and map it was issued under.
    pub policy_sha256: String,
    /// When it lapses, whatever happens.
    pub expires: Timestamp,
    /// As [`Ask::limit`].
    pub limit: Limit,
}

impl Pass {
    /// The pass that approving `ask` at `now` makes; `key` is that of its statement. `None` where the request ends
    /// with the statement's wait.
    #[must_use]
    pub fn of(ask: &Ask, id: GrantId, key: [u8; 32], now: Timestamp) -> Option<Self> {
        // As long as people had to answer.
        let life = ask.expires.since(ask.opened).clamp(AT_LEAST, AT_MOST);
        let scope = ask.terms.once();
        ask.mode.may_defer().then(|| Self {
            id,
            request: ask.id,
            key,
            person: ask.person.clone(),
            db_user: ask.db_user.clone(),
            database: ask.database.clone(),
            client: scope.client.then(|| ask.client.clone()),
            network: scope.network.then_some(ask.address),
            kinds: ask.kinds.clone(),
            uses: ask.uses.clone(),
            relations: ask.relations.iter().map(ToString::to_string).collect(),
            labels: ask.labels.clone(),
            class_rank: ask.class_rank,
            output_rank: ask.output_rank,
            exactly_known: ask.exactly_known,
            has_sink: ask.has_sink,
            action: ask.action,
            risk: Some(ask.because.risk()),
            approval: ask.terms.approval.clone(),
            policy_sha256: ask.policy_sha256.clone(),
            expires: now.plus(life),
            limit: ask.limit,
        })
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        now >= self.expires
    }

    /// Whether it lets this statement pass at this moment: the very statement that was approved, which is no more by
    /// what is known now than it was then.
    #[must_use]
    pub fn lets(&self, key: &[u8; 32], wanted: &Wanted, db_user: &str, now: Timestamp) -> bool {
        bool::from(self.key.ct_eq(key))
            && !self.is_due(now)
            && self.person == wanted.person
            && self.db_user == db_user
            && self.database == wanted.database
            && self.client.as_ref().is_none_or(|client| *client == wanted.client)
            && self.network.is_none_or(|network| network == wanted.address)
            && wanted.action <= self.action
            && self.risk.is_none_or(|risk| wanted.risk <= risk)
            && wanted.approval == self.approval
            && wanted.kinds.is_subset(&self.kinds)
            && wanted.uses.is_subset(&self.uses)
            && wanted.relations.iter().all(|name| self.relations.contains(&name.to_string()))
            && wanted.labels.is_subset(&self.labels)
            && wanted.class_rank <= self.class_rank
            && wanted.output_rank <= self.output_rank
            && wanted.exactly_known >= self.exactly_known
            && wanted.has_sink <= self.has_sink
            && wanted.policy_sha256 == self.policy_sha256
            && wanted.limit.is_within(self.limit)
    }
}

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pass")
            .field("id", &self.id)
            .field("request", &self.request)
            .field("person", &self.person)
            .finish_non_exhaustive()
    }
}

/// What a pass is bound to, for the keyed hash alone: person, database role, database, and the statement with all
/// that its meaning hangs on. Every part is preceded by its length, so that none slips into the next.
#[must_use]
pub fn pass_input(person: &PersonName, db_user: &str, database: &str, held: &Held) -> Zeroizing<Vec<u8>> {
    // Never grown, so that no copy of a value is left behind in memory.
    let values: usize = held.parameters.iter().map(|value| 9 + value.as_ref().map_or(0, Vec::len)).sum();
    let behind: usize = held.behind.iter().map(|text| 16 + text.len()).sum();
    let names = person.as_str().len() + db_user.len() + database.len();
    let path: usize = held.dialect.path.iter().flatten().map(|schema| 8 + schema.len()).sum();
    let rest: usize =
        held.dialect.times.iter().chain(&held.dialect.definitions).map(|text| 8 + text.len()).sum();
    let lists = 2 * held.formats.len() + 4 * held.types.len() + path + rest + behind;
    let mut input = Zeroizing::new(Vec::with_capacity(names + held.sql.len() + values + lists + 64));
    for text in [person.as_str(), db_user, database] {
        push(&mut input, text.as_bytes());
    }
    push(&mut input, &held.sql);
    push_count(&mut input, held.parameters.len());
    for value in &held.parameters {
        input.push(u8::from(value.is_some()));
        push(&mut input, value.as_deref().unwrap_or_default());
    }
    push_count(&mut input, held.formats.len());
    for format in &held.formats {
        input.extend_from_slice(&format.to_be_bytes());
    }
    push_count(&mut input, held.types.len());
    for oid in &held.types {
        input.extend_from_slice(&oid.to_be_bytes());
    }
    let Dialect { standard_strings, utf8, path, times, definitions } = &held.dialect;
    input.extend_from_slice(&[u8::from(*standard_strings), u8::from(*utf8), u8::from(path.is_some())]);
    push_count(&mut input, path.iter().flatten().count());
    for text in path.iter().flatten().chain(times).chain(definitions) {
        push(&mut input, text.as_bytes());
    }
    // Only where there is one: what goes on with nothing has the key that it had.
    for text in &held.behind {
        push(&mut input, b"behind");
        push(&mut input, text);
    }
    input
}

fn push(input: &mut Vec<u8>, bytes: &[u8]) {
    push_count(input, bytes.len());
    input.extend_from_slice(bytes);
}

fn push_count(input: &mut Vec<u8>, count: usize) {
    input.extend_from_slice(&u64::try_from(count).unwrap_or(u64::MAX).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use stepgate_types::RelationName;

    use super::*;
    use crate::Mode;
    use crate::fixture::{OPENED, four_eyes, held, person};

    const KEY: [u8; 32] = [7; 32];

    fn ask() -> Ask {
        Ask { mode: Mode::HoldThenDefer, ..four_eyes() }
    }

    fn pass() -> Pass {
        Pass::of(&ask(), GrantId::from_bytes([1; 8]), KEY, OPENED).unwrap()
    }

    fn lets(alter: impl Fn(&mut Wanted)) -> bool {
        let mut wanted = Wanted::from(&ask());
        alter(&mut wanted);
        pass().lets(&KEY, &wanted, "analyst", OPENED)
    }

    #[test]
    fn the_statement_that_was_approved_passes_from_another_session() {
        assert!(lets(|_| {}));
        assert!(lets(|wanted| wanted.session = stepgate_types::SessionId::from_bytes([9; 16])));
    }

    #[test]
    fn a_pass_is_for_the_client_and_address_of_who_asked_unless_the_policy_says_otherwise() {
        type Elsewhere = fn(&mut Wanted);
        let client: Elsewhere = |wanted| wanted.client = "DBeaver".to_owned();
        let address: Elsewhere = |wanted| wanted.address = "198.51.100.1".parse().unwrap();
        let from_there = |scope: Option<[bool; 3]>, elsewhere: Elsewhere| {
            let mut ask = ask();
            ask.terms.remember = scope.map(|_| Duration::from_secs(900));
            let [client, network, session] = scope.unwrap_or_default();
            ask.terms.scope = crate::Scope { client, network, session, labels: false };
            let pass = Pass::of(&ask, GrantId::from_bytes([1; 8]), KEY, OPENED).unwrap();
            let mut wanted = Wanted::from(&ask);
            elsewhere(&mut wanted);
            pass.lets(&KEY, &wanted, "analyst", OPENED)
        };
        for (scope, other_client, other_address) in [
            // Nothing of it is remembered.
            (None, false, false),
            (Some([true, true, false]), false, false),
            (Some([true, false, false]), false, true),
            (Some([false, true, false]), true, false),
            (Some([false, false, false]), true, true),
            // Where it is the session's, it is not everybody's.
            (Some([false, false, true]), false, false),
        ] {
            let seen = (from_there(scope, client), from_there(scope, address));
            assert_eq!(seen, (other_client, other_address), "{scope:?}");
        }
    }

    #[test]
    fn a_pass_is_for_one_person_role_and_database() {
        assert!(!lets(|wanted| wanted.person = person("eve")));
        assert!(!lets(|wanted| wanted.database = "hr".to_owned()));
        assert!(!pass().lets(&KEY, &Wanted::from(&ask()), "admin", OPENED));
        assert!(!pass().lets(&[8; 32], &Wanted::from(&ask()), "analyst", OPENED));
    }

    #[test]
    fn what_came_to_read_more_meanwhile_does_not_pass() {
        let alter: [fn(&mut Wanted); 11] = [
            |wanted| wanted.risk = 1,
            |wanted| wanted.action = Action::Deny,
            |wanted| wanted.approval = "other".to_owned(),
            |wanted| wanted.kinds.extend([Kind::CopyOut]),
            |wanted| wanted.uses.extend([Use::Write]),
            |wanted| wanted.relations.extend([RelationName::new("hr", "employees")]),
            |wanted| wanted.labels.extend([Label::new("salary")]),
            |wanted| wanted.class_rank += 1,
            |wanted| wanted.output_rank += 1,
            |wanted| wanted.exactly_known = false,
            |wanted| wanted.has_sink = true,
        ];
        for (number, alter) in alter.into_iter().enumerate() {
            assert!(!lets(alter), "alteration {number}");
        }
        assert!(!lets(|wanted| wanted.policy_sha256 = "cd".repeat(32)));
        let mut limited = ask();
        limited.limit.rows = Some(10);
        let pass = Pass::of(&limited, GrantId::from_bytes([1; 8]), KEY, OPENED).unwrap();
        assert!(!pass.lets(&KEY, &Wanted::from(&ask()), "analyst", OPENED), "it has no limit any more");
        assert!(pass.lets(&KEY, &Wanted::from(&limited), "analyst", OPENED));
    }

    #[test]
    fn a_pass_lapses_and_never_lives_longer_than_a_day() {
        let wanted = Wanted::from(&ask());
        let last = Timestamp::from_micros(pass().expires.micros() - 1);
        assert!(pass().lets(&KEY, &wanted, "analyst", last));
        assert!(!pass().lets(&KEY, &wanted, "analyst", pass().expires));
        assert_eq!(pass().expires, OPENED.plus(Duration::from_secs(15 * 60)));
        let week = Ask { expires: OPENED.plus(Duration::from_secs(7 * 24 * 3600)), ..ask() };
        let pass = Pass::of(&week, GrantId::from_bytes([1; 8]), KEY, OPENED).unwrap();
        assert_eq!(pass.expires, OPENED.plus(Duration::from_secs(24 * 3600)));
    }

    #[test]
    fn a_request_that_ends_with_its_wait_makes_no_pass() {
        assert!(Pass::of(&four_eyes(), GrantId::from_bytes([1; 8]), KEY, OPENED).is_none());
    }

    #[test]
    fn another_statement_value_or_reading_of_it_has_another_input() {
        let input = |held: &Held| pass_input(&person("dana"), "analyst", "shop", held);
        let alter: [fn(&mut Held); 18] = [
            |held| held.behind = vec![b"prepare p as select 1".to_vec()],
            |held| held.behind = vec![b"prepare p as select 2".to_vec()],
            |held| held.sql.push(b' '),
            |held| held.parameters = vec![Some(b"4".to_vec()), None],
            |held| held.parameters = vec![Some(b"3".to_vec()), Some(Vec::new())],
            |held| held.parameters = vec![None, Some(b"3".to_vec())],
            |held| drop(held.parameters.pop()),
            |held| held.types = vec![25, 25],
            |held| held.types = Vec::new(),
            |held| held.formats = vec![1, 0],
            |held| held.formats = Vec::new(),
            |held| held.dialect.standard_strings = false,
            |held| held.dialect.utf8 = false,
            |held| held.dialect.path = Some(Vec::new()),
            |held| held.dialect.path = Some(vec!["mine".to_owned()]),
            |held| held.dialect.times[2] = "Asia/Tokyo".to_owned(),
            |held| held.dialect.definitions = Some(String::new()),
            |held| held.dialect.definitions = Some("1/2".to_owned()),
        ];
        let mut seen = BTreeSet::from([input(&held()).to_vec()]);
        for (number, alter) in alter.into_iter().enumerate() {
            let mut other = held();
            alter(&mut other);
            assert!(seen.insert(input(&other).to_vec()), "alteration {number}");
        }
        let of = |person: &str, db_user: &str, database: &str| {
            pass_input(&person.parse().unwrap(), db_user, database, &held()).to_vec()
        };
        for other in
            [of("dana", "analysts", "hop"), of("eve", "analyst", "shop"), of("danaa", "nalyst", "shop")]
        {
            assert!(seen.insert(other));
        }
    }
}

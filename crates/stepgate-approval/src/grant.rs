//! A remembered approval, and what it covers (DESIGN §2 *grant*).

use std::collections::BTreeSet;
use std::net::IpAddr;

use stepgate_types::{
    Action, GrantId, Kind, Label, Limit, PersonName, RelationName, RequestId, SessionId, Timestamp, Use,
};

use crate::Ask;

/// What a statement would need a grant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Who asks.
    pub person: PersonName,
    /// Name of the database in the gate's configuration.
    pub database: String,
    /// The role used upstream.
    pub db_user: String,
    /// `application_name`.
    pub client: String,
    /// Peer address.
    pub address: IpAddr,
    /// The session.
    pub session: SessionId,
    /// Kinds of the message's statements.
    pub kinds: BTreeSet<Kind>,
    /// All uses of classified columns.
    pub uses: BTreeSet<Use>,
    /// All base relations reached.
    pub relations: BTreeSet<RelationName>,
    /// As [`Ask::objects`].
    pub objects: BTreeSet<String>,
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
    /// Whether all that it stores goes into relations that it is known to reach: nothing else is remembered.
    pub stores_rows: bool,
    /// `step-up` or `approve`.
    pub action: Action,
    /// As [`Because::risk`](crate::Because::risk); 0 where the policy weighs no signals.
    pub risk: u32,
    /// Name of the approval in the policy.
    pub approval: String,
    /// SHA-256 (hex) of map and policy in force.
    pub policy_sha256: String,
    /// As [`Ask::limit`].
    pub limit: Limit,
    /// HMAC-SHA-256 of the statement under a key of the vault, where it could be one that was asked for ahead of time.
    pub key: Option<[u8; 32]>,
    /// Only what was approved ahead of time will do.
    pub ahead_only: bool,
}

impl From<&Ask> for Wanted {
    fn from(ask: &Ask) -> Self {
        Self {
            person: ask.person.clone(),
            database: ask.database.clone(),
            db_user: ask.db_user.clone(),
            client: ask.client.clone(),
            address: ask.address,
            session: ask.statement.session,
            kinds: ask.kinds.clone(),
            uses: ask.uses.clone(),
            relations: ask.relations.clone(),
            objects: ask.objects.clone(),
            labels: ask.labels.clone(),
            class_rank: ask.class_rank,
            output_rank: ask.output_rank,
            exactly_known: ask.exactly_known,
            has_sink: ask.has_sink,
            stores_rows: ask.terms.sink,
            action: ask.action,
            risk: ask.because.risk(),
            approval: ask.terms.approval.clone(),
            policy_sha256: ask.policy_sha256.clone(),
            limit: ask.limit,
            key: None,
            ahead_only: false,
        }
    }
}

impl Wanted {
    /// Whether it is no more than what was asked about, in every respect that people were shown.
    #[must_use]
    pub fn is_no_more_than(&self, asked: &Self) -> bool {
        self.action <= asked.action
            && self.db_user == asked.db_user
            && self.risk <= asked.risk
            && self.approval == asked.approval
            && self.kinds.is_subset(&asked.kinds)
            && self.uses.is_subset(&asked.uses)
            && self.relations.is_subset(&asked.relations)
            && self.objects.is_subset(&asked.objects)
            && self.labels.is_subset(&asked.labels)
            && self.class_rank <= asked.class_rank
            && self.output_rank <= asked.output_rank
            && self.exactly_known >= asked.exactly_known
            && self.has_sink <= asked.has_sink
            && self.policy_sha256 == asked.policy_sha256
            && self.limit.is_within(asked.limit)
    }
}

/// What an approval is remembered as. It covers what was asked for and less, never more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// The request that was approved.
    pub request: RequestId,
    /// For whom.
    pub person: PersonName,
    /// In which database.
    pub database: String,
    /// As which role; `None`, of logs from before there were several: as any.
    pub db_user: Option<String>,
    /// Covered kinds.
    pub kinds: BTreeSet<Kind>,
    /// Covered uses.
    pub uses: BTreeSet<Use>,
    /// Covered base relations, as `schema.name`.
    pub relations: BTreeSet<String>,
    /// What their names stood for, as [`Ask::objects`]; `None`, of logs from before that was told: whatever they do.
    pub objects: Option<BTreeSet<String>>,
    /// Labels it was approved for.
    pub labels: BTreeSet<Label>,
    /// Whether it covers only those labels, and not all of its relations up to its class.
    pub labels_bound: bool,
    /// Rank of the most sensitive class covered.
    pub class_rank: u32,
    /// Rank of the most sensitive class whose values it lets out.
    pub output_rank: u32,
    /// The most severe action covered.
    pub action: Action,
    /// The highest risk covered. `None`: any, of logs from before risk was told, and where it was approved ahead of time.
    pub risk: Option<u32>,
    /// The approval it answers.
    pub approval: String,
    /// The client it is bound to, if it is.
    pub client: Option<String>,
    /// The address it is bound to, if it is.
    pub network: Option<IpAddr>,
    /// The session it is bound to, if it is.
    pub session: Option<SessionId>,
    /// SHA-256 (hex) of the policy and map it was issued under.
    pub policy_sha256: String,
    /// When it ends, whatever happens.
    pub expires: Timestamp,
    /// What it lets out in all, over all statements that it covers.
    pub limit: Limit,
    /// Whether it covers what stores what it reads: only if what was approved did.
    pub sink: bool,
    /// The only statements that it covers, by their keys; `None`: any.
    pub statements: Option<BTreeSet<[u8; 32]>>,
}

/// The first thing for which a grant does not cover a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not covered: {0}")]
pub struct NotCovered(&'static str);

impl NotCovered {
    /// In a word: `expired`, `person`, `relations` …
    #[must_use]
    pub const fn what(self) -> &'static str {
        self.0
    }
}

impl Grant {
    /// The grant that approving `ask` at `now` would make; `None` where the approval counts once only:
    /// the policy does not remember it, what it reaches is not exactly known, or it stores what it reads and the policy
    /// does not say that such are remembered.
    #[must_use]
    pub fn of(ask: &Ask, id: GrantId, now: Timestamp) -> Option<Self> {
        let expires = match &ask.ahead {
            Some(ahead) => ahead.until,
            None => now.plus(ask.terms.remember?),
        };
        if !ask.exactly_known || (ask.has_sink && !ask.terms.sink) {
            return None;
        }
        let mut scope = ask.terms.scope;
        if ask.ahead.is_some() {
            // It has not come yet, from wherever it will: its text is what it is bound to.
            (scope.client, scope.network, scope.session) = (false, false, false);
        }
        Some(Self {
            id,
            request: ask.id,
            person: ask.person.clone(),
            database: ask.database.clone(),
            db_user: Some(ask.db_user.clone()),
            kinds: ask.kinds.clone(),
            uses: ask.uses.clone(),
            relations: ask.relations.iter().map(ToString::to_string).collect(),
            objects: Some(ask.objects.clone()),
            labels: ask.labels.clone(),
            labels_bound: scope.labels,
            class_rank: ask.class_rank,
            output_rank: ask.output_rank,
            action: ask.action,
            risk: ask.ahead.is_none().then(|| ask.because.risk()),
            approval: ask.terms.approval.clone(),
            client: scope.client.then(|| ask.client.clone()),
            network: scope.network.then_some(ask.address),
            session: scope.session.then_some(ask.statement.session),
            policy_sha256: ask.policy_sha256.clone(),
            expires,
            limit: ask.limit,
            sink: ask.has_sink,
            statements: ask.ahead.as_ref().map(|ahead| ahead.statements.clone()),
        })
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        now >= self.expires
    }

    /// Whether it covers this statement at this moment.
    ///
    /// # Errors
    /// [`NotCovered`] names the first thing that is missing.
    pub fn covers(&self, wanted: &Wanted, now: Timestamp) -> Result<(), NotCovered> {
        let conditions = [
            ("expired", !self.is_due(now)),
            ("certainty", wanted.exactly_known),
            ("sink", !wanted.has_sink || (self.sink && wanted.stores_rows)),
            ("statement", self.names(wanted)),
            ("person", self.person == wanted.person),
            ("database", self.database == wanted.database),
            ("role", self.db_user.as_ref().is_none_or(|role| *role == wanted.db_user)),
            ("policy", self.policy_sha256 == wanted.policy_sha256),
            ("approval", self.approval == wanted.approval),
            ("client", self.client.as_ref().is_none_or(|client| *client == wanted.client)),
            ("network", self.network.is_none_or(|network| network == wanted.address)),
            ("session", self.session.is_none_or(|session| session == wanted.session)),
            ("action", wanted.action <= self.action),
            ("risk", self.risk.is_none_or(|risk| wanted.risk <= risk)),
            ("class", wanted.class_rank <= self.class_rank && wanted.output_rank <= self.output_rank),
            ("labels", !self.labels_bound || wanted.labels.is_subset(&self.labels)),
            ("kinds", wanted.kinds.iter().all(|kind| self.covers_kind(*kind))),
            ("uses", wanted.uses.iter().all(|use_| self.covers_use(*use_))),
            // An approval without a limit is none of what is limited now: nobody has said how much.
            ("limit", self.limit.limits_what(wanted.limit)),
            ("relations", wanted.relations.iter().all(|name| self.relations.contains(&name.to_string()))),
            ("objects", self.objects.as_ref().is_none_or(|known| wanted.objects.is_subset(known))),
        ];
        match conditions.into_iter().find(|(_, holds)| !holds) {
            None => Ok(()),
            Some((what, _)) => Err(NotCovered(what)),
        }
    }

    fn names(&self, wanted: &Wanted) -> bool {
        let among = |keys: &BTreeSet<_>| wanted.key.as_ref().is_some_and(|key| keys.contains(key));
        self.statements.as_ref().map_or(!wanted.ahead_only, among)
    }

    /// BEGIN, COMMIT and empty statements reach no data; drivers put them in front of others by
    /// themselves. An unreadable statement is covered by nothing.
    fn covers_kind(&self, kind: Kind) -> bool {
        match kind {
            Kind::Transaction | Kind::Empty => true,
            Kind::Unknown | Kind::Control => false,
            other => self.kinds.contains(&other),
        }
    }

    /// Whoever may see a value may also compare, group and sort by it: `output` implies the uses that
    /// tell less. It never implies `write`, and nothing implies `output`.
    fn covers_use(&self, use_: Use) -> bool {
        let implied = match use_ {
            Use::Output | Use::Write => false,
            Use::Predicate | Use::Grouping | Use::Ordering | Use::Hidden => self.uses.contains(&Use::Output),
        };
        implied || self.uses.contains(&use_)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use proptest::sample::subsequence;

    use super::*;
    use crate::fixture::{OPENED, person, step_up};

    fn grant(ask: &Ask) -> Grant {
        Grant::of(ask, GrantId::from_bytes([1; 8]), OPENED).unwrap()
    }

    fn covered(alter: fn(&mut Wanted)) -> Result<(), &'static str> {
        let mut wanted = Wanted::from(&step_up());
        alter(&mut wanted);
        grant(&step_up()).covers(&wanted, OPENED).map_err(NotCovered::what)
    }

    #[test]
    fn one_approval_covers_the_next_statements_on_the_same_relations() {
        assert_eq!(covered(|_| {}), Ok(()));
        // select full_name from customers where id = 3 order by email
        let narrower = |wanted: &mut Wanted| {
            wanted.uses = BTreeSet::from([Use::Output, Use::Predicate, Use::Ordering]);
            wanted.labels = BTreeSet::from([Label::new("email")]);
            (wanted.class_rank, wanted.output_rank) = (2, 2);
        };
        assert_eq!(covered(narrower), Ok(()));
        let behind_begin = |wanted: &mut Wanted| {
            wanted.kinds.insert(Kind::Transaction);
        };
        assert_eq!(covered(behind_begin), Ok(()));
    }

    #[test]
    fn whatever_differs_asks_again() {
        type Alteration = (&'static str, fn(&mut Wanted));
        let alterations: [Alteration; 23] = [
            ("risk", |wanted| wanted.risk = 1),
            ("person", |wanted| wanted.person = person("eve")),
            ("database", |wanted| wanted.database = "hr".to_owned()),
            ("role", |wanted| wanted.db_user = "owner".to_owned()),
            ("policy", |wanted| wanted.policy_sha256 = "cd".repeat(32)),
            ("approval", |wanted| wanted.approval = "four-eyes".to_owned()),
            ("client", |wanted| wanted.client = "dump".to_owned()),
            ("network", |wanted| wanted.address = "198.51.100.1".parse().unwrap()),
            ("action", |wanted| wanted.action = Action::Approve),
            ("action", |wanted| wanted.action = Action::Deny),
            ("class", |wanted| wanted.class_rank = 4),
            ("class", |wanted| wanted.output_rank = 4),
            ("kinds", |wanted| wanted.kinds = BTreeSet::from([Kind::CopyOut])),
            ("kinds", |wanted| wanted.kinds = BTreeSet::from([Kind::Select, Kind::Delete])),
            ("kinds", |wanted| wanted.kinds = BTreeSet::from([Kind::Unknown])),
            ("uses", |wanted| wanted.uses = BTreeSet::from([Use::Output, Use::Write])),
            ("relations", |wanted| {
                wanted.relations.insert(RelationName::new("hr", "employees"));
            }),
            ("relations", |wanted| {
                wanted.relations = BTreeSet::from([RelationName::new("Public", "customers")]);
            }),
            ("objects", |wanted| wanted.objects = BTreeSet::from(["renamed".to_owned()])),
            ("limit", |wanted| wanted.limit.rows = Some(1_000)),
            ("limit", |wanted| wanted.limit.bytes = Some(1 << 20)),
            ("certainty", |wanted| wanted.exactly_known = false),
            ("sink", |wanted| wanted.has_sink = true),
        ];
        for (what, alter) in alterations {
            assert_eq!(covered(alter), Err(what));
        }
    }

    #[test]
    fn a_grant_with_a_budget_covers_what_is_limited_by_less_by_more_or_not_at_all() {
        let mut ask = step_up();
        ask.limit.rows = Some(1_000);
        for rows in [Some(10), Some(1_000_000), None] {
            let mut wanted = Wanted::from(&ask);
            wanted.limit.rows = rows;
            assert!(grant(&ask).covers(&wanted, OPENED).is_ok(), "{rows:?}");
        }
        let mut wanted = Wanted::from(&ask);
        wanted.limit.bytes = Some(1);
        assert_eq!(grant(&ask).covers(&wanted, OPENED).map_err(NotCovered::what), Err("limit"));
    }

    #[test]
    fn what_may_deliver_more_than_was_asked_about_is_more() {
        let mut ask = step_up();
        ask.limit.rows = Some(1_000);
        let asked = Wanted::from(&ask);
        let with = |rows| Wanted { limit: Limit::of(rows, None), ..asked.clone() };
        assert!(with(Some(1_000)).is_no_more_than(&asked) && with(Some(10)).is_no_more_than(&asked));
        assert!(!with(Some(1_001)).is_no_more_than(&asked) && !with(None).is_no_more_than(&asked));
    }

    #[test]
    fn an_approval_to_compare_is_none_to_see() {
        let mut ask = step_up();
        ask.uses = BTreeSet::from([Use::Predicate]);
        ask.output_rank = 0;
        let mut wanted = Wanted::from(&ask);
        wanted.uses = BTreeSet::from([Use::Output]);
        assert_eq!(grant(&ask).covers(&wanted, OPENED).map_err(NotCovered::what), Err("uses"));
    }

    #[test]
    fn seeing_the_harmless_and_comparing_the_restricted_is_not_seeing_the_restricted() {
        // select email from customers where ssn = …, then: select ssn from customers
        let mut ask = step_up();
        ask.uses = BTreeSet::from([Use::Output, Use::Predicate]);
        (ask.class_rank, ask.output_rank) = (3, 2);
        let mut wanted = Wanted::from(&ask);
        wanted.output_rank = 3;
        assert_eq!(grant(&ask).covers(&wanted, OPENED).map_err(NotCovered::what), Err("class"));
    }

    #[test]
    fn a_grant_ends_when_it_says_whatever_happens() {
        let (grant, wanted) = (grant(&step_up()), Wanted::from(&step_up()));
        let end = OPENED.plus(Duration::from_secs(900));
        assert!(grant.covers(&wanted, Timestamp::from_micros(end.micros() - 1)).is_ok());
        assert_eq!(grant.covers(&wanted, end).map_err(NotCovered::what), Err("expired"));
    }

    #[test]
    fn the_scope_says_what_it_is_bound_to() {
        let mut ask = step_up();
        ask.terms.scope.client = false;
        ask.terms.scope.network = false;
        let mut wanted = Wanted::from(&ask);
        wanted.client = "pgcli".to_owned();
        wanted.address = "198.51.100.1".parse().unwrap();
        assert!(grant(&ask).covers(&wanted, OPENED).is_ok());
        ask.terms.scope.session = true;
        wanted.session = SessionId::from_bytes([8; 16]);
        assert_eq!(grant(&ask).covers(&wanted, OPENED).map_err(NotCovered::what), Err("session"));
        ask.terms.scope.session = false;
        wanted.labels.insert(Label::new("iban"));
        assert!(grant(&ask).covers(&wanted, OPENED).is_ok());
        ask.terms.scope.labels = true;
        assert_eq!(grant(&ask).covers(&wanted, OPENED).map_err(NotCovered::what), Err("labels"));
    }

    #[test]
    fn what_is_unknown_stored_or_not_to_be_remembered_makes_no_grant() {
        let alter: [fn(&mut Ask); 3] =
            [|ask| ask.terms.remember = None, |ask| ask.exactly_known = false, |ask| ask.has_sink = true];
        for alter in alter {
            let mut ask = step_up();
            alter(&mut ask);
            assert_eq!(Grant::of(&ask, GrantId::from_bytes([1; 8]), OPENED), None);
        }
    }

    #[test]
    fn what_is_stored_is_covered_only_where_that_was_approved_and_the_policy_remembers_it() {
        let mut ask = step_up();
        (ask.has_sink, ask.terms.sink) = (true, true);
        ask.uses.insert(Use::Write);
        let stores = Wanted::from(&ask);
        assert!(grant(&ask).covers(&stores, OPENED).is_ok());
        // Not into relations: to the server's files, or to whoever listens.
        let away = Wanted { stores_rows: false, ..stores.clone() };
        assert_eq!(grant(&ask).covers(&away, OPENED).map_err(NotCovered::what), Err("sink"));
        let elsewhere = Wanted {
            relations: ask.relations.iter().cloned().chain([RelationName::new("public", "copy")]).collect(),
            ..stores.clone()
        };
        assert_eq!(grant(&ask).covers(&elsewhere, OPENED).map_err(NotCovered::what), Err("relations"));
        // That the policy would remember it is no approval to store.
        let mut reads = step_up();
        reads.terms.sink = true;
        assert_eq!(grant(&reads).covers(&stores, OPENED).map_err(NotCovered::what), Err("sink"));
    }

    #[test]
    fn what_was_asked_ahead_covers_the_statements_that_were_named_and_no_other() {
        let mut ask = step_up();
        let until = OPENED.plus(Duration::from_secs(86_400));
        ask.terms.remember = None;
        ask.ahead = Some(crate::Ahead { by: person("dana"), until, statements: [[1; 32], [2; 32]].into() });
        let wanted = |key| Wanted { key, ..Wanted::from(&ask) };
        let grant = grant(&ask);
        assert!(grant.covers(&wanted(Some([2; 32])), OPENED).is_ok());
        for key in [None, Some([3; 32])] {
            assert_eq!(grant.covers(&wanted(key), OPENED).map_err(NotCovered::what), Err("statement"));
        }
        // Where that alone will do, no other grant does.
        let ahead_only = Wanted { ahead_only: true, ..wanted(Some([2; 32])) };
        assert!(grant.covers(&ahead_only, OPENED).is_ok());
        let ordinary = Grant { statements: None, ..grant.clone() };
        assert_eq!(ordinary.covers(&ahead_only, OPENED).map_err(NotCovered::what), Err("statement"));
        assert_eq!(grant.covers(&wanted(Some([1; 32])), until).map_err(NotCovered::what), Err("expired"));
    }

    const USES: [Use; 6] =
        [Use::Output, Use::Predicate, Use::Grouping, Use::Ordering, Use::Write, Use::Hidden];

    fn asks() -> impl Strategy<Value = Ask> {
        let relations: Vec<_> =
            ["a", "b", "c", "a.b"].map(|name| RelationName::new("public", name)).into_iter().collect();
        let labels: Vec<_> = ["email", "iban", "ssn"].map(Label::new).into_iter().collect();
        (
            subsequence(USES.to_vec(), 0..=6),
            subsequence(relations, 0..=4),
            subsequence(labels, 0..=3),
            subsequence(vec![Kind::Select, Kind::CopyOut, Kind::Update, Kind::Unknown], 0..=4),
            (0_u32..4, 0_u32..4, any::<bool>(), any::<bool>(), any::<bool>()),
        )
            .prop_map(|(uses, relations, labels, kinds, (class, output, bound, approve, remote))| {
                let mut ask = step_up();
                ask.uses = uses.into_iter().collect();
                ask.relations = relations.into_iter().collect();
                ask.labels = labels.into_iter().collect();
                ask.kinds = kinds.into_iter().collect();
                (ask.class_rank, ask.output_rank) = (class, output);
                ask.terms.scope.labels = bound;
                ask.action = if approve { Action::Approve } else { Action::StepUp };
                if remote {
                    ask.address = "198.51.100.1".parse().unwrap();
                }
                ask
            })
    }

    proptest! {
        /// The rules written down once more, the other way round: from what a covered statement may be.
        #[test]
        fn a_grant_never_widens(approved in asks(), later in asks()) {
            let wanted = Wanted::from(&later);
            if grant(&approved).covers(&wanted, OPENED).is_ok() {
                prop_assert!(wanted.relations.is_subset(&approved.relations));
                prop_assert!(wanted.kinds.is_subset(&approved.kinds));
                prop_assert!(!wanted.kinds.contains(&Kind::Unknown));
                for use_ in wanted.uses.difference(&approved.uses) {
                    prop_assert!(!matches!(use_, Use::Output | Use::Write));
                    prop_assert!(approved.uses.contains(&Use::Output));
                }
                prop_assert!(wanted.class_rank <= approved.class_rank);
                prop_assert!(wanted.output_rank <= approved.output_rank);
                prop_assert!(wanted.action <= approved.action);
                prop_assert_eq!(wanted.address, approved.address);
                if approved.terms.scope.labels {
                    prop_assert!(wanted.labels.is_subset(&approved.labels));
                }
            }
        }

        #[test]
        fn a_grant_covers_what_was_approved(ask in asks()) {
            let known = !ask.kinds.contains(&Kind::Unknown);
            prop_assert_eq!(grant(&ask).covers(&Wanted::from(&ask), OPENED).is_ok(), known);
        }
    }
}

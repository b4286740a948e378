//! A remembered approval, and what it covers (DESIGN §2 *grant*).

use std::collections::BTreeSet;
use std::net::IpAddr;

use stepgate_types::{
    Action, GrantId, Kind, Label, PersonName, RelationName, RequestId, SessionId, Timestamp, Use,
};

use crate::Ask;

/// What a statement would need a grant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Who asks.
    pub person: PersonName,
    /// Name of the database in the gate's configuration.
    pub database: String,
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
    /// `step-up` or `approve`.
    pub action: Action,
    /// Name of the approval in the policy.
    pub approval: String,
    /// SHA-256 (hex) of map and policy in force.
    pub policy_sha256: String,
}

impl From<&Ask> for Wanted {
    fn from(ask: &Ask) -> Self {
        Self {
            person: ask.person.clone(),
            database: ask.database.clone(),
            client: ask.client.clone(),
            address: ask.address,
            session: ask.statement.session,
            kinds: ask.kinds.clone(),
            uses: ask.uses.clone(),
            relations: ask.relations.clone(),
            labels: ask.labels.clone(),
            class_rank: ask.class_rank,
            output_rank: ask.output_rank,
            exactly_known: ask.exactly_known,
            has_sink: ask.has_sink,
            action: ask.action,
            approval: ask.terms.approval.clone(),
            policy_sha256: ask.policy_sha256.clone(),
        }
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
    /// Covered kinds.
    pub kinds: BTreeSet<Kind>,
    /// Covered uses.
    pub uses: BTreeSet<Use>,
    /// Covered base relations, as `schema.name`.
    pub relations: BTreeSet<String>,
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
    /// the policy does not remember it, what it reaches is not exactly known, or it stores what it reads.
    #[must_use]
    pub fn of(ask: &Ask, id: GrantId, now: Timestamp) -> Option<Self> {
        let remember = ask.terms.remember?;
        if !ask.exactly_known || ask.has_sink {
            return None;
        }
        let scope = ask.terms.scope;
        Some(Self {
            id,
            request: ask.id,
            person: ask.person.clone(),
            database: ask.database.clone(),
            kinds: ask.kinds.clone(),
            uses: ask.uses.clone(),
            relations: ask.relations.iter().map(ToString::to_string).collect(),
            labels: ask.labels.clone(),
            labels_bound: scope.labels,
            class_rank: ask.class_rank,
            output_rank: ask.output_rank,
            action: ask.action,
            approval: ask.terms.approval.clone(),
            client: scope.client.then(|| ask.client.clone()),
            network: scope.network.then_some(ask.address),
            session: scope.session.then_some(ask.statement.session),
            policy_sha256: ask.policy_sha256.clone(),
            expires: now.plus(remember),
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
            ("sink", !wanted.has_sink),
            ("person", self.person == wanted.person),
            ("database", self.database == wanted.database),
            ("policy", self.policy_sha256 == wanted.policy_sha256),
            ("approval", self.approval == wanted.approval),
            ("client", self.client.as_ref().is_none_or(|client| *client == wanted.client)),
            ("network", self.network.is_none_or(|network| network == wanted.address)),
            ("session", self.session.is_none_or(|session| session == wanted.session)),
            ("action", wanted.action <= self.action),
            ("class", wanted.class_rank <= self.class_rank && wanted.output_rank <= self.output_rank),
            ("labels", !self.labels_bound || wanted.labels.is_subset(&self.labels)),
            ("kinds", wanted.kinds.iter().all(|kind| self.covers_kind(*kind))),
            ("uses", wanted.uses.iter().all(|use_| self.covers_use(*use_))),
            ("relations", wanted.relations.iter().all(|name| self.relations.contains(&name.to_string()))),
        ];
        match conditions.into_iter().find(|(_, holds)| !holds) {
            None => Ok(()),
            Some((what, _)) => Err(NotCovered(what)),
        }
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

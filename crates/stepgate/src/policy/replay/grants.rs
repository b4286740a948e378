//! Who would have been asked how often: approvals are remembered here as the desk remembers them.
//!
//! Every request is taken for approved at once, but for those that were denied, left or withdrawn in fact. What a grant
//! covers is decided by `stepgate_approval::Grant`, as it is live.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use stepgate_approval::{Grant, Wanted};
use stepgate_policy::{Approval, ScopePart};
use stepgate_types::{Action, Amount, GrantId, Kind, Limit, PersonName, RequestId, SessionId, Timestamp};

use super::meters::{Between, Metering, Meters, taken};
use super::trial::Decided;
use crate::policy::tape::{Person, Shape};

/// The most requests of one statement that are counted, each for as much again as its limit.
const MOST_ASKED: u32 = 100;

/// A statement on its way through.
pub(crate) struct Sent<'s> {
    pub(crate) shape: &'s Shape,
    pub(crate) person: &'s Person,
    /// The number of the session.
    pub(crate) session: u32,
    pub(crate) at: Timestamp,
    /// What it delivered, where it ran.
    pub(crate) delivered: Option<(u64, u64)>,
    /// A limit ended it then, and there was more.
    pub(crate) cut: bool,
    /// It ran in fact.
    pub(crate) ran: bool,
    /// People said no to it, or nobody answered.
    pub(crate) refused: bool,
    /// What it counts on over sessions and windows, if anything: by whom, and when.
    pub(crate) counting: Option<Metering>,
    /// Rows and bytes that were out in fact when it reached limits, and bytes of the rows that waited.
    pub(crate) points: &'s [(u64, u64, u64)],
    /// It is one that was deferred, sent again: its pass lets it through.
    pub(crate) rerun: bool,
}

/// Requests that a statement opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Asked {
    /// Before it runs.
    pub(crate) first: u32,
    /// Once it has delivered what it may.
    pub(crate) midway: u32,
    /// It would have ended at its limit: nobody can be asked for more.
    pub(crate) cut: bool,
    /// A grant covered it.
    pub(crate) covered: bool,
    /// Whether it reaches a limit over a session or window, or how often, cannot be told.
    pub(crate) open: bool,
}

/// Approvals that are remembered at a moment.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    /// By person and database.
    grants: HashMap<(PersonName, String), Vec<Held>>,
}

#[derive(Debug)]
struct Held {
    grant: Grant,
    left: Limit,
}

impl Desk {
    /// What is asked about a statement that was decided so.
    pub(crate) fn send(&mut self, sent: &Sent<'_>, decided: &Decided, meters: &mut Meters) -> Asked {
        let mut asked = Asked::default();
        let mut left = decided.limit;
        match (decided.action, &decided.approval) {
            (Action::StepUp | Action::Approve, Some(approval)) if !sent.rerun => {
                let Some(wanted) = wanted(sent, decided, decided.action, approval) else {
                    return Asked { first: 1, ..asked };
                };
                match self.covering(&wanted, sent.at, Limit::NONE) {
                    Some(held) => {
                        asked.covered = true;
                        left = left.least(held.left);
                    }
                    None => {
                        asked.first = 1;
                        // What a limit ended had been let through before.
                        if sent.refused && !sent.cut {
                            return asked;
                        }
                        self.remember(&wanted, approval, sent.at);
                    }
                }
                self.debit(&wanted, sent.at, Limit::NONE, sent.delivered);
            }
            (Action::Deny, _) => return asked,
            _ => {}
        }
        if decided.meters.is_empty() {
            // Of its own limit, what is not known is told apart (`of_unknown_size`).
            if let Some((rows, bytes)) = sent.delivered.filter(|_| !decided.limit.is_none()) {
                self.midway(sent, decided, Amount::of(rows, bytes), left, &mut asked);
            }
        } else {
            self.metered(sent, decided, left, meters, &mut asked);
        }
        asked
    }

    /// The same, where all that the person is delivered in a session or window is limited as well: nothing is counted
    /// there from the first limit on that it reaches, be it its own.
    fn metered(
        &mut self,
        sent: &Sent<'_>,
        decided: &Decided,
        left: Limit,
        meters: &mut Meters,
        asked: &mut Asked,
    ) {
        let Some(counting) = sent.counting else { return };
        let need = sent.delivers(asked.first > 0);
        let (mut least, mut most) = (left, left);
        for metered in &decided.meters {
            let room = meters.room(metered, &counting);
            (least, most) = (least.least(room.0), most.least(room.1));
        }
        let taken = taken(need, (least, most), sent.points);
        // What it stores elsewhere counts as well, and is not in its record.
        let stores = !sent.shape.sinks.is_empty();
        let counted = if stores { Between::from(taken.least.rows, taken.least.bytes) } else { taken };
        decided.meters.iter().for_each(|metered| meters.count(metered, &counting, counted));
        if least.has(need.most) {
            return;
        }
        let beyond = Between { least: need.least.beyond(taken.most), most: need.most.beyond(taken.least) };
        let asks = if sent.refused { 1 } else { times(decided.more, beyond.least) };
        if most.has(need.least) || (!sent.refused && asks != times(decided.more, beyond.most)) {
            asked.open = true;
            return;
        }
        self.midway(sent, decided, beyond.least, Limit::NOTHING, asked);
    }

    /// Rows beyond what may be delivered before people are asked.
    fn midway(
        &mut self,
        sent: &Sent<'_>,
        decided: &Decided,
        mut need: Amount,
        mut left: Limit,
        asked: &mut Asked,
    ) {
        while !left.has(need) {
            let own = || decided.approval.clone().map(|approval| (decided.action, approval));
            let Some((action, approval)) = decided.beyond.clone().or_else(own) else {
                asked.cut = true;
                return;
            };
            need.rows = need.rows.saturating_sub(left.rows.unwrap_or(0));
            need.bytes = need.bytes.saturating_sub(left.bytes.unwrap_or(0));
            let Some(wanted) = wanted(sent, decided, action, &approval) else {
                asked.midway = asked.midway.saturating_add(1);
                return;
            };
            let wanted = Wanted { limit: decided.more, ..wanted };
            match self.covering(&wanted, sent.at, wanted.limit) {
                Some(held) => {
                    left = held.left;
                    held.left = held.left.minus(need);
                }
                None => {
                    asked.midway = asked.midway.saturating_add(1);
                    if asked.midway >= MOST_ASKED || (sent.refused && sent.cut) {
                        return;
                    }
                    self.remember(&wanted, &approval, sent.at);
                    self.debit(&wanted, sent.at, wanted.limit, Some((need.rows, need.bytes)));
                    left = decided.more;
                }
            }
        }
    }

    /// One that was approved for at most so much.
    fn covering(&mut self, wanted: &Wanted, at: Timestamp, most: Limit) -> Option<&mut Held> {
        let held = self.grants.get_mut(&(wanted.person.clone(), wanted.database.clone()))?;
        held.retain(|held| !held.grant.is_due(at));
        let has_left = |held: &Held| !held.left.is_spent() && held.grant.limit.is_within(most);
        held.iter_mut().find(|held| has_left(held) && held.grant.covers(wanted, at).is_ok())
    }

    fn debit(&mut self, wanted: &Wanted, at: Timestamp, most: Limit, delivered: Option<(u64, u64)>) {
        let Some((rows, bytes)) = delivered else { return };
        if let Some(held) = self.covering(wanted, at, most) {
            held.left = held.left.minus(Amount { rows, bytes, ..Amount::default() });
        }
    }

    fn remember(&mut self, wanted: &Wanted, approval: &Approval, at: Timestamp) {
        let Some(remember) = &approval.remember else { return };
        if !wanted.exactly_known || (wanted.has_sink && !(wanted.stores_rows && remember.sink)) {
            return;
        }
        let bound = |part| remember.scope.contains(&part);
        let grant = Grant {
            id: GrantId::from_bytes([0; 8]),
            request: RequestId::from_bytes([0; 5]),
            person: wanted.person.clone(),
            database: wanted.database.clone(),
            db_user: Some(wanted.db_user.clone()),
            kinds: wanted.kinds.clone(),
            uses: wanted.uses.clone(),
            relations: wanted.relations.iter().map(ToString::to_string).collect(),
            objects: None,
            labels: wanted.labels.clone(),
            labels_bound: bound(ScopePart::Labels),
            class_rank: wanted.class_rank,
            output_rank: wanted.output_rank,
            action: wanted.action,
            approval: wanted.approval.clone(),
            client: bound(ScopePart::Client).then(|| wanted.client.clone()),
            network: bound(ScopePart::Network).then_some(wanted.address),
            session: bound(ScopePart::Session).then_some(wanted.session),
            policy_sha256: String::new(),
            expires: at.plus(remember.for_),
            limit: wanted.limit,
            risk: Some(wanted.risk),
            sink: wanted.has_sink,
            statements: None,
        };
        let key = (wanted.person.clone(), wanted.database.clone());
        self.grants.entry(key).or_default().push(Held { left: grant.limit, grant });
    }
}

impl Sent<'_> {
    /// What it would deliver, if nothing stopped it. `waits`: it would be asked about before it runs.
    fn delivers(&self, waits: bool) -> Between {
        let next = self.points.last().map_or(1, |(_, _, next)| *next);
        match self.delivered {
            Some((rows, bytes)) if self.cut => {
                Between::from(rows.saturating_add(1), bytes.saturating_add(next))
            }
            Some((rows, bytes)) => Between::just(rows, bytes),
            // It was deferred, or left, and so it would be again.
            None if !self.ran && waits => Between::default(),
            None => Between::from(0, 0),
        }
    }
}

/// How often people are asked for so much, by so much at once.
fn times(more: Limit, need: Amount) -> u64 {
    let times = |more: Option<u64>, need: u64| more.map_or(1, |more| need.div_ceil(more.max(1)));
    times(more.rows, need.rows).max(times(more.bytes, need.bytes)).clamp(1, MOST_ASKED.into())
}

/// What a grant would have to cover.
fn wanted(sent: &Sent<'_>, decided: &Decided, action: Action, approval: &Approval) -> Option<Wanted> {
    let (shape, person, reach) = (sent.shape, sent.person, &decided.reach);
    let mut session = [0; 16];
    for (to, from) in session.iter_mut().zip(sent.session.to_be_bytes()) {
        *to = from;
    }
    // Of whom it is not known where they were, each session was elsewhere: rather one request too many than one too few.
    let elsewhere = IpAddr::V6(Ipv6Addr::from_bits(u128::from(sent.session).saturating_add(1 << 127)));
    let writes = |kind: &Kind| matches!(kind, Kind::Insert | Kind::Update | Kind::Merge | Kind::Transaction);
    Some(Wanted {
        person: name(person)?,
        database: shape.database.clone(),
        db_user: shape.db_user.clone(),
        client: person.client.clone().unwrap_or_else(|| format!("?{}", sent.session)),
        address: person.address.as_deref().and_then(|text| text.parse().ok()).unwrap_or(elsewhere),
        session: SessionId::from_bytes(session),
        kinds: shape.kinds.iter().copied().collect(),
        uses: reach.uses.clone(),
        relations: reach.relations.clone(),
        // No record tells.
        objects: std::collections::BTreeSet::new(),
        labels: reach.labels.clone(),
        class_rank: reach.class_rank,
        output_rank: reach.output_rank,
        exactly_known: shape.certainty != stepgate_types::Certainty::Unknown,
        has_sink: !shape.sinks.is_empty(),
        stores_rows: shape.sinks.iter().all(|sink| sink == "rows") && shape.kinds.iter().all(writes),
        action,
        approval: approval.name.clone(),
        policy_sha256: String::new(),
        limit: decided.limit,
        risk: decided.risk,
        key: None,
        ahead_only: false,
    })
}

/// Somebody by name, or by what stands for it.
fn name(person: &Person) -> Option<PersonName> {
    let stands = || person.key.get(..32).and_then(|digits| format!("0erased-{digits}").parse().ok());
    person.key.parse().ok().or_else(stands)
}

//! What grants let out: set aside in blocks, on disk before a row of them is delivered (DESIGN §2 *grant*).

use stepgate_record::{Event, GrantShare};
use stepgate_types::{Amount, GrantId, InForce, Limit, StatementId};

use super::inner::Inner;
use super::state::Kept;

/// A statement gets this part of a grant's budget at a time: not each row costs a sync, and what a crash loses is little.
const PARTS: u64 = 8;

/// What a statement needs of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// What it has left of earlier blocks.
    pub has: Limit,
    /// What its next row takes.
    pub next: Amount,
    /// The most it may get, whatever the grant has.
    pub most: Limit,
    /// People have approved this very row: it passes even if it is larger than all that the grant lets out.
    pub asked_for: bool,
    /// All that the grant has left, since how much it takes is known only when it has taken it: what it stores.
    pub all: bool,
}

/// A part of a grant's budget, set aside for one statement.
#[derive(Debug, Clone)]
pub struct Block {
    /// How much; `None` where the grant limits nothing.
    pub limit: Limit,
    /// To be on disk before any of it is delivered; `None` where nothing was taken.
    pub debited: Option<Event>,
    /// Whether nobody has revoked the grant since: then not another row of it is delivered.
    pub in_force: InForce,
}

impl Kept {
    pub(super) fn take_back(&mut self, unused: Amount) {
        self.left = self.left.plus(unused).least(self.grant.limit);
    }

    /// How much of it a statement gets; `None`: not enough is left.
    fn part(&self, need: &Need) -> Option<Limit> {
        let part = |all: Option<u64>, left: Option<u64>, has: Option<u64>, most: Option<u64>, next: u64| {
            let (Some(all), Some(left)) = (all, left) else { return Some(None) };
            let has = has.unwrap_or(0);
            let lacks = next.saturating_sub(has);
            if lacks == 0 {
                return Some(Some(0));
            }
            let part = if need.all { left } else { all / PARTS };
            let part = part.max(lacks).min(left);
            let part = if need.all { part } else { part.min(most.unwrap_or(u64::MAX)) };
            (part >= lacks || need.asked_for).then_some(Some(part))
        };
        Some(Limit {
            rows: part(self.grant.limit.rows, self.left.rows, need.has.rows, need.most.rows, need.next.rows)?,
            bytes: part(
                self.grant.limit.bytes,
                self.left.bytes,
                need.has.bytes,
                need.most.bytes,
                need.next.bytes,
            )?,
            subjects: part(
                self.grant.limit.subjects,
                self.left.subjects,
                need.has.subjects,
                need.most.subjects,
                need.next.subjects,
            )?,
        })
    }
}

impl Inner {
    /// Whether a grant limits what goes by it, as far as it is known.
    pub(super) fn is_limited(&self, grant: GrantId) -> bool {
        self.state().grants.get(&grant).is_none_or(|kept| !kept.grant.limit.is_none())
    }

    pub(super) fn set_aside(&self, grant: GrantId, statement: StatementId, need: &Need) -> Option<Block> {
        let now = self.clock.now();
        let mut state = self.state();
        let kept = state.grants.get_mut(&grant).filter(|kept| !kept.grant.is_due(now))?;
        let limit = kept.part(need)?;
        let taken = limit.amount();
        kept.left = kept.left.minus(taken);
        let in_force = kept.in_force.clone();
        let StatementId { session, number } = statement;
        let debited = (!taken.is_nothing()).then_some(Event::GrantDebited(GrantShare {
            grant,
            session,
            statement: number,
            rows: taken.rows,
            bytes: taken.bytes,
            subjects: Some(taken.subjects).filter(|subjects| *subjects > 0),
        }));
        Some(Block { limit, debited, in_force })
    }

    pub(super) fn give_back(&self, grant: GrantId, statement: StatementId, unused: Amount) {
        let is_there = self.state().grants.contains_key(&grant);
        if !is_there || unused.is_nothing() {
            return;
        }
        let StatementId { session, number } = statement;
        let Amount { rows, bytes, subjects } = unused;
        let subjects = Some(subjects).filter(|subjects| *subjects > 0);
        let credited =
            Event::GrantCredited(GrantShare { grant, session, statement: number, rows, bytes, subjects });
        // In the log before anybody can take it again: what is read back later is never more than there was.
        if self.log.note(credited).is_ok()
            && let Some(kept) = self.state().grants.get_mut(&grant)
        {
            kept.take_back(unused);
        }
    }
}

//! What limits over sessions and windows have counted, as far as the log tells: as `stepgate-proxy/accounts.rs` counts
//! while the gate serves.
//!
//! A record tells how much a statement delivered, and before and after which others that was, not when each row went. So
//! an account holds at least and at most how much that may have been; whether a limit was crossed is told only where both
//! come to the same.

use std::collections::BTreeMap;

use stepgate_policy::Metered;
use stepgate_types::{Amount, Limit, Per};

use crate::policy::tape::Span;

/// Parts of a window, and how long nothing must be delivered before a connection begins another sitting: as live.
const PARTS: u64 = 32;
const APART_US: i64 = 30 * 60 * 1_000_000;

/// A record is written so long after what it tells, at most.
const LAG_US: i64 = 1_000_000;

/// More than anybody delivers.
const NO_END: Amount = Amount { rows: u64::MAX, bytes: u64::MAX, subjects: u64::MAX };

/// At least so much, and at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Between {
    pub(crate) least: Amount,
    pub(crate) most: Amount,
}

impl Between {
    /// So many rows and bytes: of as many subjects as there are rows, or fewer.
    pub(crate) const fn just(rows: u64, bytes: u64) -> Self {
        Self { least: Amount::of(rows, bytes), most: Amount { rows, bytes, subjects: rows } }
    }

    /// Or more.
    pub(crate) const fn from(rows: u64, bytes: u64) -> Self {
        Self { least: Amount::of(rows, bytes), most: NO_END }
    }

    pub(crate) const fn and(self, more: Self) -> Self {
        Self { least: self.least.and(more.least), most: self.most.and(more.most) }
    }

    /// Or nothing.
    pub(crate) const fn at_most(self) -> Self {
        Self { least: Amount::NOTHING, ..self }
    }
}

/// A statement that counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metering {
    /// Whose, by the number of the name.
    pub(crate) who: u32,
    /// Its number, and that of its session.
    pub(crate) run: u32,
    pub(crate) session: u32,
    /// When that session began, if that is known.
    pub(crate) opened_us: Option<i64>,
    pub(crate) span: Span,
    /// What else of the same person's may have been delivered before it, and is counted after it.
    pub(crate) beside: Between,
}

/// All accounts of a replay.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    /// By who it is, rule and length.
    accounts: BTreeMap<(u32, String, Per), Account>,
    /// From when on everything is known, where that is not the beginning of the log.
    since_us: Option<i64>,
}

#[derive(Debug)]
struct Account {
    per: Per,
    /// By the first and the last part in which it may have been: what was done before whatever comes now.
    settled: BTreeMap<(u64, u64), Between>,
    recent: Vec<Recent>,
    /// When something was last to be delivered: not before, and not after.
    touched: Option<(i64, i64)>,
}

#[derive(Debug)]
struct Recent {
    session: u32,
    span: Span,
    parts: (u64, u64),
    amount: Between,
}

impl Meters {
    /// Before that instant nothing is known; `None`: nothing happened.
    pub(crate) fn new(since_us: Option<i64>) -> Self {
        Self { accounts: BTreeMap::new(), since_us }
    }

    /// What the limit has room for when a statement begins: at least, and at most.
    pub(crate) fn room(&mut self, metered: &Metered, it: &Metering) -> (Limit, Limit) {
        let limit = metered.limit;
        let so_far = self.account(metered, it).so_far(it).and(it.beside);
        let least = limit.minus(so_far.most);
        (least, limit.minus(so_far.least))
    }

    /// So much was taken of it.
    pub(crate) fn count(&mut self, metered: &Metered, it: &Metering, taken: Between) {
        let account = self.account(metered, it);
        let parts = (
            part_of(account.per, it.span.from_us.saturating_sub(LAG_US)),
            part_of(account.per, it.span.to_us),
        );
        account.recent.push(Recent { session: it.session, span: it.span, parts, amount: taken });
        let (least, most) = account.touched.unwrap_or((i64::MIN, i64::MIN));
        account.touched = Some((least.max(it.span.from_us.saturating_sub(LAG_US)), most.max(it.span.to_us)));
    }

    fn account(&mut self, metered: &Metered, it: &Metering) -> &mut Account {
        let key = (it.who, metered.rule.clone(), metered.per);
        let since = self.since_us;
        let account = self.accounts.entry(key).or_insert_with(|| Account::new(metered.per, since));
        account.settle(it);
        account
    }
}

impl Account {
    fn new(per: Per, since_us: Option<i64>) -> Self {
        let mut account = Self {
            per,
            settled: BTreeMap::new(),
            recent: Vec::new(),
            touched: since_us.map(|since| (i64::MIN, since)),
        };
        if let Some(since) = since_us {
            account
                .settled
                .insert((0, part_of(per, since)), Between { least: Amount::NOTHING, most: NO_END });
        }
        account
    }

    /// What was done before this is put together, and what has left the window goes.
    fn settle(&mut self, it: &Metering) {
        let settled = &mut self.settled;
        self.recent.retain(|recent| {
            let is_done = recent.span.done <= it.run;
            if is_done {
                let sum = settled.entry(recent.parts).or_default();
                *sum = sum.and(recent.amount);
            }
            !is_done
        });
        match self.per {
            Per::Window(_) => {
                // With room for what is counted later and was earlier.
                let first =
                    part_of(self.per, it.span.from_us.saturating_sub(LAG_US)).saturating_sub(2 * PARTS);
                self.settled.retain(|(_, to), _| *to >= first);
            }
            Per::Statement | Per::Session => self.begin_anew(it),
        }
    }

    /// Whoever connects half an hour after the last delivery is in another sitting.
    fn begin_anew(&mut self, it: &Metering) {
        let Some((least, most)) = self.touched else { return };
        match it.opened_us {
            Some(opened) if opened > most.saturating_add(APART_US) => {
                self.settled.clear();
                self.recent.clear();
            }
            Some(opened) if opened <= least.saturating_add(APART_US) => {}
            _ => {
                self.settled.values_mut().for_each(|amount| *amount = amount.at_most());
                self.recent.iter_mut().for_each(|recent| recent.amount = recent.amount.at_most());
            }
        }
    }

    fn so_far(&self, it: &Metering) -> Between {
        let first = |at_us: i64| part_of(self.per, at_us).saturating_sub(PARTS);
        let (early, late) = (first(it.span.from_us.saturating_sub(LAG_US)), first(it.span.to_us));
        let counts = |(from, to): (u64, u64), amount: Between| {
            if from >= late {
                amount
            } else if to >= early {
                amount.at_most()
            } else {
                Between::default()
            }
        };
        let settled = self.settled.iter().map(|(parts, amount)| counts(*parts, *amount));
        let recent = self.recent.iter().map(|recent| {
            let before = recent.session == it.session || recent.span.done <= it.span.begun;
            match counts(recent.parts, recent.amount) {
                amount if before => amount,
                _ if it.span.done <= recent.span.begun => Between::default(),
                amount => amount.at_most(),
            }
        });
        settled.chain(recent).fold(Between::default(), Between::and)
    }
}

/// In which part of its windows that is; of a session, all of it is one.
fn part_of(per: Per, at_us: i64) -> u64 {
    let Per::Window(window) = per else { return 0 };
    let micros = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);
    let length = (micros / i64::try_from(PARTS).unwrap_or(1)).max(1);
    u64::try_from(at_us / length).unwrap_or(0)
}

/// What a statement takes that needs so much, before one of these is out: `least` is surely there, `most` perhaps.
/// `points`: rows and bytes that were out when people were asked, and the bytes of the row that waited.
pub(crate) fn taken(need: Between, (least, most): (Limit, Limit), points: &[(u64, u64, u64)]) -> Between {
    let up_to = |needed: u64, room: Option<u64>| room.map_or(needed, |room| needed.min(room));
    let (rows, bytes) = (need.most.rows, need.most.bytes);
    // Where either may be out first, the other is what it was at a point that is known, or more.
    let before = points.iter().filter(|(rows, bytes, _)| {
        least.rows.is_none_or(|room| *rows <= room) && least.bytes.is_none_or(|room| *bytes <= room)
    });
    let known = before.max().copied();
    let stops_at = known.filter(|(rows, bytes, next)| {
        let is_out = |room: Option<u64>, out: u64| room.is_some_and(|room| room < out);
        is_out(most.rows, rows.saturating_add(1)) || is_out(most.bytes, bytes.saturating_add(*next))
    });
    if let Some((rows, bytes, _)) = stops_at {
        return Between::just(rows, bytes);
    }
    let (some_rows, some_bytes, _) = known.unwrap_or_default();
    let fits = |room: Option<u64>, needed: u64| room.is_none_or(|room| needed <= room);
    let (rows_fit, bytes_fit) = (fits(least.rows, rows), fits(least.bytes, bytes));
    Between {
        least: Amount::of(
            if bytes_fit { up_to(need.least.rows, least.rows) } else { some_rows },
            if rows_fit && bytes_fit { need.least.bytes } else { some_bytes },
        ),
        most: Amount {
            rows: up_to(rows, most.rows),
            bytes: up_to(bytes, most.bytes),
            subjects: up_to(rows, most.rows),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MINUTE: i64 = 60_000_000;

    fn metered(per: Per, limit: Limit) -> Metered {
        Metered { rule: "brake".to_owned(), per, limit }
    }

    fn hour(rows: u64) -> Metered {
        metered(Per::Window(Duration::from_secs(3600)), Limit::of(Some(rows), None))
    }

    /// The statement of that number, one after the other, at that minute.
    fn at(run: u32, minute: i64) -> Metering {
        let span = Span { begun: run, done: run + 1, from_us: minute * MINUTE, to_us: minute * MINUTE };
        Metering { who: 0, run, session: run, opened_us: Some(0), span, beside: Between::default() }
    }

    fn rows(room: (Limit, Limit)) -> (u64, u64) {
        (room.0.rows.unwrap(), room.1.rows.unwrap())
    }

    #[test]
    fn what_was_delivered_counts_until_it_has_left_the_window() {
        let (limit, mut meters) = (hour(100), Meters::new(None));
        meters.count(&limit, &at(0, 0), Between::just(60, 1));
        meters.count(&limit, &at(1, 30), Between::just(30, 1));
        assert_eq!(rows(meters.room(&limit, &at(2, 31))), (10, 10));
        // A part of the window more, as live; and near its end it may be either.
        assert_eq!(rows(meters.room(&limit, &at(3, 60))), (10, 10));
        let border = 33 * 3600 / 32;
        let mut near = at(4, 0);
        (near.span.from_us, near.span.to_us) = ((border - 1) * 1_000_000, (border + 1) * 1_000_000);
        assert_eq!(rows(meters.room(&limit, &near)), (10, 70));
        assert_eq!(rows(meters.room(&limit, &at(5, 63))), (70, 70));
        assert_eq!(rows(meters.room(&limit, &at(6, 200))), (100, 100));
        // Somebody else's, another rule's and another window's are others.
        let other = Metered { rule: "other".to_owned(), ..hour(100) };
        assert_eq!(rows(meters.room(&other, &at(7, 31))), (100, 100));
    }

    #[test]
    fn what_ran_at_the_same_time_may_have_come_before_or_not() {
        let (limit, mut meters) = (hour(100), Meters::new(None));
        let mut long = at(0, 0);
        long.span.done = 5;
        meters.count(&limit, &long, Between::just(60, 1));
        let mut within = at(2, 1);
        within.span.done = 3;
        assert_eq!(rows(meters.room(&limit, &within)), (40, 100));
        // One after the other in one session.
        within.session = 0;
        assert_eq!(rows(meters.room(&limit, &within)), (40, 40));
        assert_eq!(rows(meters.room(&limit, &at(5, 2))), (40, 40));
        // What waited for people was decided on before, and ran after that.
        let mut waited = at(6, 3);
        (waited.span.begun, waited.span.done) = (9, 10);
        meters.count(&limit, &waited, Between::just(40, 1));
        let mut before = at(7, 3);
        before.span.done = 8;
        assert_eq!(rows(meters.room(&limit, &before)), (40, 40));
        assert_eq!(
            rows(meters.room(&limit, &Metering { beside: Between::just(5, 5).at_most(), ..before })),
            (35, 40)
        );
    }

    #[test]
    fn a_session_is_a_sitting() {
        let (limit, mut meters) = (metered(Per::Session, Limit::of(Some(100), None)), Meters::new(None));
        meters.count(&limit, &at(0, 0), Between::just(60, 1));
        assert_eq!(rows(meters.room(&limit, &at(1, 500))), (40, 40), "the same connection, hours later");
        let opened = |run, minute| Metering { opened_us: Some(minute * MINUTE), ..at(run, minute) };
        assert_eq!(rows(meters.room(&limit, &opened(2, 29))), (40, 40));
        meters.count(&limit, &opened(2, 29), Between::just(10, 1));
        assert_eq!(rows(meters.room(&limit, &opened(3, 50))), (30, 30));
        assert_eq!(rows(meters.room(&limit, &opened(4, 60))), (100, 100));
        meters.count(&limit, &opened(4, 60), Between::just(10, 1));
        assert_eq!(rows(meters.room(&limit, &Metering { opened_us: None, ..at(5, 61) })), (90, 100));
    }

    #[test]
    fn what_is_not_known_is_everything_or_nothing() {
        let (limit, mut meters) = (hour(100), Meters::new(Some(0)));
        assert_eq!(rows(meters.room(&limit, &at(0, 1))), (0, 100), "what was before is not known");
        assert_eq!(rows(meters.room(&limit, &at(1, 63))), (100, 100));
        meters.count(&limit, &at(2, 70), Between::from(20, 0));
        assert_eq!(rows(meters.room(&limit, &at(3, 71))), (0, 80));
        assert_eq!(rows(meters.room(&limit, &at(4, 140))), (100, 100));
    }

    #[test]
    fn what_is_taken_before_a_limit_is_told_where_it_can_be() {
        let room = |rows, bytes| Limit::of(rows, bytes);
        let just = |rows, bytes| (room(rows, bytes), room(rows, bytes));
        let need = Between::just(100, 5_000);
        assert_eq!(taken(need, just(Some(200), Some(9_000)), &[]), need);
        assert_eq!(taken(need, just(Some(40), None), &[]).least.rows, 40);
        assert_eq!(taken(need, just(Some(40), None), &[]).most.rows, 40);
        // How many rows went before so many bytes is told by nobody but who was asked there.
        let some = taken(need, just(None, Some(2_000)), &[]);
        assert_eq!((some.least, some.most.rows, some.most.bytes), (Amount::of(0, 0), 100, 2_000));
        assert_eq!(taken(need, just(None, Some(2_000)), &[(38, 1_990, 52)]), Between::just(38, 1_990));
        let some = taken(need, just(None, Some(2_500)), &[(38, 1_990, 52)]);
        assert_eq!((some.least, some.most.bytes), (Amount::of(38, 1_990), 2_500));
        // Of an account that is not known.
        let some = taken(need, (room(Some(10), None), room(Some(60), None)), &[]);
        assert_eq!((some.least.rows, some.most.rows), (10, 60));
    }
}

//! A statement that passes costs no memory.
#![allow(unsafe_code, reason = "an allocator that counts is one that is written by hand")]

mod common;
#[path = "common/hundred.rs"]
mod hundred;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{With, dana, facts};
use stepgate_policy::{Bound, Circumstances, Decision, Ruleset};
use stepgate_sql::{Facts, NoValues};
use stepgate_types::{Action, Kind, Timestamp, Use};

struct Counting;

thread_local! {
    // Of this thread alone: the harness has others.
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: all of it is done by the system's allocator; counting touches no memory that it gave.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(rules: &Ruleset, who: &Circumstances, message: &[Facts]) -> (usize, Decision) {
    let bound = Bound::default();
    let before = COUNT.with(Cell::get);
    let decision = rules.decide_by(who, &bound, message, &NoValues);
    let _ = rules.hangs_on_moment(who, &bound, message);
    let after = COUNT.with(Cell::get);
    (after - before, decision)
}

#[test]
fn a_statement_that_no_rule_is_about_is_decided_without_asking_for_memory() {
    let rules = hundred::hundred();
    let who = Circumstances { now: Timestamp::from_micros(1_783_000_000_000_000), ..dana() };
    let wide = (0..20).fold(facts(), |facts, at| facts.touches(&format!("app.orders.c{at}"), &[Use::Output]));
    let join = facts().touches("app.t3.id", &[Use::Predicate]).touches("app.orders.total", &[Use::Output]);
    for message in [
        vec![],
        vec![facts()],
        vec![wide.clone()],
        vec![join],
        vec![facts().kind(Kind::Transaction).rows(None), wide, facts().kind(Kind::Insert)],
    ] {
        let (count, decision) = allocations(&rules, &who, &message);
        assert_eq!((count, decision.action), (0, Action::Allow), "{message:?}");
    }
    // It does count.
    let labelled = facts().touches("app.t5.a", &[Use::Output]);
    assert!(allocations(&rules, &who, &[labelled]).0 > 0);
}

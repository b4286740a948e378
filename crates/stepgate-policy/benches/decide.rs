//! A decision under a hundred rules: what passes, what is stepped up, and what cannot be understood.
#![allow(missing_docs, reason = "a benchmark")]

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/common/hundred.rs"]
mod hundred;

use std::hint::black_box;

use common::{With, dana, facts, ruleset};
use criterion::{Criterion, criterion_group, criterion_main};
use stepgate_policy::{Bound, Circumstances, Observation, Signal};
use stepgate_sql::{Doubt, NoValues};
use stepgate_types::{Kind, Use};

fn decide(c: &mut Criterion) {
    let rules = hundred::hundred();
    let (bound, who) = (Bound::default(), dana());
    let seen = |signal| Observation {
        signal,
        fires: true,
        bucket: String::new(),
        threshold: String::new(),
        at_most: false,
    };
    let risky = Circumstances { signals: [seen(Signal::NewNetwork)].into_iter().collect(), ..dana() };
    let unlabelled = ["id", "total", "created_at", "state"]
        .iter()
        .fold(facts(), |facts, column| facts.touches(&format!("app.orders.{column}"), &[Use::Output]));
    let join =
        unlabelled.clone().touches("app.t3.id", &[Use::Predicate]).touches("app.t4.id", &[Use::Predicate]);
    let labelled = facts().touches("app.t5.a", &[Use::Output]).touches("app.t5.b", &[Use::Predicate]);
    let unknown = facts().kind(Kind::Unknown).doubting(Doubt::Statement);
    for (name, who, facts) in [
        ("passes/one-table", &who, &unlabelled),
        ("passes/join", &who, &join),
        ("passes/with-signals", &risky, &unlabelled),
        ("steps-up/labelled", &who, &labelled),
        ("not-understood", &who, &unknown),
    ] {
        let message = [facts.clone()];
        c.bench_function(&format!("decide/100-rules/{name}"), |b| {
            b.iter(|| rules.decide_by(black_box(who), &bound, black_box(&message), &NoValues));
        });
    }
    let message = [unlabelled];
    c.bench_function("is_settled/100-rules", |b| {
        b.iter(|| rules.hangs_on_moment(black_box(&who), &bound, black_box(&message)));
    });
    let (map, policy) = (hundred::map(), hundred::policy());
    c.bench_function("load/100-rules", |b| b.iter(|| ruleset(black_box(&map), black_box(&policy))));
}

criterion_group!(benches, decide);
criterion_main!(benches);

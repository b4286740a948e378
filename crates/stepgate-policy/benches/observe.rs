//! How long it takes to observe all signals of a statement, and to learn from one. `cargo bench -p stepgate-policy --bench
//! observe`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a benchmark stops where it fails"
)]

#[path = "../tests/signals/world.rs"]
#[allow(dead_code, reason = "helpers of tests")]
mod world;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use stepgate_policy::{Counted, Deed, Reach, RiskSettings, Scene, Signal, VelocityLimit, Verdict, observe};
use stepgate_types::Timestamp;

use world::{MINUTE, World, client, minutes, office, orders};

/// Somebody who has worked for six weeks with 400 tables.
fn worker() -> World {
    let mut world = World::with_history();
    let session = world.opens(&office());
    for table in 0..400 {
        let name = format!("public.t{table}");
        world.runs(
            session,
            &Reach::new("shop", [name.as_str()], ["email"], ["confidential"], true, Some(50)),
            20,
        );
        world.after(MINUTE / 10);
    }
    world.settings.velocity = vec![
        VelocityLimit::new(Counted::Rows, Some(&["restricted"]), 500, minutes(60)),
        VelocityLimit::new(Counted::Statements, None, 100_000, minutes(24 * 60)),
    ];
    world
}

fn observing(c: &mut Criterion) {
    let world = worker();
    let (origin, reach) = (office(), orders());
    let scene = Scene {
        session: world::session(1),
        origin: &origin,
        client: "psql",
        service: false,
        now: Timestamp::from_micros(world.now * 1_000_000),
    };
    c.bench_function("observe: all 16 signals", |b| {
        b.iter(|| observe(black_box(&world.settings), &world.profile, &scene, black_box(&reach)));
    });
    let mut few = RiskSettings::default();
    for signal in [
        Signal::NewNetwork,
        Signal::NewClient,
        Signal::UnusualHour,
        Signal::FirstSeenTable,
        Signal::GeoChange,
    ] {
        few.weigh(signal, 10);
    }
    c.bench_function("observe: 5 signals", |b| {
        b.iter(|| observe(black_box(&few), &world.profile, &scene, black_box(&reach)));
    });
    c.bench_function("reach of a record", |b| b.iter(|| black_box(orders())));
}

fn learning(c: &mut Criterion) {
    let mut world = worker();
    let session = world.opens(&client("192.0.2.7", "psql"));
    let (reach, teaching) = (orders(), world.teaching);
    let mut at = world.now * 1_000_000;
    let mut statement = 1 << 40;
    c.bench_function("learn: a statement and its end", |b| {
        b.iter(|| {
            at += 50_000;
            statement += 1;
            let now = Timestamp::from_micros(at);
            let decided = Deed::Decided { session, statement, verdict: Verdict::Forwarded, reach: &reach };
            world.profile.learn(&teaching, now, &decided);
            world.profile.learn(
                &teaching,
                now,
                &Deed::Completed { session, statement, rows: 20, bytes: 2_000 },
            );
        });
    });
    let mut profile = Arc::new(world.profile.clone());
    c.bench_function("learn: the same after somebody took a snapshot", |b| {
        b.iter(|| {
            let held = Arc::clone(&profile);
            statement += 1;
            let decided = Deed::Decided { session, statement, verdict: Verdict::Forwarded, reach: &reach };
            Arc::make_mut(&mut profile).learn(&teaching, Timestamp::from_micros(at), &decided);
            held
        });
    });
}

criterion_group!(benches, observing, learning);
criterion_main!(benches);

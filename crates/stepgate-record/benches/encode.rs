//! What a record costs in the thread that makes it, and in the log's writer: `cargo bench -p stepgate-record`.

use std::hint::black_box;
use std::time::Instant;

use stepgate_record::{Envelope, Event, Fitted, Frontier, Hash, Record, Statement, Template};
use stepgate_types::{Action, Certainty, Kind, SessionId};

const LOG: &str = "00112233445566778899aabbccddeeff";
const TIMES: u32 = 200_000;

fn decided() -> Option<Event> {
    Some(Event::StatementDecided(Box::new(Statement {
        groups: vec!["analysts".parse().ok()?],
        database: "shop".to_owned(),
        protocol: "extended".to_owned(),
        kinds: vec![Kind::Select],
        runs: None,
        certainty: Certainty::Exact,
        relations: vec!["public.pgbench_accounts".to_owned()],
        estimate: Some(1),
        fingerprint: "f".repeat(64),
        normalised: "SELECT abalance FROM pgbench_accounts WHERE aid = $1".to_owned(),
        parameters: 1,
        action: Action::Allow,
        verdict: "forward".to_owned(),
        policy_sha256: "a".repeat(64),
        ..Statement::blank(SessionId::from_bytes([7; 16]), 12_345, "dana".parse().ok()?)
    })))
}

fn completed() -> Event {
    Event::StatementCompleted {
        session: SessionId::from_bytes([7; 16]),
        statement: 12_345,
        sqlstate: None,
        rows: 1,
        bytes: 23,
        duration_us: 77,
        suspended: false,
    }
}

fn timed(what: &str, mut f: impl FnMut()) {
    for _ in 0..TIMES / 10 {
        f();
    }
    let begun = Instant::now();
    for _ in 0..TIMES {
        f();
    }
    println!("{what}: {:.0} ns", begun.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES));
}

fn main() {
    let Some(decided) = decided() else { return };
    let mut fitted = Fitted::default();
    for (name, event) in [("statement.decided", &decided), ("statement.completed", &completed())] {
        timed(&format!("{name}, encoded"), || {
            let _ = black_box(fitted.fit_whole(black_box(event)));
        });
        timed(&format!("{name}, encoded into new room"), || {
            let _ = black_box(Fitted::new(black_box(event)));
        });
        if let Ok(template) = Template::new(event) {
            timed(&format!("{name}, by template"), || {
                let _ = black_box(template.fill(black_box(12_345), &mut fitted));
            });
        }
        let (mut out, mut prev, mut frontier, mut seq) = (Vec::new(), Hash::ZERO, Frontier::default(), 0);
        timed(&format!("{name}, spliced and hashed"), || {
            out.clear();
            let envelope = Envelope { log_id: LOG, seq, ts_us: 1_795_318_325_000_001, prev: &prev };
            let _ = black_box(fitted.cuts().splice(fitted.bytes(), &envelope, &mut out));
            prev = Hash::leaf(&out);
            frontier.push(prev);
            seq += 1;
        });
        timed(&format!("{name}, read"), || {
            let _ = black_box(Record::decode(black_box(&out)));
        });
        println!("{name}: {} bytes", out.len());
    }
}

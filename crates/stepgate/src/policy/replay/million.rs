//! How long a million records take: `cargo test --release -p stepgate --bin stepgate million -- --ignored --nocapture`,
//! or `RECORDS=200000` for fewer. Half of them are statements, half their ends; a hundred people and twenty rules.

use std::time::{Duration, Instant};

use stepgate_record::{Event, LabelledColumn, SessionOpened, Statement};
use stepgate_types::{Action, Actor, Certainty, Kind, SessionId, Use, Who};
use tokio::sync::mpsc;

use super::known::{Candidate, Known};
use super::{Ground, html};
use crate::args::InitArgs;
use crate::config::Config;
use crate::operator::Reply;
use crate::policy::tape::{self, Taking};
use crate::store::Store;

const MAP: &str = "\
version: 1
labels:
  email: {class: confidential}
  ssn: {class: restricted}
databases:
  shop:
    public.customers: {columns: {email: email, ssn: ssn}}
";

fn policy() -> String {
    let mut text = "\
version: 1
approvals:
  self: {self: true, remember: {for: 15m, scope: [person, client, network]}}
rules:
  - {name: restricted, match: {class: \">=restricted\"}, action: step-up, approval: self}
  - {name: many, match: {estimate_rows: \">50000\", labels: [email]}, action: step-up, approval: self}
"
    .to_owned();
    for number in 0..18 {
        text.push_str(&format!(
            "  - {{name: r{number}, match: {{labels: [email], person: [p{number}]}}, action: monitor}}\n"
        ));
    }
    text
}

fn session(number: u64) -> SessionId {
    let mut bytes = [7; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    SessionId::from_bytes(bytes)
}

/// Each session has a hundred statements.
fn events(number: u64, policy_sha256: &str) -> Vec<Event> {
    let (of_session, statement) = (session(number / 100), number % 100 + 1);
    let person = Who::from(format!("p{}", number / 100 % 100));
    let mut all = Vec::new();
    if statement == 1 {
        all.push(Event::SessionOpened(Box::new(SessionOpened {
            session: of_session,
            person: person.clone(),
            database: "shop".to_owned(),
            db_user: "analyst".to_owned(),
            address: Who::from(format!("10.0.0.{}", number / 100 % 200)),
            client: Who::from("psql"),
            tls: true,
            method: None,
            certificate_sha256: None,
            startup: None,
            hello: None,
            password: None,
        })));
    }
    let dice = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
    let label = if dice.is_multiple_of(50) { "ssn" } else { "email" };
    let touches = dice.is_multiple_of(5);
    let columns = touches.then(|| LabelledColumn {
        column: format!("public.customers.{label}"),
        label: label.to_owned(),
        class: if label == "ssn" { "restricted" } else { "confidential" }.to_owned(),
        uses: vec![Use::Output],
    });
    let asks = touches && label == "ssn";
    all.push(Event::StatementDecided(Box::new(Statement {
        database: "shop".to_owned(),
        protocol: "extended".to_owned(),
        kinds: vec![Kind::Select],
        runs: None,
        certainty: Certainty::Exact,
        relations: vec![if touches {
            "public.customers".to_owned()
        } else {
            format!("public.t{}", dice % 300)
        }],
        columns: columns.into_iter().collect(),
        // From the catalog, which is counted now and then.
        estimate: Some(dice % 40 * 2_500),
        fingerprint: format!("{:064x}", dice % 2_000),
        normalised: "SELECT email, full_name FROM customers WHERE id = $1".to_owned(),
        parameters: 1,
        rules: if asks { vec!["restricted".to_owned()] } else { vec![] },
        action: if asks { Action::StepUp } else { Action::Allow },
        verdict: "forward".to_owned(),
        policy_sha256: policy_sha256.to_owned(),
        db_user: "analyst".to_owned(),
        ..Statement::blank(of_session, statement, person)
    })));
    all.push(Event::StatementCompleted {
        session: of_session,
        statement,
        sqlstate: None,
        rows: dice % 30,
        bytes: 1_000,
        duration_us: 900,
        suspended: false,
    });
    all
}

#[test]
#[ignore = "a million records: worth its time in release only"]
fn a_million_records_are_replayed_in_ten_seconds() {
    let records = std::env::var("RECORDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000_u64);
    let dir = tempfile::tempdir().unwrap();
    let args = InitArgs {
        dir: dir.path().to_owned(),
        database: None,
        sslmode: "disable".to_owned(),
        listen: "127.0.0.1:6432".parse().unwrap(),
        console: "127.0.0.1:6480".parse().unwrap(),
    };
    crate::init::run(&args).unwrap();
    let config = Config::load(&dir.path().join("stepgate.yaml")).unwrap();
    let store = Store::open(&config).ok().unwrap();
    let files = ["map.yaml", "policy.yaml"].map(std::path::PathBuf::from);
    let [map, rules] = files;
    let candidate = Candidate::compile((map, MAP.to_owned()), (rules, policy())).unwrap();
    for from in (0..records / 2).step_by(500) {
        let some: Vec<_> =
            (from..from + 500).flat_map(|number| events(number, candidate.rules.sha256())).collect();
        store.log.append_blocking(some, Vec::new()).unwrap();
    }
    let began = Instant::now();
    let (out, mut replies) = mpsc::channel(64);
    let giving =
        std::thread::spawn(move || tape::make(&store, &Actor::Operator(None), (None, None), true, &out));
    let mut taking = Taking::default();
    while let Some(reply) = replies.blocking_recv() {
        if let Reply::Text(text) = reply {
            text.lines().for_each(|line| taking.line(line).unwrap());
        }
    }
    giving.join().unwrap().unwrap();
    let taken = began.elapsed();
    let mut known = Known::default();
    known.add(&candidate.rules);
    let ground =
        Ground { tape: taking.tape, known, since: None, until: stepgate_types::Timestamp::from_micros(0) };
    let report = ground.replay(&candidate, None);
    let page = html::page(&report);
    let all = began.elapsed();
    println!(
        "{records} records, {} statements of {} kinds: read in {taken:.2?}, replayed in {:.2?}, in all {all:.2?}; page {} bytes",
        report.tally.statements,
        ground.tape.shapes.len(),
        all - taken,
        page.len()
    );
    assert_eq!(report.tally.statements, records / 2);
    assert!(cfg!(debug_assertions) || all < Duration::from_secs(10), "{all:?}");
}

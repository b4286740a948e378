//! What a gate records of its traffic.

use stepgate_record::{Event, LabelledColumn, Statement};
use stepgate_types::{Action, Certainty, Kind, SessionId, Use, Who};

/// As a gate of 100 people, 4,096 sessions and 40 tables records them; every second one is a completion.
pub(crate) fn event(number: u64) -> Event {
    let dice = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24;
    let [.., a, b] = dice.to_be_bytes();
    let session = SessionId::from_bytes([a, b & 15, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7]);
    if number % 2 == 1 {
        let (sqlstate, rows, bytes, duration_us) = (None, dice % 100, dice % 10_000, dice % 100_000);
        return Event::StatementCompleted {
            session,
            statement: number / 2,
            sqlstate,
            rows,
            bytes,
            duration_us,
            suspended: false,
        };
    }
    let table = format!("public.table_{}", dice % 40);
    // One in 64 reads what is classified; one in 16,384 what hardly anybody reads.
    let label =
        if dice.is_multiple_of(16_384) { Some("ssn") } else { dice.is_multiple_of(64).then_some("email") };
    let column = |label: &str| LabelledColumn {
        column: format!("{table}.{label}"),
        label: label.to_owned(),
        class: "restricted".to_owned(),
        uses: vec![Use::Output],
    };
    let columns: Vec<_> = label.into_iter().map(column).collect();
    let person = Who::Name(format!("person-{}", dice % 100));
    Event::StatementDecided(Box::new(Statement {
        database: "shop".to_owned(),
        protocol: "extended".to_owned(),
        kinds: vec![Kind::Select],
        runs: None,
        certainty: Certainty::Exact,
        relations: vec![table],
        rules: columns.iter().map(|_| "restricted".to_owned()).collect(),
        verdict: if columns.is_empty() { "forward" } else { "hold" }.to_owned(),
        columns,
        estimate: Some(1),
        fingerprint: "f".repeat(64),
        normalised: "SELECT abalance FROM pgbench_accounts WHERE aid = $1".to_owned(),
        parameters: 1,
        action: Action::Allow,
        policy_sha256: "a".repeat(64),
        ..Statement::blank(session, number / 2, person)
    }))
}

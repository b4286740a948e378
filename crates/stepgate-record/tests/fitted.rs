//! Encoding in one pass gives the bytes that `Record::encode` gives.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of the tests are tests, too")]

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use stepgate_record::{
    Completed, Envelope, Event, Fitted, Hash, Joiner, LabelledColumn, MAX_RECORD_BYTES, Outcome, Record,
    RecordError, Refusal, RiskSignal, Started, Statement, Template, Why,
};
use stepgate_types::{
    Action, BulkShape, Certainty, Estimator, GrantId, Kind, RequestId, SessionId, Timestamp, Use,
};

const LOG: &str = "00112233445566778899aabbccddeeff";

/// The largest number that records hold.
const MAX_SAFE: u64 = (1 << 53) - 1;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{0,12}",
        "\\PC{0,8}",
        // What has to be escaped, and what stands beside it.
        "[\"\\\\\\x00-\\x1f\\x7f /\u{2028}\u{e9}\u{1f600}]{0,8}",
    ]
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..100_u64, 0..=MAX_SAFE, Just(MAX_SAFE), Just(0)]
}

fn column() -> impl Strategy<Value = LabelledColumn> {
    (text(), text(), text(), vec(prop::sample::select(vec![Use::Output, Use::Predicate, Use::Write]), 0..3))
        .prop_map(|(column, label, class, uses)| LabelledColumn { column, label, class, uses })
}

prop_compose! {
    fn statement()(
        ids in (any::<[u8; 16]>(), number(), option::of(any::<[u8; 5]>()), option::of(any::<[u8; 8]>())),
        words in vec(text(), 6),
        lists in vec(vec(text(), 0..3), 4),
        columns in vec(column(), 0..3),
        kinds in vec(prop::sample::select(Kind::ALL.to_vec()), 0..3),
        estimate in option::of(number()),
        estimated_by in option::of(prop::sample::select(vec![Estimator::Statement, Estimator::Planner])),
        parameters in number(),
        refusal in option::of(prop::sample::select(Refusal::ALL.to_vec())),
    ) -> Statement {
        let (session, statement, request, grant) = ids;
        let mut words = words.into_iter();
        let mut lists = lists.into_iter();
        let mut word = || words.next().unwrap();
        let mut list = || lists.next().unwrap();
        Statement {
            session: SessionId::from_bytes(session),
            statement,
            person: "dana".parse().unwrap(),
            groups: vec!["analysts".parse().unwrap(), "b".parse().unwrap()],
            database: word(),
            protocol: word(),
            runs: (kinds.len() > 1).then(|| kinds.clone()),
            kinds,
            certainty: Certainty::Over,
            reasons: list(),
            relations: list(),
            columns,
            sinks: list(),
            bulk: BulkShape::WholeTable,
            estimate,
            estimated_by,
            fingerprint: word(),
            normalised: word(),
            parameters,
            rules: list(),
            action: Action::Allow,
            verdict: word(),
            refusal,
            request: request.map(RequestId::from_bytes),
            grant: grant.map(GrantId::from_bytes),
            policy_sha256: word(),
            db_user: String::new(),
            runs_as: None,
            unenforced: false,
        service: false,
            functions: vec![],
            raw_bytes: None,
            raw_hmac: String::new(),
            why: vec![],
            risk: None,
            signals: vec![],
            purpose: None,
            buckets: vec![],
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => statement().prop_map(|statement| Event::StatementDecided(Box::new(statement))),
        2 => (any::<[u8; 16]>(), number(), option::of(text()), number(), number(), number()).prop_map(
            |(session, statement, sqlstate, rows, bytes, duration_us)| Event::StatementCompleted {
                session: SessionId::from_bytes(session), statement, sqlstate, rows, bytes, duration_us,
                suspended: false,
            }
        ),
        1 => Just(Event::LogStopped {}),
        1 => text().prop_map(|version| Event::LogStarted(Started::new(version))),
        1 => (any::<[u8; 5]>(), option::of(text())).prop_map(|(request, reason_hmac)| Event::StepupEnded {
            request: RequestId::from_bytes(request),
            outcome: Outcome::Withdrawn,
            by: Some("erin".parse().unwrap()),
            reason_hmac,
            reason: None,
        }),
    ]
}

fn record(event: &Event, seq: u64, ts_us: i64, prev: Hash) -> Record {
    let (log_id, at) = (LOG.to_owned(), Timestamp::from_micros(ts_us));
    Record::new(&log_id, seq, at, prev, event.clone())
}

proptest! {
    #[test]
    fn in_one_pass_or_by_the_record_the_bytes_are_the_same(
        events in vec(event(), 1..4),
        seq in number(),
        ts_us in prop_oneof![-99..99_i64, 0..i64::try_from(MAX_SAFE).unwrap()],
        prev in any::<[u8; 32]>(),
    ) {
        let prev = Hash::from_bytes(prev);
        // One after the other in the same room.
        let mut fitted = Fitted::default();
        for event in &events {
            let expected = record(event, seq, ts_us, prev).encode().unwrap();
            assert!(fitted.fit_whole(event));
            prop_assert_eq!(
                String::from_utf8(fitted.record(LOG, seq, ts_us, &prev).unwrap()),
                String::from_utf8(expected.clone())
            );
            prop_assert_eq!(Record::decode(&expected), Ok(record(event, seq, ts_us, prev)));
        }
    }

    #[test]
    fn a_template_gives_what_the_event_gives(statement in statement(), other in number(), seq in number()) {
        let template = Template::new(&Event::StatementDecided(Box::new(statement.clone()))).unwrap();
        let event = Event::StatementDecided(Box::new(Statement { statement: other, ..statement }));
        let mut fitted = Fitted::default();
        template.fill(other, &mut fitted).unwrap();
        prop_assert_eq!(&fitted, &Fitted::new(&event).unwrap());
        prop_assert_eq!(
            fitted.record(LOG, seq, 5, &Hash::ZERO).unwrap(),
            record(&event, seq, 5, Hash::ZERO).encode().unwrap()
        );
    }
}

proptest! {
    #[test]
    fn a_statements_end_is_recorded_as_its_event_is(
        session in any::<[u8; 16]>(),
        (statement, rows, bytes, duration_us) in (number(), number(), number(), number()),
    ) {
        let session = SessionId::from_bytes(session);
        let completed = Completed { session, statement, rows, bytes, duration_us };
        let mut fitted = Fitted::default();
        prop_assert_eq!(fitted.fit_completed(&completed), Some(()));
        prop_assert_eq!(&fitted, &Fitted::new(&completed.event()).unwrap());
        prop_assert_eq!(fitted.fit_completed(&Completed { rows: MAX_SAFE + 1, ..completed }), None);
    }
}

#[test]
fn what_is_appended_to_other_records_is_the_same() {
    let fitted = Fitted::new(&Event::LogStopped {}).unwrap();
    let mut out = b"before".to_vec();
    let envelope = Envelope { log_id: LOG, seq: 12, ts_us: -3, prev: &Hash::leaf(b"x") };
    fitted.cuts().splice(fitted.bytes(), &envelope, &mut out).unwrap();
    assert_eq!(out[6..], fitted.record(LOG, 12, -3, &Hash::leaf(b"x")).unwrap());
}

#[test]
fn a_place_that_cannot_be_written_leaves_what_is_there() {
    let fitted = Fitted::new(&Event::LogStopped {}).unwrap();
    let mut out = b"before".to_vec();
    let good = Envelope { log_id: LOG, seq: 0, ts_us: 0, prev: &Hash::ZERO };
    for bad in [
        Envelope { seq: MAX_SAFE + 1, ..good },
        Envelope { ts_us: i64::MIN, ..good },
        Envelope { log_id: "00", ..good },
    ] {
        assert!(fitted.cuts().splice(fitted.bytes(), &bad, &mut out).is_err());
        assert_eq!(out, b"before");
    }
    // The bytes of another event.
    assert!(fitted.cuts().splice(b"{}", &good, &mut out).is_err());
    assert_eq!(out, b"before");
}

#[test]
fn an_event_without_a_statement_or_of_any_length_is_no_template() {
    assert!(matches!(Template::new(&Event::LogStopped {}), Err(RecordError::Malformed(_))));
    let failed = |sqlstate: usize| {
        Template::new(&Event::StatementParseFailed {
            session: SessionId::from_bytes([7; 16]),
            statement: 1,
            sqlstate: "x".repeat(sqlstate),
        })
    };
    assert!(failed(5).is_ok());
    assert!(failed(MAX_RECORD_BYTES).is_err());
    // It might be too long with a longer number.
    let longest = (0..MAX_RECORD_BYTES).rev().find(|length| failed(*length).is_ok()).unwrap();
    let mut fitted = Fitted::default();
    failed(longest).unwrap().fill(MAX_SAFE, &mut fitted).unwrap();
    let bytes = fitted.record(LOG, MAX_SAFE, -i64::try_from(MAX_SAFE).unwrap(), &Hash::ZERO).unwrap();
    assert_eq!(bytes.len(), MAX_RECORD_BYTES);
    assert!(failed(5).unwrap().fill(MAX_SAFE + 1, &mut fitted).is_err());
}

#[test]
fn a_number_that_no_reader_keeps_is_capped_and_marked() {
    let event = Event::StatementCompleted {
        session: SessionId::from_bytes([7; 16]),
        statement: 1,
        sqlstate: None,
        rows: u64::MAX,
        bytes: 1,
        duration_us: 1,
        suspended: false,
    };
    let bytes = Fitted::new(&event).unwrap().record(LOG, 0, 0, &Hash::ZERO).unwrap();
    let record = Record::decode(&bytes).unwrap();
    assert_eq!(record.shortened, BTreeMap::from([("rows".to_owned(), MAX_SAFE)]));
}

/// A name as long as PostgreSQL keeps any, of characters that take most room in JSON; or far longer than that.
fn long_name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec!["x".repeat(63), "\u{1}".repeat(63), "\"".repeat(126), "\u{e9}".repeat(63)])
            .prop_map(|part| [part.as_str(); 3].join(".")),
        1 => (1..6_000_usize).prop_map(|length| "n".repeat(length)),
        3 => text(),
    ]
}

prop_compose! {
    /// As the judge makes them, of a catalog and a policy whose names are as long, and as many, as they can be.
    fn sprawling()(
        mut statement in statement(),
        columns in vec((long_name(), long_name()), 0..150),
        lists in vec(vec(long_name(), 0..60), 5),
        why in vec((long_name(), long_name(), long_name()), 0..33),
        signals in vec((text(), text()), 0..17),
        roles in vec(prop::sample::select(vec!["\u{1}".repeat(63), "r".repeat(63)]), 3),
        normalised in "[ -~\u{e9}]{0,1024}",
    ) -> Statement {
        let mut lists = lists.into_iter();
        let mut list = || lists.next().unwrap();
        statement.columns = columns
            .into_iter()
            .map(|(column, label)| LabelledColumn { column, label, class: "restricted".to_owned(), uses: vec![Use::Output] })
            .collect();
        (statement.relations, statement.reasons, statement.rules) = (list(), list(), list());
        (statement.functions, statement.sinks) = (list(), list());
        let why = why.into_iter();
        statement.why = why
            .map(|(rule, bucket, threshold)| Why { rule, clause: "columns".to_owned(), bucket, threshold })
            .collect();
        let signal = |(bucket, threshold)| RiskSignal { name: "interactive_service".repeat(3), bucket, threshold, weight: 100 };
        statement.signals = signals.into_iter().map(signal).collect();
        statement.runs_as = Some(format!("{} of {} or another", roles[0], roles[1]));
        statement.db_user.clone_from(&roles[2]);
        (statement.raw_hmac, statement.fingerprint) = ("0".repeat(32), "0".repeat(64));
        statement.normalised = normalised;
        statement
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn no_decision_is_lost_or_refused_since_its_names_are_long_or_many(statement in sprawling()) {
        let event = Event::StatementDecided(Box::new(statement.clone()));
        let all = Fitted::all(&event).unwrap();
        prop_assert!(all.len() <= 17);
        let mut joiner = Joiner::default();
        let mut whole = Vec::new();
        for (seq, fitted) in (7..).zip(&all) {
            let bytes = fitted.record(LOG, seq, 1_795_318_325_000_001, &Hash::ZERO).unwrap();
            prop_assert!(bytes.len() <= MAX_RECORD_BYTES);
            whole.extend(joiner.take(Record::decode(&bytes).unwrap()));
        }
        whole.extend(joiner.finish());
        prop_assert_eq!(whole.len(), 1);
        let Event::StatementDecided(read) = &whole[0].event else { panic!("another event") };
        // What is there is the beginning of what there was, and what is not there is said to be missing.
        let columns = read.columns.len();
        prop_assert_eq!(&read.columns[..], &statement.columns[..columns]);
        prop_assert_eq!(&read.why[..], &statement.why[..read.why.len()]);
        let lost = columns < statement.columns.len();
        prop_assert_eq!(whole[0].shortened.contains_key("columns"), lost);
    }
}

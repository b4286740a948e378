//! Records and their canonical bytes.

#![expect(clippy::unwrap_used, reason = "helpers of the tests are tests, too")]

use stepgate_record::{
    AuthFailed, Event, Fitted, Hash, Joiner, LabelledColumn, MAX_RECORD_BYTES, Record, RecordError, Refusal,
    SessionOpened, Started, Statement,
};
use stepgate_types::{Action, Certainty, Kind, SessionId, Timestamp, Use};

const LOG: &str = "00112233445566778899aabbccddeeff";

fn statement(columns: usize) -> Statement {
    Statement {
        groups: vec!["analysts".parse().unwrap()],
        database: "shop".to_owned(),
        protocol: "simple".to_owned(),
        kinds: vec![Kind::Select],
        runs: None,
        certainty: Certainty::Exact,
        relations: vec!["public.customers".to_owned()],
        columns: (0..columns)
            .map(|i| LabelledColumn {
                column: format!("public.\"Stra\u{df}e \u{1f600}\\\"\".c{i}"),
                label: "email".to_owned(),
                class: "confidential".to_owned(),
                uses: vec![Use::Output],
            })
            .collect(),
        estimate: Some(5),
        fingerprint: "f".repeat(64),
        normalised: "select $1".to_owned(),
        rules: vec!["restricted-read".to_owned()],
        action: Action::StepUp,
        verdict: "hold".to_owned(),
        policy_sha256: "a".repeat(64),
        ..Statement::blank(SessionId::from_bytes([7; 16]), 1, "dana".parse().unwrap())
    }
}

fn record(event: Event) -> Record {
    Record::new(LOG, 3, Timestamp::from_micros(1_795_318_325_000_001), Hash::leaf(b"x"), event)
}

#[test]
fn the_canonical_bytes_of_a_record_are_these() {
    let record = record(Event::LogStarted(Started::new("0.1\n\u{e9}")));
    let expected = "{\"log_id\":\"00112233445566778899aabbccddeeff\",\
        \"prev\":\"86d75c02f1c39a01b78a41f20e74e99ee0ec40e5e4fdc78eb3d2ff33f4d40cd4\",\
        \"seq\":3,\"ts_us\":1795318325000001,\"type\":\"log.started\",\"v\":2,\"version\":\"0.1\\n\u{e9}\"}";
    let expected = expected.replace(
        "86d75c02f1c39a01b78a41f20e74e99ee0ec40e5e4fdc78eb3d2ff33f4d40cd4",
        &Hash::leaf(b"x").to_string(),
    );
    assert_eq!(String::from_utf8(record.encode().unwrap()).unwrap(), expected);
    assert_eq!(Record::decode(expected.as_bytes()), Ok(record));
}

#[test]
fn a_record_survives_encoding() {
    let record = record(Event::StatementDecided(Box::new(statement(3))));
    assert_eq!(Record::decode(&record.encode().unwrap()), Ok(record));
}

#[test]
fn anything_but_the_canonical_form_is_refused() {
    let good =
        record(Event::SessionAuthFailed(Box::new(AuthFailed::of(None, "::1".into())))).encode().unwrap();
    let good = String::from_utf8(good).unwrap();
    assert!(Record::decode(good.as_bytes()).is_ok());
    for (from, to) in [
        ("\"v\":2", "\"v\":2,\"x\":1"),
        ("\"v\":2", "\"v\":3"),
        ("\"v\":2", "\"v\":0"),
        ("\"v\":2", "\"v\":2.0"),
        ("\"v\":2", "\"v\":2 "),
        ("\"seq\":3", "\"seq\":3,\"seq\":3"),
        ("\"seq\":3", "\"seq\":-3"),
        ("\"seq\":3", "\"seq\":\"3\""),
        ("\"seq\":3,", ""),
        ("\"person\":null,", ""),
        ("::1", "\\u003a:1"),
        ("\"address\":\"::1\",", ""),
        ("\"prev\":\"", "\"prev\":\"A"),
        ("session.auth_failed", "session.auth_filed"),
        ("\"v\":2", "\"shortened\":{},\"v\":2"),
        ("\"v\":2", "\"shortened\":{\"address\":9},\"v\":2"),
        ("00112233", "0011223G"),
        ("}", "}\n"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        assert!(Record::decode(bad.as_bytes()).is_err(), "{bad}");
    }
    assert_eq!(Record::decode(&[b' '; MAX_RECORD_BYTES + 1]), Err(RecordError::TooLong));
}

/// Members that came later are in no record that has nothing to tell by them: old records keep their bytes.
#[test]
fn another_role_than_the_sessions_is_in_records_where_there_is_one_alone() {
    let encoded = |statement| record(Event::StatementDecided(Box::new(statement))).encode().unwrap();
    let plain = encoded(statement(1));
    assert!(!String::from_utf8(plain).unwrap().contains("runs_as"));
    let other = Statement { runs_as: Some("other".to_owned()), ..statement(1) };
    let bytes = encoded(other.clone());
    assert!(String::from_utf8(bytes.clone()).unwrap().contains("\"runs_as\":\"other\""));
    assert_eq!(Record::decode(&bytes), Ok(record(Event::StatementDecided(Box::new(other)))));
}

#[test]
fn why_the_gate_itself_refuses_is_in_records_where_it_does_alone() {
    let encoded = |statement| record(Event::StatementDecided(Box::new(statement))).encode().unwrap();
    assert!(!String::from_utf8(encoded(statement(1))).unwrap().contains("refusal"));
    for refusal in Refusal::ALL {
        let refused = Statement { refusal: Some(refusal), ..statement(1) };
        let decoded = Record::decode(&encoded(refused.clone()));
        assert_eq!(decoded, Ok(record(Event::StatementDecided(Box::new(refused)))));
    }
    let invented = String::from_utf8(encoded(statement(1))).unwrap();
    let invented = invented.replace("\"rules\":", "\"refusal\":\"because\",\"rules\":");
    assert_eq!(Record::decode(invented.as_bytes()), Err(RecordError::NotAnEvent));
}

#[test]
fn records_of_the_first_format_are_read_with_the_names_in_them() {
    let failed = Event::SessionAuthFailed(Box::new(AuthFailed::of(Some("dana".into()), "::1".into())));
    let old = Record { version: 1, ..record(failed) };
    let bytes = old.encode().unwrap();
    assert!(String::from_utf8(bytes.clone()).unwrap().contains("\"person\":\"dana\""));
    let read = Record::decode(&bytes).unwrap();
    assert_eq!((&read, read.encode().unwrap()), (&old, bytes.clone()));
    // A name shortened in it is marked as then.
    let opened = Event::SessionOpened(Box::new(SessionOpened {
        session: SessionId::from_bytes([1; 16]),
        person: "dana".into(),
        database: "shop".to_owned(),
        db_user: "analyst".to_owned(),
        address: "::1".into(),
        client: "psq".into(),
        tls: true,
        method: None,
        certificate_sha256: None,
        password: None,
        startup: None,
        hello: None,
    }));
    let mut cut = Record { version: 1, ..record(opened) };
    cut.shortened.insert("client".to_owned(), 4);
    assert_eq!(Record::decode(&cut.encode().unwrap()), Ok(cut));
}

#[test]
fn no_flipped_bit_of_a_record_decodes_to_the_same_record() {
    let record = record(Event::StatementDecided(Box::new(statement(2))));
    let good = record.encode().unwrap();
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            assert_ne!(Record::decode(&bad).as_ref(), Ok(&record), "byte {at} bit {bit}");
        }
    }
}

/// The records of an event, read back, and as a whole.
fn recorded(event: &Event) -> (Vec<Record>, Record) {
    let mut prev = Hash::ZERO;
    let mut records = Vec::new();
    for (seq, fitted) in (7..).zip(Fitted::all(event).unwrap()) {
        let bytes = fitted.record(LOG, seq, 1, &prev).unwrap();
        assert!(bytes.len() <= MAX_RECORD_BYTES);
        prev = Hash::leaf(&bytes);
        records.push(Record::decode(&bytes).unwrap());
    }
    let mut joiner = Joiner::default();
    let mut whole: Vec<_> = records.iter().cloned().flat_map(|record| joiner.take(record)).collect();
    whole.extend(joiner.finish());
    assert_eq!(whole.len(), 1);
    (records, whole.remove(0))
}

#[test]
fn what_does_not_fit_goes_on_in_the_next_records_and_nothing_is_lost() {
    for columns in [2, 31, 40, 200, 250] {
        let mut long = statement(columns);
        long.normalised = "select \u{e9}".repeat(1000);
        long.relations = (0..columns).map(|n| format!("public.table_{n}")).collect();
        let event = Event::StatementDecided(Box::new(long));
        let (records, whole) = recorded(&event);
        assert!(records.len() > 1, "{columns}");
        assert!(whole.event == event, "{columns}");
        assert!(whole.continued.is_empty() && whole.shortened.is_empty());
        let first = records[0].encode().unwrap();
        assert!(first.len() > MAX_RECORD_BYTES / 2, "cut more than needed: {}", first.len());
        let Event::StatementDecided(short) = &records[0].event else { panic!("another event") };
        let Event::StatementDecided(long) = &event else { panic!("another event") };
        assert_eq!(short.columns[..], long.columns[..short.columns.len()], "the first are in the first");
    }
}

#[test]
fn what_is_more_than_sixteen_records_hold_is_shortened_and_says_so() {
    let mut long = statement(2000);
    long.estimate = Some(u64::MAX);
    long.normalised = "select \u{e9}".repeat(1000);
    let event = Event::StatementDecided(Box::new(long.clone()));
    let (records, whole) = recorded(&event);
    assert_eq!(records.len(), 17);
    assert_eq!(records[0].shortened["columns"], 2000);
    assert_eq!(records[0].shortened["normalised"], 9000);
    assert_eq!(records[0].shortened["estimate"], (1 << 53) - 1);
    let Event::StatementDecided(short) = whole.event else { panic!("another event") };
    assert_eq!(records[0].continued["columns"], short.columns.len() as u64);
    assert!(short.columns.len() > 300);
    assert_eq!(short.columns[..], long.columns[..short.columns.len()], "the first are kept");
}

#[test]
fn a_part_that_is_missing_moved_or_of_another_record_is_not_joined() {
    let event = Event::StatementDecided(Box::new(statement(200)));
    let (records, _) = recorded(&event);
    let join = |records: &[Record]| {
        let mut joiner = Joiner::default();
        let mut whole: Vec<_> = records.iter().cloned().flat_map(|record| joiner.take(record)).collect();
        whole.extend(joiner.finish());
        whole
    };
    for missing in 1..records.len() {
        let mut some = records.clone();
        some.remove(missing);
        let whole = join(&some);
        assert_ne!(whole[0].event, event);
        assert!(whole[0].continued["columns"] == 200, "it says that there is more");
    }
    let mut swapped = records.clone();
    swapped.swap(1, 2);
    assert_ne!(join(&swapped)[0].event, event);
    // Where reading begins in the middle.
    assert_eq!(join(&records[2..]), records[2..]);
}

#[test]
fn an_event_that_fits_is_not_touched() {
    let event = Event::StatementDecided(Box::new(statement(3)));
    let bytes =
        Fitted::new(&event).unwrap().record(LOG, 3, 1_795_318_325_000_001, &Hash::leaf(b"x")).unwrap();
    assert_eq!(bytes, record(event).encode().unwrap());
}

#[test]
fn what_may_not_be_shortened_and_does_not_fit_is_refused() {
    let event = Event::LogStarted(Started::new("x".repeat(5000)));
    assert!(matches!(Fitted::all(&event), Err(RecordError::TooLong)));
}

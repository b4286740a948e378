//! Filters: which records pass.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use stepgate_record::{Event, Facet, Filter, Hash, Outcome, Record};
use stepgate_types::{RequestId, Timestamp};

fn record(at: i64, event: &str) -> Record {
    let event: Event = serde_json::from_str(event).unwrap();
    Record::new(&"0".repeat(32), 0, Timestamp::from_micros(at), Hash::ZERO, event)
}

fn login(person: &str, address: &str) -> Record {
    record(5, &format!("{{\"type\":\"admin.login\",\"person\":\"{person}\",\"address\":\"{address}\"}}"))
}

fn ended(outcome: Outcome) -> Record {
    let request = RequestId::from_bytes([1; 5]);
    let mut record = login("dana", "::1");
    record.event = Event::StepupEnded { request, outcome, by: None, reason_hmac: None, reason: None };
    record
}

fn filter(json: &str) -> Filter {
    serde_json::from_str(json).unwrap()
}

#[test]
fn an_empty_filter_lets_everything_pass() {
    assert!(Filter::default().is_empty());
    assert!(Filter::default().matches(&login("dana", "::1")));
}

#[test]
fn of_a_list_one_must_hold_and_of_members_all() {
    let both = filter("{\"person\":[\"omar\",\"dana\"],\"address\":[\"10.0.0.1\"]}");
    assert!(both.matches(&login("dana", "10.0.0.1")));
    assert!(both.matches(&login("omar", "10.0.0.1")));
    assert!(!both.matches(&login("dana", "10.0.0.2")));
    assert!(!both.matches(&login("kim", "10.0.0.1")));
    assert!(!filter("{\"label\":[\"ssn\"]}").matches(&login("dana", "::1")));
}

#[test]
fn a_family_of_types_ends_in_a_star() {
    assert!(filter("{\"type\":[\"stepup.*\"]}").matches(&ended(Outcome::Denied)));
    assert!(
        filter("{\"type\":[\"stepup.ended\"],\"outcome\":[\"denied\"]}").matches(&ended(Outcome::Denied))
    );
    assert!(!filter("{\"type\":[\"stepup\"]}").matches(&ended(Outcome::Denied)));
    assert!(!filter("{\"type\":[\"session.*\"]}").matches(&ended(Outcome::Denied)));
    let request = RequestId::from_bytes([1; 5]);
    assert!(Filter { request: vec![request], ..Filter::default() }.matches(&ended(Outcome::Denied)));
}

#[test]
fn times_begin_with_since_and_end_before_until() {
    let at = |since, until| filter(&format!("{{\"since\":{since},\"until\":{until}}}"));
    for (since, until, passes) in [(5, 6, true), (0, 5, false), (6, 9, false), (0, 9, true)] {
        assert_eq!(at(since, until).matches(&login("dana", "::1")), passes, "{since} {until}");
        let sieve = at(since, until).sieve();
        assert_eq!(sieve.excludes(Timestamp::from_micros(5), Timestamp::from_micros(5)), !passes);
    }
}

#[test]
fn people_are_found_by_name_and_commitment_and_recorded_by_commitment_alone() {
    let commit = "c".repeat(64);
    let mut by = filter("{\"person\":[\"dana\",\"ghost\"],\"address\":[\"10.0.0.1\"]}");
    by.resolve(&mut |facet, text| (facet == Facet::Person && text == "dana").then(|| commit.clone()));
    by.address.clear();
    assert!(by.matches(&login("dana", "::1")));
    assert_eq!(by.person, ["dana", "ghost", commit.as_str()]);
    assert_eq!(by.for_record(), format!("{{\"person\":[\"{commit}\"]}}"));
    // A name cannot be as long as a commitment.
    let unresolved = filter("{\"person\":[\"dana\"],\"address\":[\"10.0.0.1\"]}");
    assert_eq!(unresolved.for_record(), "{\"person\":[\"unknown\"],\"address\":[\"unknown\"]}");
}

#[test]
fn a_filter_with_what_is_not_known_is_refused() {
    for wrong in ["{\"persons\":[]}", "{\"person\":\"dana\"}", "{\"risk\":-1}"] {
        assert!(serde_json::from_str::<Filter>(wrong).is_err(), "{wrong}");
    }
}

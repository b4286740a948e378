//! The gate's own messages are well-formed, ASCII, and say whose they are.

use stepgate_types::SqlState;
use stepgate_wire::read::{
    Authentication, BackendKeyData, ErrorFields, NegotiateProtocolVersion, ParameterStatus, ReadyForQuery,
};
use stepgate_wire::{Problem, plain_ascii, reply};

#[test]
fn an_error_has_both_severities_code_message_detail_and_hint() {
    let problem =
        Problem::error(SqlState::INSUFFICIENT_PRIVILEGE, "denied").with_detail("Rule: x.").with_hint("Ask.");
    let bytes = problem.error_bytes();
    let fields = ErrorFields::read(&bytes).unwrap();
    assert_eq!(fields.codes().collect::<Vec<_>>(), b"SVCMDH");
    for (code, value) in [
        (b'S', "ERROR"),
        (b'V', "ERROR"),
        (b'C', "42501"),
        (b'M', "stepgate: denied"),
        (b'D', "Rule: x."),
        (b'H', "Ask."),
    ] {
        assert_eq!(fields.get(code), Some(value.as_bytes()));
    }
    assert!(ErrorFields::read(&problem.fatal_bytes()).unwrap().is_fatal());
    let notice = problem.notice_bytes();
    assert_eq!(notice.first(), Some(&b'N'));
    assert_eq!(ErrorFields::read(&notice).unwrap().get(b'S'), Some(&b"NOTICE"[..]));
}

#[test]
fn a_failed_login_reads_as_postgresqls() {
    let bytes = Problem::authentication_failed("dana").error_bytes();
    let fields = ErrorFields::read(&bytes).unwrap();
    assert_eq!(fields.get(b'M'), Some(&b"password authentication failed for user \"dana\""[..]));
    assert_eq!((fields.sqlstate(), fields.is_fatal()), (Some("28P01"), true));
}

#[test]
fn no_text_controls_the_readers_terminal_or_breaks_out_of_its_field() {
    let hostile = "a\u{1b}[2Jb\0c\rd\u{e9}\u{202e}e\nf";
    assert_eq!(plain_ascii(hostile), "a\\u{1b}[2Jb\\u{0}c\\u{d}d\\u{e9}\\u{202e}e\nf");
    let bytes = Problem::error(SqlState::SYSTEM_ERROR, hostile).with_detail(hostile).error_bytes();
    let fields = ErrorFields::read(&bytes).unwrap();
    assert_eq!(fields.codes().collect::<Vec<_>>(), b"SVCMD");
    let message = fields.get(b'M').unwrap();
    assert!(message.iter().all(|byte| (b' '..=b'~').contains(byte)));
    assert!(fields.get(b'D').unwrap().iter().all(|byte| *byte == b'\n' || (b' '..=b'~').contains(byte)));
}

/// As PostgreSQL says it, whatever it is.
#[test]
fn a_name_that_fails_to_log_in_is_said_back_as_it_came_without_what_controls_a_terminal() {
    let bytes = Problem::authentication_failed("dan\u{e9}\u{1b}[2J\u{202e}\u{738b}").fatal_bytes();
    let fields = ErrorFields::read(&bytes).unwrap();
    let message = std::str::from_utf8(fields.get(b'M').unwrap()).unwrap();
    assert_eq!(message, "password authentication failed for user \"dan\u{e9}\\u{1b}[2J\\u{202e}\u{738b}\"");
}

#[test]
fn the_small_replies_are_read_back() {
    assert_eq!(ReadyForQuery::read(&reply::ready_for_query(b'T')).unwrap().status, b'T');
    assert_eq!(ReadyForQuery::read(&reply::ready_for_query(b'?')).unwrap().status, b'E');
    let status = reply::parameter_status("application_name", "caf\u{e9}");
    let status = ParameterStatus::read(&status).unwrap();
    assert_eq!((status.name, status.value), (&b"application_name"[..], "caf\u{e9}".as_bytes()));
    let latin1 = reply::parameter_status("session_authorization", b"ren\xe9");
    assert_eq!(ParameterStatus::read(&latin1).unwrap().value, b"ren\xe9");
    for secret in [&b"abcd"[..], &[7; 32], &[7; 256]] {
        let key = reply::backend_key_data(42, secret);
        let key = BackendKeyData::read(&key).unwrap();
        assert_eq!((key.pid, key.secret), (42, secret));
    }
    let negotiate = reply::negotiate_protocol_version(2, &["_pq_.x".to_owned()]);
    assert_eq!(NegotiateProtocolVersion::read(&negotiate).unwrap().version, 0x0003_0002);
    assert!(matches!(Authentication::read(&reply::authentication_ok()), Ok(Authentication::Ok)));
    let sasl = reply::authentication_sasl(&["SCRAM-SHA-256"]);
    assert!(matches!(
        Authentication::read(&sasl),
        Ok(Authentication::Sasl(names)) if names == [b"SCRAM-SHA-256"]
    ));
    let next = reply::authentication_sasl_continue(b"r=x");
    assert!(matches!(Authentication::read(&next), Ok(Authentication::SaslContinue(b"r=x"))));
    let last = reply::authentication_sasl_final(b"v=x");
    assert!(matches!(Authentication::read(&last), Ok(Authentication::SaslFinal(b"v=x"))));
}

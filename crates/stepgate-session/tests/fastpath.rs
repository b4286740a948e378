//! FunctionCall: judged as a SELECT of the function would be, answered as PostgreSQL answers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use bytes::BufMut as _;
use stepgate_session::Protocol;
use stepgate_types::Certainty;
use support::{Stage, error, find, frame, parse, permit, query, ready, sync, tags};

/// A call of the function with that OID, by arguments in text.
fn call(oid: u32, arguments: &[Option<&str>]) -> Vec<u8> {
    let mut body = Vec::new();
    body.put_u32(oid);
    body.put_i16(0);
    body.put_i16(i16::try_from(arguments.len()).unwrap());
    for argument in arguments {
        match argument {
            Some(text) => {
                body.put_i32(i32::try_from(text.len()).unwrap());
                body.put_slice(text.as_bytes());
            }
            None => body.put_i32(-1),
        }
    }
    body.put_i16(0);
    frame(b'F', &body)
}

#[test]
fn a_function_call_is_judged_as_a_select_of_that_function() {
    let mut stage = Stage::new();
    stage.client(&[call(955, &[Some("3"), None])]);
    let pending = stage.decision();
    assert_eq!(pending.protocol, Protocol::Function);
    assert_eq!(pending.sql, "select pg_catalog.lowrite($1, $2)");
    assert_eq!(pending.values, [Some(bytes::Bytes::from("3")), None]);
    assert_eq!(pending.facts[0].certainty, Certainty::Exact);
    assert!(stage.at_server().is_empty());
    stage.pass(permit(pending.number));
    assert_eq!(stage.at_server(), [call(955, &[Some("3"), None])]);
    stage.server(&[frame(b'V', b"\0\0\0\x014"), ready(b'T')]);
    assert_eq!(tags(&stage.at_client()), "VZ");
    assert_eq!(stage.completed, [(pending.number, None, 1)]);
}

#[test]
fn what_no_catalog_shows_is_unknown_and_so_is_what_somebody_else_made() {
    for (oid, sql) in [
        (4_711, "select pg_catalog.\"function 4711\"()"),
        (2_621, "select pg_catalog.pg_reload_conf()"),
        (16_500, "select public.late()"),
    ] {
        let mut stage = Stage::new();
        stage.client(&[call(oid, &[])]);
        let pending = stage.decision();
        assert_eq!(pending.sql, sql);
        // Functions of somebody's own are seen through, as in SQL.
        assert_eq!(pending.facts[0].certainty == Certainty::Unknown, oid != 16_500, "{sql}");
    }
}

#[test]
fn a_refused_call_has_the_servers_own_end_and_leaves_the_unnamed_statement() {
    let mut stage = Stage::new();
    stage.client(&[call(955, &[])]);
    stage.decision();
    stage.refuse("no");
    let sent = stage.at_server();
    assert_eq!(sent, [call(0, &[])], "no Query, which would drop the unnamed statement");
    stage.server(&[error("42883", "function with OID 0 does not exist"), ready(b'E')]);
    let seen = stage.at_client();
    assert_eq!(tags(&seen), "EZ");
    assert!(find(&seen[0], b"C42501\0") && find(&seen[0], b"no\0"));
    // In a transaction that has failed, the error is the server's own.
    let mut stage = Stage::new();
    stage.client(&[call(955, &[])]);
    stage.decision();
    stage.refuse("no");
    stage.server(&[error("25P02", "current transaction is aborted"), ready(b'E')]);
    assert!(find(&stage.at_client()[0], b"C25P02\0"));
}

#[test]
fn a_call_that_fails_ends_like_a_query_and_one_behind_an_error_is_skipped() {
    let mut stage = Stage::new();
    stage.client(&[call(955, &[])]);
    let number = stage.decision().number;
    stage.pass(permit(number));
    stage.server(&[error("42704", "invalid large-object descriptor: 0"), ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "EZ");
    assert_eq!(stage.completed, [(number, Some("42704".to_owned()), 0)]);

    let mut stage = Stage::new();
    stage.client(&[parse("", "select a from t"), frame(b'H', b"")]);
    stage.server(&[error("42601", "no")]);
    stage.client(&[call(955, &[]), sync(), query("select 1")]);
    assert_eq!(stage.decision().sql, "select 1");
}

#[test]
fn a_malformed_call_ends_the_session() {
    for body in [&b""[..], &[0; 9], &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0]] {
        let mut stage = Stage::new();
        stage.client(&[frame(b'F', body)]);
        assert!(stage.ended);
        assert!(stage.at_server().is_empty());
    }
}

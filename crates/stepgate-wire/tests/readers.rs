//! Readers take exactly one well-formed frame, and nothing makes them panic.

#![expect(clippy::unwrap_used, reason = "helpers of the tests are tests, too")]

use bytes::{BufMut as _, BytesMut};
use proptest::prelude::*;
use stepgate_wire::read::{
    Authentication, BackendKeyData, Bind, Close, CommandComplete, CopyFail, DataRow, Describe, ErrorFields,
    Execute, FunctionCall, NegotiateProtocolVersion, ParameterStatus, Parse, Query, ReadyForQuery,
    RowDescription, SaslInitialResponse, SaslResponse, Target, expect_empty,
};

fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = BytesMut::new();
    frame.put_u8(tag);
    frame.put_u32(u32::try_from(body.len() + 4).unwrap());
    frame.put_slice(body);
    frame.to_vec()
}

/// Whether the frame is read by the reader of its type.
fn reads(frame: &[u8]) -> [bool; 20] {
    [
        Query::read(frame).is_ok(),
        Parse::read(frame).is_ok(),
        Bind::read(frame).is_ok(),
        Describe::read(frame).is_ok(),
        Close::read(frame).is_ok(),
        Execute::read(frame).is_ok(),
        FunctionCall::read(frame).is_ok(),
        CopyFail::read(frame).is_ok(),
        SaslInitialResponse::read(frame).is_ok(),
        SaslResponse::read(frame).is_ok(),
        expect_empty(frame, b'S').is_ok(),
        ErrorFields::read(frame).is_ok(),
        CommandComplete::read(frame).is_ok(),
        ReadyForQuery::read(frame).is_ok(),
        ParameterStatus::read(frame).is_ok(),
        RowDescription::read(frame).is_ok(),
        DataRow::read(frame).is_ok(),
        BackendKeyData::read(frame).is_ok(),
        NegotiateProtocolVersion::read(frame).is_ok(),
        Authentication::read(frame).is_ok(),
    ]
}

const TAGS: &[u8] = b"QPBDCEFfpSHEZTKvRN";

proptest! {
    #[test]
    fn no_body_makes_a_reader_panic(
        tag in prop::sample::select(TAGS),
        body in prop::collection::vec(0_u8..8, 0..60),
    ) {
        reads(&frame(tag, &body));
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes: Vec<u8>) {
        reads(&bytes);
    }

    #[test]
    fn an_error_that_was_not_changed_is_given_back_byte_for_byte(
        fields in prop::collection::vec((1_u8.., prop::collection::vec(1_u8.., 0..20)), 0..8),
        notice: bool,
    ) {
        let mut body = Vec::new();
        for (code, value) in &fields {
            body.push(*code);
            body.extend(value);
            body.push(0);
        }
        body.push(0);
        let frame = frame(if notice { b'N' } else { b'E' }, &body);
        prop_assert_eq!(ErrorFields::read(&frame).unwrap().encode(), frame);
    }
}

fn bind() -> Vec<u8> {
    let mut body = BytesMut::new();
    body.put_slice(b"portal\0statement\0");
    body.put_i16(1);
    body.put_i16(1);
    body.put_i16(3);
    body.put_i32(2);
    body.put_slice(b"ab");
    body.put_i32(-1);
    body.put_i32(0);
    body.put_i16(0);
    body.to_vec()
}

#[test]
fn bind_is_read_with_null_and_empty_values_apart() {
    let bytes = frame(b'B', &bind());
    let read = Bind::read(&bytes).unwrap();
    assert_eq!((read.portal, read.statement), (&b"portal"[..], &b"statement"[..]));
    let values: Vec<_> = read.values.iter().collect();
    assert_eq!((read.values.len(), values), (3, vec![Some(&b"ab"[..]), None, Some(b"")]));
    assert_eq!((read.formats.of(0), read.formats.of(2)), (1, 1));
    assert!(read.result_formats.is_empty());
}

#[test]
fn the_other_messages_of_a_client_are_read() {
    let parse = frame(b'P', b"s1\0select $1\0\0\x01\0\0\0\x17");
    let parse = Parse::read(&parse).unwrap();
    assert_eq!((parse.name, parse.sql, parse.types), (&b"s1"[..], &b"select $1"[..], vec![23]));
    let describe = frame(b'D', b"Ps1\0");
    assert_eq!(Describe::read(&describe).unwrap(), Describe { kind: Target::Portal, name: b"s1" });
    let close = frame(b'C', b"S\0");
    assert_eq!(Close::read(&close).unwrap(), Close { kind: Target::Statement, name: b"" });
    let execute = frame(b'E', b"\0\0\0\0\x05");
    assert_eq!(Execute::read(&execute).unwrap(), Execute { portal: b"", max_rows: 5 });
    let call = frame(b'F', b"\0\0\x03\xe8\0\0\0\x01\0\0\0\x01a\0\x01");
    let call = FunctionCall::read(&call).unwrap();
    let arguments: Vec<_> = call.arguments.iter().collect();
    assert_eq!((call.oid, arguments, call.result_format), (1000, vec![Some(&b"a"[..])], 1));
}

#[test]
fn a_query_that_hides_a_second_message_behind_its_text_is_refused() {
    // The server reads up to the NUL; what follows would be a message that nobody looked at.
    assert!(Query::read(&frame(b'Q', b"select 1\0drop table t\0")).is_err());
    assert!(Query::read(&frame(b'Q', b"select 1")).is_err());
    assert!(Query::read(&frame(b'Q', b"")).is_err());
    let two = [frame(b'Q', b"select 1\0"), frame(b'S', b"")].concat();
    assert!(Query::read(&two).is_err());
    assert_eq!(Query::read(&frame(b'Q', b"\0")).unwrap().sql, b"");
}

#[test]
fn a_query_in_another_encoding_keeps_its_bytes() {
    assert_eq!(Query::read(&frame(b'Q', b"select 'caf\xe9'\0")).unwrap().sql, b"select 'caf\xe9'");
}

#[test]
fn leftovers_and_cut_off_bodies_are_refused_everywhere() {
    let whole = bind();
    for len in 0..whole.len() {
        assert!(Bind::read(&frame(b'B', &whole[..len])).is_err(), "{len}");
    }
    assert!(Bind::read(&frame(b'B', &[whole.as_slice(), b"x"].concat())).is_err());
    assert!(expect_empty(&frame(b'S', b"x"), b'S').is_err());
    assert!(expect_empty(&frame(b'S', b""), b'S').is_ok());
    assert!(Describe::read(&frame(b'D', b"Xname\0")).is_err());
    assert!(ReadyForQuery::read(&frame(b'Z', b"X")).is_err());
    assert!(BackendKeyData::read(&frame(b'K', b"\0\0\0\x01abc")).is_err());
}

#[test]
fn counts_that_cannot_be_true_allocate_nothing() {
    assert!(Parse::read(&frame(b'P', b"\0\0\xff\xff")).is_err());
    assert!(DataRow::read(&frame(b'D', b"\xff\xff\0\0\0\0")).is_err());
    assert!(DataRow::read(&frame(b'D', b"\0\x01\x7f\xff\xff\xff")).is_err());
    assert!(DataRow::read(&frame(b'D', b"\0\x01\xff\xff\xff\xfe")).is_err());
}

#[test]
fn two_formats_for_three_values_are_the_servers_to_refuse() {
    let mut body = b"\0\0".to_vec();
    body.extend(b"\0\x02\0\0\0\0\0\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0");
    let bytes = frame(b'B', &body);
    let read = Bind::read(&bytes).unwrap();
    assert_eq!((read.formats.len(), read.values.len(), read.formats.of(2)), (2, 3, 0));
}

#[test]
fn an_error_can_be_rewritten_in_place() {
    let bytes = frame(b'E', b"SERROR\0VERROR\0C26000\0Mno portal \"sg_x\"\0\0");
    let mut fields = ErrorFields::read(&bytes).unwrap();
    assert!(fields.contains(b"sg_x") && !fields.is_fatal());
    assert_eq!(fields.sqlstate(), Some("26000"));
    fields.set(b'C', "42501");
    fields.set(b'M', "stepgate: denied\0hidden");
    fields.set(b'H', "ask");
    fields.remove(b'V');
    assert_eq!(fields.encode(), frame(b'E', b"SERROR\0C42501\0Mstepgate: denied\0Hask\0\0"));
    assert!(!ErrorFields::read(&bytes).unwrap().contains(b""));
    assert!(ErrorFields::read(&frame(b'E', b"SFATAL\0\0")).unwrap().is_fatal());
}

#[test]
fn what_a_server_says_is_read() {
    let row = frame(b'T', b"\0\x01ssn\0\0\0\x40\0\0\x03\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0");
    let row = RowDescription::read(&row).unwrap();
    let field = row.fields.first().unwrap();
    assert_eq!((field.name, field.table, field.attribute, field.type_oid), (&b"ssn"[..], 0x4000, 3, 25));
    let complete = frame(b'C', b"SELECT 5\0");
    assert_eq!(CommandComplete::read(&complete).unwrap().rows(), Some(5));
    assert_eq!(CommandComplete::read(&frame(b'C', b"BEGIN\0")).unwrap().rows(), None);
    let key = frame(b'K', b"\0\0\0\x2aabcd");
    let key = BackendKeyData::read(&key).unwrap();
    assert_eq!((key.pid, key.secret), (42, &b"abcd"[..]));
    let sasl = frame(b'R', b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");
    assert!(matches!(Authentication::read(&sasl), Ok(Authentication::Sasl(names)) if names.len() == 2));
}

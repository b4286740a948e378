//! Which keys results show, where they are tracked.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use bytes::{BufMut as _, BytesMut};
use stepgate_session::TrackedKeys;
use stepgate_types::RelationName;
use support::{
    Stage, bind, catalog_with, complete, description, execute, frame, parse, permit, query, ready, sync, tags,
};

/// OIDs of `public.t` and `app.t`.
const T: u32 = 16_400;
const APP: u32 = 16_401;

/// With tables `public.t` and `app.t` of one column each, of which that of `public.t` is a key.
fn stage() -> Stage {
    let mut stage = Stage::new();
    stage.session.set_catalog(catalog_with(&["app"], &[]));
    stage.answers = false;
    let key = (RelationName::new("public", "t"), "a".to_owned());
    stage.session.track(Arc::new(TrackedKeys::new([key])));
    stage
}

fn passes(stage: &mut Stage) {
    let number = stage.decision().number;
    stage.pass(permit(number));
}

fn row(values: &[Option<&[u8]>]) -> Vec<u8> {
    let mut body = BytesMut::new();
    body.put_i16(i16::try_from(values.len()).unwrap());
    for value in values {
        match value {
            None => body.put_i32(-1),
            Some(value) => {
                body.put_i32(i32::try_from(value.len()).unwrap());
                body.put_slice(value);
            }
        }
    }
    frame(b'D', &body)
}

fn text(value: &str) -> Vec<u8> {
    row(&[Some(value.as_bytes())])
}

/// A description of one column in binary, of that type.
fn binary(type_oid: u32) -> Vec<u8> {
    of_type(type_oid, 1)
}

/// A description of one column of that type and format.
fn of_type(type_oid: u32, format: u8) -> Vec<u8> {
    let mut body = BytesMut::new();
    body.put_i16(1);
    body.put_slice(b"a\0");
    body.put_u32(T);
    body.put_i16(1);
    body.put_u32(type_oid);
    body.put_slice(&[0, 8, 255, 255, 255, 255, 0, format]);
    frame(b'T', &body)
}

/// Keys and whether there were more, of all that was told.
fn told(stage: &mut Stage) -> Vec<(Vec<String>, bool)> {
    let told = std::mem::take(&mut stage.subjects);
    assert!(told.iter().all(|(_, relation, ..)| *relation == RelationName::new("public", "t")));
    told.into_iter().map(|(_, _, keys, more)| (keys, more)).collect()
}

fn keys(keys: &[&str], more: bool) -> Vec<(Vec<String>, bool)> {
    vec![(keys.iter().map(|key| (*key).to_owned()).collect(), more)]
}

#[test]
fn keys_are_told_once_each_and_before_the_end() {
    let mut stage = stage();
    stage.client(&[query("select a from public.t")]);
    passes(&mut stage);
    stage.server(&[description(&[(T, 1)]), text("42"), text("7"), text("42"), row(&[None])]);
    assert!(!stage.session.relays_rows());
    assert!(stage.subjects.is_empty());
    stage.server(&[complete(), ready(b'I')]);
    assert_eq!(told(&mut stage), keys(&["42", "7"], false));
    assert_eq!(tags(&stage.at_client()), "TDDDDCZ");
}

#[test]
fn what_has_no_key_is_relayed_unread() {
    let mut stage = stage();
    for (sql, columns) in
        [("select a from app.t", vec![(APP, 1)]), ("select a || 'x' from public.t", vec![(0, 0)])]
    {
        stage.client(&[query(sql)]);
        passes(&mut stage);
        stage.server(&[description(&columns)]);
        assert!(stage.session.relays_rows(), "{sql}");
        stage.server(&[text("42"), complete(), ready(b'I')]);
        assert!(told(&mut stage).is_empty(), "{sql}");
    }
}

#[test]
fn each_result_of_a_message_has_its_own_columns() {
    let mut stage = stage();
    stage.client(&[query("select a from app.t; select a from app.t, public.t; select a from app.t")]);
    passes(&mut stage);
    let both = row(&[Some(b"no"), Some(b"42")]);
    stage.server(&[description(&[(APP, 1)]), text("no"), complete()]);
    stage.server(&[description(&[(APP, 1), (T, 1)]), both, complete()]);
    stage.server(&[description(&[(APP, 1)]), text("no"), complete(), ready(b'I')]);
    // Two statements reach the relation for all that is seen of one.
    assert_eq!(told(&mut stage), keys(&["42"], false));
}

/// Whoever shows the key of one row beside what is made of all of them has seen them all.
#[test]
fn keys_shown_beside_what_is_made_of_other_rows_are_not_all_whose_data_was_shown() {
    for (sql, more) in [
        ("select a from public.t", false),
        ("select a from public.t where a = '7' or a like '9%' order by a limit 3", false),
        ("select x.a from public.t x, app.t y where x.a = y.a", false),
        ("select x.a, y.a from public.t x, public.t y", true),
        ("select a, (select string_agg(a, ',') from public.t) from public.t", true),
        ("select a, array_agg(a) over () from public.t", true),
        ("select a, lower(a) from public.t", true),
        ("select a from public.t union all select a from public.t", true),
        ("select a from public.t group by a", true),
        ("with x as (select string_agg(a, ',') from public.t) select a from public.t, x", true),
        ("select a from public.t where exists (select from public.t)", true),
        ("select a from public.t; select string_agg(a, ',') from public.t", true),
    ] {
        let mut stage = stage();
        stage.client(&[query(sql)]);
        passes(&mut stage);
        stage.server(&[description(&[(T, 1)]), text("42"), complete(), ready(b'I')]);
        assert_eq!(told(&mut stage), keys(&["42"], more), "{sql}");
    }
}

/// COPY data that looks like a row, in pieces, is none.
#[test]
fn pieces_of_copy_data_are_not_taken_for_rows() {
    let mut stage = stage();
    stage.client(&[query("select a from public.t; copy (select a from app.t) to stdout")]);
    passes(&mut stage);
    stage.server(&[description(&[(T, 1)]), text("42"), complete()]);
    stage.server(&[frame(b'H', &[0, 0, 1, 0, 0])]);
    // A frame in two pieces: the second is what a row would be.
    let forged = text("7");
    let mut data = BytesMut::new();
    data.put_u8(b'd');
    data.put_i32(i32::try_from(4 + 70_000 + forged.len()).unwrap());
    data.put_bytes(b'x', 70_000);
    stage.server(&[data.to_vec()]);
    stage.server(&[forged]);
    stage.server(&[frame(b'c', b""), complete(), ready(b'I')]);
    assert_eq!(told(&mut stage), keys(&["42"], false));
}

#[test]
fn binary_values_are_told_as_text_and_what_cannot_be_is_more() {
    for (type_oid, value, expected) in [
        (20, &42_i64.to_be_bytes()[..], keys(&["42"], false)),
        (23, &(-7_i32).to_be_bytes()[..], keys(&["-7"], false)),
        (21, &9_i16.to_be_bytes()[..], keys(&["9"], false)),
        (25, &b"42"[..], keys(&["42"], false)),
        // Equal to another by a collation, or but for its spaces.
        (25, &b"a-1"[..], keys(&["a-1"], true)),
        (1042, &b"ab "[..], keys(&["ab"], true)),
        (1042, &b"42 "[..], keys(&["42"], false)),
        (25, &b"042"[..], keys(&["042"], true)),
        (
            25,
            &b"1212121A-1212-1212-1212-121212121212"[..],
            keys(&["1212121A-1212-1212-1212-121212121212"], true),
        ),
        (2950, &[0x12; 16][..], keys(&["12121212-1212-1212-1212-121212121212"], false)),
        (20, &[1][..], keys(&[], true)),
        (1700, &[0, 1][..], keys(&[], true)),
        (25, &[255][..], keys(&[], true)),
        (25, &[b'x'; 257][..], keys(&[], true)),
    ] {
        let mut stage = stage();
        stage.client(&[query("select a from public.t")]);
        passes(&mut stage);
        stage.server(&[binary(type_oid), row(&[Some(value)]), complete(), ready(b'I')]);
        assert_eq!(told(&mut stage), expected, "{type_oid} {value:?}");
    }
}

/// The same number, whatever scale its column has.
#[test]
fn zeros_at_the_end_of_a_numeric_key_say_nothing() {
    for (value, expected) in [("42.00", keys(&["42"], false)), ("42.50", keys(&["42.5"], true))] {
        let mut stage = stage();
        stage.client(&[query("select a from public.t")]);
        passes(&mut stage);
        stage.server(&[of_type(1700, 0), text(value), complete(), ready(b'I')]);
        assert_eq!(told(&mut stage), expected, "{value}");
    }
}

#[test]
fn a_portal_is_described_for_its_formats() {
    let mut stage = stage();
    // What is said of a prepared statement does not tell them.
    stage.client(&[parse("s", "select a from public.t"), frame(b'D', b"Ss\0"), sync()]);
    assert_eq!(tags(&stage.at_server()), "PDS");
    stage.server(&[frame(b'1', b""), frame(b't', b"\0\0"), description(&[(T, 1)]), ready(b'I')]);
    stage.client(&[bind("", "s"), execute(""), sync()]);
    passes(&mut stage);
    assert_eq!(tags(&stage.at_server()), "BDES");
    stage.server(&[frame(b'2', b""), binary(20), row(&[Some(&42_i64.to_be_bytes())])]);
    stage.server(&[complete(), ready(b'I')]);
    assert_eq!(told(&mut stage), keys(&["42"], false));
}

#[test]
fn beyond_a_thousand_keys_there_are_more() {
    let mut stage = stage();
    stage.client(&[query("select a from public.t")]);
    passes(&mut stage);
    stage.server(&[description(&[(T, 1)])]);
    for key in 0..1_200 {
        stage.server(&[text(&key.to_string())]);
    }
    // A row that is longer than what is looked at.
    stage.server(&[text(&"x".repeat(100_000)), complete(), ready(b'I')]);
    let told = told(&mut stage);
    assert!(told.iter().all(|(keys, more)| *more && keys.len() <= 120));
    assert_eq!(told.iter().map(|(keys, _)| keys.len()).sum::<usize>(), 1_000);
}

//! The second line: what the server says that a result shows is held against what the statement was let through for.

mod support;

use bytes::Bytes;
use stepgate_types::{ColumnName, RelationName};
use stepgate_wire::Piece;
use support::{
    Stage, bind, catalog, catalog_with, complete, description, execute, frame, parse, permit, query, ready,
    sync, tags,
};

/// OIDs of `public.t` and `app.t`.
const T: u32 = 16_400;
const APP: u32 = 16_401;

fn row() -> Vec<u8> {
    frame(b'D', b"\0\x01\0\0\0\x011")
}

fn describe(target: &str) -> Vec<u8> {
    frame(b'D', format!("{target}\0").as_bytes())
}

/// With tables `public.t` and `app.t`, of one column each, and Describes as they are.
fn stage() -> Stage {
    let mut stage = Stage::new();
    stage.session.set_catalog(catalog_with(&["app"], &[]));
    stage.answers = false;
    stage
}

fn passes(stage: &mut Stage) {
    let number = stage.decision().number;
    stage.pass(permit(number));
}

fn is_of_app(stage: &mut Stage) {
    let (_, unflagged) = stage.unflagged.remove(0);
    let column = ColumnName::new(RelationName::new("app", "t"), "a");
    assert_eq!(unflagged.columns, [column].into());
    assert!(!unflagged.unknown);
    assert!(!stage.session.wants_server());
    assert!(!support::find(&stage.raw_at_client(), &row()), "no row reaches the client");
}

#[test]
fn what_is_remembered_of_a_result_keeps_no_buffer_that_it_was_read_into() {
    let mut stage = stage();
    stage.client(&[query("select a from public.t")]);
    passes(&mut stage);
    let bytes = Bytes::from(description(&[(T, 1)]));
    stage.session.on_server(&Piece::Whole { tag: b'T', bytes: bytes.clone() });
    assert!(bytes.is_unique());
    stage.server(&[row(), complete(), ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "TDCZ");
}

#[test]
fn a_query_whose_result_is_what_it_was_let_through_for_is_relayed() {
    let mut stage = stage();
    for (sql, columns) in [
        ("select a from public.t", vec![(T, 1)]),
        ("select a, now(), 1 from public.t", vec![(T, 1), (0, 0), (0, 0)]),
        ("select ctid from public.t", vec![(T, -1)]),
        ("select p.a, q.a from public.t p, app.t q", vec![(T, 1), (APP, 1)]),
        ("insert into public.t values ('x') returning a", vec![(T, 1)]),
    ] {
        for _ in 0..2 {
            stage.client(&[query(sql)]);
            passes(&mut stage);
            stage.server(&[description(&columns), row(), complete(), ready(b'I')]);
            assert_eq!(tags(&stage.at_client()), "TDCZ", "{sql}");
        }
    }
}

#[test]
fn not_even_the_description_of_anything_else_is() {
    let mut stage = stage();
    stage.client(&[query("select a from public.t")]);
    passes(&mut stage);
    stage.server(&[description(&[(APP, 1)]), row(), complete(), ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "");
    is_of_app(&mut stage);
    // Nobody has labelled it.
    let number = stage.completed.len() as u64 + 1;
    stage.session.may_show(number);
    stage.server(&[]);
    assert_eq!(tags(&stage.at_client()), "TDCZ");
    // Known to fit is only what fitted.
    stage.client(&[query("select a from public.t")]);
    passes(&mut stage);
    stage.server(&[description(&[(APP, 1)]), row(), complete(), ready(b'I')]);
    is_of_app(&mut stage);
}

#[test]
fn a_column_that_is_only_compared_must_not_be_shown() {
    let mut stage = stage();
    stage.client(&[query("select 1 from public.t where a = 'x'")]);
    passes(&mut stage);
    stage.server(&[description(&[(T, 1)]), row(), complete(), ready(b'I')]);
    assert_eq!(stage.unflagged.len(), 1);
}

#[test]
fn a_relation_that_the_catalog_does_not_have_is_looked_for() {
    let mut stage = Stage::new();
    stage.client(&[query("select a from public.t")]);
    passes(&mut stage);
    stage.server(&[description(&[(APP, 1)]), row(), complete(), ready(b'I')]);
    assert!(stage.unflagged.pop().unwrap().1.unknown);
    stage.session.set_catalog(catalog_with(&["app"], &[]));
    assert_eq!(stage.session.shows_more_now().columns.len(), 1);
    // What is gone from the catalog in use was in the one before, by whatever name it was judged by.
    let mut stage = self::stage();
    stage.client(&[query("select a from app.t")]);
    passes(&mut stage);
    stage.session.set_catalog(catalog());
    stage.server(&[description(&[(APP, 1)]), row(), complete(), ready(b'I')]);
    assert_eq!(stage.unflagged, Vec::new());
}

#[test]
fn a_portal_that_nobody_has_described_is_described_for_the_gate() {
    let mut stage = stage();
    for (columns, fits) in [([(T, 1)], true), ([(APP, 1)], false)] {
        stage.client(&[parse("", "select a from public.t"), bind("p", ""), execute("p"), sync()]);
        passes(&mut stage);
        assert_eq!(tags(&stage.at_server()), "PBDES");
        let described = [frame(b'1', b""), frame(b'2', b""), description(&columns)];
        stage.server(&described);
        stage.server(&[row(), complete(), ready(b'I')]);
        if fits {
            assert_eq!(tags(&stage.at_client()), "12DCZ");
        } else {
            is_of_app(&mut stage);
        }
    }
}

#[test]
fn a_clients_own_description_will_do() {
    let mut stage = stage();
    let frames = [parse("", "select a from public.t"), bind("", ""), describe("P"), execute(""), sync()];
    for (columns, fits) in [([(T, 1)], true), ([(APP, 1)], false)] {
        stage.client(&frames);
        passes(&mut stage);
        assert_eq!(tags(&stage.at_server()), "PBDES");
        stage.server(&[frame(b'1', b""), frame(b'2', b""), description(&columns)]);
        if fits {
            stage.server(&[row(), complete(), ready(b'I')]);
            assert_eq!(tags(&stage.at_client()), "12TDCZ");
        } else {
            is_of_app(&mut stage);
        }
    }
}

#[test]
fn what_was_said_of_a_prepared_statement_is_remembered_while_nothing_changes() {
    let mut stage = stage();
    let prepare = |stage: &mut Stage, columns: &[(u32, i16)]| {
        stage.client(&[parse("s", "select a from public.t"), describe("Ss"), sync()]);
        stage.server(&[frame(b'1', b""), frame(b't', b"\0\0"), description(columns), ready(b'I')]);
        assert_eq!(tags(&stage.at_client()), "1tTZ");
        stage.at_server();
    };
    prepare(&mut stage, &[(T, 1)]);
    let run = [bind("", "s"), execute(""), sync()];
    for _ in 0..2 {
        stage.client(&run);
        passes(&mut stage);
        assert_eq!(tags(&stage.at_server()), "BES");
        stage.server(&[frame(b'2', b""), row(), row(), complete(), ready(b'I')]);
        assert_eq!(tags(&stage.at_client()), "2DDCZ");
    }
    // Something may have changed what its names mean.
    stage.session.set_catalog(catalog_with(&["app"], &["u"]));
    stage.client(&run);
    passes(&mut stage);
    assert_eq!(tags(&stage.at_server()), "BDES");
    stage.server(&[frame(b'2', b""), description(&[(APP, 1)])]);
    is_of_app(&mut stage);
    // It was wrong from the start: before the first row.
    let mut stage = self::stage();
    stage.client(&[query("select a from t")]);
    passes(&mut stage);
    stage.server(&[complete(), ready(b'I')]);
    stage.at_client();
    prepare(&mut stage, &[(APP, 1)]);
    stage.client(&run);
    passes(&mut stage);
    assert_eq!(tags(&stage.at_server()), "BES");
    stage.server(&[frame(b'2', b""), row(), complete(), ready(b'I')]);
    is_of_app(&mut stage);
}

#[test]
fn a_cursor_shows_what_it_was_declared_for() {
    let mut stage = stage();
    stage.run(&[query("begin")], &[complete(), ready(b'T')]);
    let declare = "declare c cursor for select a from public.t";
    stage.run(&[query(declare)], &[complete(), ready(b'T')]);
    for (columns, fits) in [([(T, 1)], true), ([(APP, 1)], false)] {
        stage.client(&[query("fetch 1 from c")]);
        passes(&mut stage);
        stage.server(&[description(&columns), row(), complete(), ready(b'T')]);
        if fits {
            assert_eq!(tags(&stage.at_client()), "TDCZ");
        } else {
            is_of_app(&mut stage);
        }
    }
}

/// A server that nobody can follow any more: what it had sent by then is shown to nobody.
#[test]
fn nothing_comes_behind_the_gates_own_fatal() {
    let mut stage = Stage::new();
    stage.client(&[query("select a from t")]);
    let number = stage.decision().number;
    stage.pass(support::permit(number));
    stage.server(&[frame(b'T', &[255, 255]), row(), complete(), ready(b'I')]);
    let seen = stage.at_client();
    assert!(seen.last().is_some_and(|last| support::find(last, b"SFATAL\0")), "{seen:?}");
    assert!(stage.ended);
}

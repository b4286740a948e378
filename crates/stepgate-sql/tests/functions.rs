//! Functions in SQL: which body runs, and under which search path.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::collections::BTreeSet;

use common::{everything, touched};
use stepgate_sql::{SessionState, SinkKind, analyze};
use stepgate_types::Use;

#[test]
fn a_functions_body_means_what_it_means_under_its_callers_search_path() {
    let (_cluster, catalog, pii) = everything();
    let touched_under = |path: &[&str]| {
        let session = SessionState::with_search_path(path.iter().copied());
        let facts = analyze(b"select public.first_nhs()", &catalog, &session);
        touched(&facts[0], &pii)
    };
    let names = |names: &[&str]| names.iter().map(|name| format!("public.{name}")).collect::<BTreeSet<_>>();
    assert_eq!(touched_under(&["pg_catalog", "public"]), names(&["patients.nhs_no"]));
    assert_eq!(touched_under(&["pg_catalog", "training", "public"]), names(&[]));
}

#[test]
fn a_qualified_call_does_not_hide_another_function_of_that_name() {
    let (_cluster, catalog, pii) = everything();
    let session = SessionState::with_search_path(["pg_catalog", "training", "public"]);
    for sql in [
        "select hidden_first(1), public.hidden_first(1)",
        "select public.hidden_first(1), hidden_first(1)",
        "select training.hidden_first(1), public.hidden_first(1)",
    ] {
        let facts = analyze(sql.as_bytes(), &catalog, &session);
        assert_eq!(touched(&facts[0], &pii), BTreeSet::from(["public.people.email".to_owned()]), "{sql}");
    }
}

/// The server reports `application_name` to the client (ParameterStatus), and shows it to everybody in pg_stat_activity.
#[test]
fn what_a_setting_is_set_to_is_put_out_wherever_the_call_stands() {
    let (_cluster, catalog, _) = everything();
    let session = SessionState::with_search_path(["pg_catalog", "public"]);
    for sql in [
        "select set_config('application_name', email, false) from people",
        "select 1 from people where set_config('application_name', email, false) is not null",
        "select 1 from people where pg_catalog.set_config('application_name', email, true) = 'x'",
        "select 1 from people order by set_config('application_name', email, false)",
        "update people set id = id where set_config('application_name', email, false) is null",
    ] {
        let facts = analyze(sql.as_bytes(), &catalog, &session);
        let uses = facts[0].columns.iter().find(|(column, _)| column.to_string() == "public.people.email");
        assert!(uses.is_some_and(|(_, uses)| uses.contains(&Use::Output)), "{sql}: {:?}", facts[0].columns);
    }
}

/// `pg_locks` shows the keys of advisory locks to every session, and `current_setting` what was set.
#[test]
fn what_locks_and_settings_are_given_is_put_out_into_a_place_of_its_own() {
    let (_cluster, catalog, _) = everything();
    let session = SessionState::with_search_path(["pg_catalog", "public"]);
    for (sql, shown) in [
        ("select 1 from people where pg_try_advisory_lock(ascii(email))", Some(SinkKind::AdvisoryLock)),
        (
            "select 1 from people order by pg_advisory_xact_lock_shared(1, ascii(email))",
            Some(SinkKind::AdvisoryLock),
        ),
        ("select 1 from people where set_config('a.b', email, false) = ''", Some(SinkKind::Setting)),
        ("select pg_try_advisory_lock(1), set_config('a.b', 'c', false)", None),
        ("select 1 from people where email = '' and pg_advisory_unlock(1)", None),
    ] {
        let facts = analyze(sql.as_bytes(), &catalog, &session);
        let kinds: Vec<_> = facts[0].sinks.iter().map(|sink| sink.kind).collect();
        assert_eq!(kinds, Vec::from_iter(shown), "{sql}");
        let uses = facts[0].columns.iter().find(|(column, _)| column.to_string() == "public.people.email");
        assert_eq!(uses.is_some_and(|(_, uses)| uses.contains(&Use::Output)), shown.is_some(), "{sql}");
    }
}

//! Triggers: what they show of the row that is written, and where they store it.

use stepgate_sql::{CATALOG_FINGERPRINT_QUERY, SinkKind, analyze};

use super::common::{columns, rows, session};
use super::{check, compare, database, judge};

const WRITES: &[(&str, &str)] = &[
    ("insert into touched (id, note) values (2, 'x')", ""),
    ("update touched set note = 'x' where id = 1", ""),
    ("update touched set note = 'x' where id = 1 returning id", ""),
    ("insert into touched (id) values (1) on conflict (id) do update set note = 'x'", ""),
    ("update touched_if set note = 'x' where id = 1", ""),
    ("update touched_if set note = 'x' where id = 1 returning id", ""),
    ("update touched_if set secret = 'x' where id = 1 returning updated_at is null", "touched_if.secret"),
    // Audit tables that take anything.
    ("insert into audited values (2, 'x', 'y')", ""),
    ("update audited set note = 'x' where id = 1", ""),
    ("update audited set note = null where id = 1", ""),
    ("delete from audited where id = 1", ""),
    ("copy audited from stdin", ""),
    // And some that fail, with what they were given.
    ("update strictly_audited set note = null where id = 1", "strictly_audited.secret"),
    ("update keyed set note = 'x'", "keyed.secret"),
    ("update checked set note = 'forbidden' where id = 1", "checked.secret"),
    ("update typed set note = 'x' where id = 1", "typed.secret"),
    ("insert into strictly_audited values (2, null, 'x')", ""),
    ("update indexed set note = 'x' where id = 1", "indexed.secret"),
    ("update deleted_badly set note = 'x' where id = 1", ""),
    ("delete from deleted_badly where id = 1", "deleted_badly.secret"),
    ("insert into by_branches values (2, 'x', 'y')", ""),
    ("update by_branches set note = 'x' where id = 1", ""),
    ("delete from by_branches where id = 1", ""),
    ("update hashed set note = 'x' where id = 1", ""),
    ("update hashed set secret = 'x' where id = 1", "hashed.secret"),
    ("update hashed_before set note = note where id = 1", "hashed_before.secret"),
    // Said aloud.
    ("update told set note = 'x' where id = 1", "told.secret"),
    ("insert into told values (2, 'x', 'y')", ""),
    ("insert into told values (1) on conflict (id) do update set note = 'x'", "told.secret"),
    (
        "merge into told using (values (1)) s (x) on id = x when matched then update set note = 'y'",
        "told.secret",
    ),
    ("delete from told_by_hint where id = 1", "told_by_hint.secret"),
    ("update notified set note = 'x' where id = 1", "notified.secret"),
    ("insert into notified values (2, 'x', 'y')", ""),
    ("update notified_of_id set note = 'x' where id = 1", ""),
    ("select pg_notify('changes', 'x')", "?"),
    ("update half_json set note = null where id = 1", "half_json.secret"),
    ("update half_json set note = 'x' where id = 1 returning id", "half_json.secret"),
    ("update wide set note = null where id = 1", ""),
    ("delete from wide where id = 1", ""),
    ("update cast_json set note = 'x' where id = 1", "cast_json.secret"),
    ("update equalled set note = 'x' where id = 1", "equalled.secret"),
    ("update unequalled set note = 'x' where id = 1", "unequalled.secret"),
    ("update equalled_when set note = 'x' where id = 1", "equalled_when.secret"),
    ("update differing set note = 'x' where id = 1", ""),
    // What the audit table has by itself.
    ("update fully_audited set note = 'x' where id = 1", ""),
    ("delete from fully_audited where id = 1", ""),
    ("update setting_audited set note = 'x' where id = 1", "setting_audited.secret"),
    ("delete from setting_audited where id = 1", "setting_audited.secret"),
    ("update choice_audited set note = 'x' where id = 1", "choice_audited.secret"),
    ("delete from never_audited where id = 1", "never_audited.secret"),
    ("update validated set note = 'bad' where id = 1", ""),
    ("insert into validated values (2, 'bad', 'x')", ""),
    // Which way it went.
    ("update oracle set note = 'x' where id = 1", "oracle.secret"),
    ("update guarded_by_when set note = 'x' where id = 1", "guarded_by_when.secret"),
    ("update frozen set note = 'x' where id = 1", ""),
    ("update frozen set secret = 'x' where id = 1", "frozen.secret"),
    ("update skipped set note = 'x' where id = 1", "skipped.secret"),
    ("update same set note = 'x' where id = 1", ""),
    ("update same set secret = 'x' where id = 1", "same.secret"),
    // By what it returns, or by failing on the way.
    ("update put_back set note = 'x' where id = 1 returning note", "put_back.secret"),
    ("update put_back_coalesced set note = 'x' where id = 1 returning note", "put_back_coalesced.secret"),
    ("delete from not_deleted where id = 1", "not_deleted.secret"),
    ("update plainly_returned set note = 'x' where id = 1", ""),
    ("update plainly_returned set secret = 'x' where id = 1", ""),
    ("delete from plainly_returned where id = 1", ""),
    ("update fails_only set note = 'x' where id = 1", "fails_only.secret"),
    ("update too_long set note = 'x' where id = 1", "too_long.secret"),
    // What is put into the row comes back with it.
    ("update copied set id = 3 where id = 1 returning note", "copied.secret"),
    ("update kept set note = 'x', secret = 'y' where id = 1", ""),
    ("update nulled set other = null where id = 1", "nulled.secret"),
    ("update summed set note = 'x' where id = 1", ""),
    ("update searched set title = 'x' where id = 1", ""),
    ("update searched_secret set title = 'x' where id = 1 returning words", "searched_secret.secret"),
    ("insert into looks_up values (1, 'x', 'y') on conflict do nothing returning note", "looked_up.secret"),
    ("insert into calls values (2, 'x', 'y')", "looked_up.secret"),
    // Reached by other tables.
    ("update parent set note = 'x' where id = 1", "parent.secret part_1.secret part_2.secret"),
    ("update part_1 set note = 'x' where id = 1", "parent.secret part_1.secret part_2.secret"),
    ("update wholly set note = 'x' where id = 1", "wholly.secret wholly_1.secret"),
    ("update wholly_1 set note = 'x' where id = 1", "wholly.secret wholly_1.secret"),
    ("update base set note = 'x' where id = 1", "derived.secret"),
    ("delete from owner where id = 1", "owned.secret"),
    ("update owner set id = 3 where id = 1", "owned.secret"),
    ("update chain_1 set note = 'x' where id = 1", ""),
    ("insert into circle values (2, 'x')", "?"),
    // Not plain.
    ("insert into variable values (1, 'x')", "?"),
    ("insert into dynamic values (1, 'x')", "?"),
    ("update transition set note = 'x'", "?"),
    ("update late set note = 'x'", "?"),
    ("update seen set note = 'x'", "?"),
    ("update as_owner set note = 'x'", "?"),
    ("truncate audited", "?"),
    ("listen changes", "?"),
    ("select set_config('search_path', 'other', true) from (select 1) s; update touched set note = 'x'", "?"),
];

#[test]
fn what_triggers_show_of_a_row_is_read() {
    let (cluster, catalog) = database("triggers.sql");
    let cases: Vec<_> = WRITES.iter().copied().filter(|(sql, _)| !sql.contains(';')).collect();
    check(&cases, &catalog);
    judge(&cases, &cluster, &catalog);
    let tables = [
        "touched",
        "touched_if",
        "audited",
        "strictly_audited",
        "keyed",
        "checked",
        "typed",
        "told",
        "told_by_hint",
        "validated",
        "oracle",
        "guarded_by_when",
        "frozen",
        "skipped",
        "same",
        "copied",
        "kept",
        "searched",
        "searched_secret",
        "half_json",
        "wide",
        "cast_json",
        "equalled",
        "unequalled",
        "equalled_when",
        "differing",
        "fully_audited",
        "setting_audited",
        "choice_audited",
        "never_audited",
        "notified_of_id",
        "indexed",
        "deleted_badly",
        "by_branches",
        "hashed",
        "hashed_before",
        "looks_up",
        "calls",
        "notified",
        "put_back",
        "put_back_coalesced",
        "not_deleted",
        "plainly_returned",
        "fails_only",
        "too_long",
        "parent",
        "wholly",
        "chain_1",
        "circle",
    ];
    compare(&cases, &cluster, &catalog, |secret| {
        let each = tables.iter().map(|table| {
            format!("delete from {table}; insert into {table} (id, secret) values (1, {secret});")
        });
        each.collect::<String>()
    });
}

#[test]
fn what_triggers_store_elsewhere_is_labelled_there() {
    let (_cluster, catalog) = database("triggers.sql");
    let plain = session();
    for (sql, read, expected) in [
        ("update audited set note = 'x'", "select new_row from audit", "public.audited.secret"),
        ("delete from audited", "select old_row from audit", "public.audited.secret"),
        (
            "update strictly_audited set note = 'x'",
            "select secret from strict_audit",
            "public.strictly_audited.secret",
        ),
        ("update copied set id = 2", "select note from copied", "public.copied.secret"),
        (
            "update searched_secret set id = 2",
            "select words from searched_secret",
            "public.searched_secret.secret",
        ),
        ("insert into looks_up (id) values (1)", "select note from looks_up", "public.looked_up.secret"),
        ("update chain_1 set note = secret", "select a from chain_2", "public.chain_1.secret"),
        ("update chain_1 set note = secret", "select c from chain_3", "public.chain_1.secret"),
        (
            "insert into chain_1 select id, secret from looked_up",
            "select c from chain_3",
            "public.looked_up.secret",
        ),
        (
            "insert into chain_1 (note) values (secret_of(1))",
            "select c from chain_3",
            "public.looked_up.secret",
        ),
        (
            "merge into chain_1 c using looked_up l on c.id = l.id when not matched then insert (id, note) values (l.id, l.secret)",
            "select c from chain_3",
            "public.looked_up.secret",
        ),
    ] {
        let mut session = plain.clone();
        let [facts] = analyze(sql.as_bytes(), &catalog, &session).try_into().expect("one statement");
        assert_ne!(facts.certainty, stepgate_types::Certainty::Unknown, "{sql}: {:?}", facts.reasons);
        for (relation, flow) in &facts.flows {
            session.taints.add(relation.clone(), flow.clone()).expect("room");
        }
        let [facts] = analyze(read.as_bytes(), &catalog, &session).try_into().expect("one statement");
        assert!(columns(&facts).contains_key(expected), "{sql}; {read}: {:?}", facts.columns);
    }
    // And nothing else is.
    for (sql, read) in [
        ("update audited set note = 'x'", "select op, note, id from audit"),
        ("update chain_1 set note = 'x'", "select c from chain_3"),
        ("update touched set note = 'x'", "select updated_at from touched"),
    ] {
        let mut session = plain.clone();
        let [facts] = analyze(sql.as_bytes(), &catalog, &session).try_into().expect("one statement");
        for (relation, flow) in &facts.flows {
            session.taints.add(relation.clone(), flow.clone()).expect("room");
        }
        let [facts] = analyze(read.as_bytes(), &catalog, &session).try_into().expect("one statement");
        assert!(!columns(&facts).keys().any(|column| column.ends_with(".secret")), "{sql}; {read}");
    }
}

#[test]
fn a_column_that_a_trigger_leaves_to_its_default_may_be_null_and_the_error_shows_the_row() {
    let (cluster, _) = database("triggers.sql");
    for attack in [
        "update setting_audited set note = 'x'",
        "set application_name = ''; update choice_audited set note = 'x'",
        "delete from never_audited",
    ] {
        let table = attack.split(' ').find(|word| word.ends_with("_audited")).expect("a table");
        cluster.load("shop", &format!("insert into {table} values (1, 'x', 'AAA')")).expect("a row");
        let output = cluster.psql_command("shop").args(["-q", "-c", attack]).output().expect("psql");
        assert!(String::from_utf8_lossy(&output.stderr).contains("AAA"), "{attack}");
    }
}

#[test]
fn every_change_of_a_trigger_is_a_change_of_the_catalog() {
    let (cluster, _) = database("triggers.sql");
    let signature = || rows(&cluster, "shop", CATALOG_FINGERPRINT_QUERY);
    let mut before = signature();
    for sql in [
        "create or replace function touch() returns trigger language plpgsql as 'begin return null; end'",
        "create or replace trigger touch before update on touched for each row execute function tell()",
        "create trigger more before update on touched for each row execute function tell()",
        "drop trigger more on touched",
        "alter table touched disable trigger touch",
        "alter function touch() set search_path = other",
        "create index on audit ((note::int))",
        "alter table audit alter note set not null",
    ] {
        cluster.load("shop", sql).expect(sql);
        let after = signature();
        assert_ne!(before, after, "{sql}");
        before = after;
    }
}

#[test]
fn a_name_in_a_trigger_that_may_mean_two_tables_is_unknown() {
    let (_cluster, catalog) = database("triggers.sql");
    let certainty = |session: &stepgate_sql::SessionState| {
        let [facts] =
            analyze(b"update pathless set note = 'x'", &catalog, session).try_into().expect("one statement");
        facts.certainty
    };
    let unknown = stepgate_types::Certainty::Unknown;
    assert_ne!(certainty(&session()), unknown);
    // What it found first, in this session, may be another than is found first now.
    let both = stepgate_sql::SessionState::with_search_path(["pg_catalog", "other", "public"]);
    assert_eq!(certainty(&both), unknown);
    let mut temporary = session();
    temporary.temporaries.insert("doubled".to_owned());
    assert_eq!(certainty(&temporary), unknown);
}

/// `pg_notify` in a trigger sends the row to whoever listens, and no row of a result is counted.
#[test]
fn what_a_trigger_sends_of_a_row_to_whoever_listens_is_a_sink() {
    let (_cluster, catalog) = database("triggers.sql");
    for (sql, sends) in [
        ("update notified set note = 'x' where id = 1", true),
        ("delete from touched where id = 1", false),
        ("update told set note = 'x' where id = 1", false),
        // The client's own row, and nothing that was there before.
        ("insert into notified values (2, 'x', 'y')", false),
    ] {
        let facts = analyze(sql.as_bytes(), &catalog, &session());
        let sink = facts[0].sinks.iter().any(|sink| sink.kind == SinkKind::Notification);
        assert_eq!(sink, sends, "{sql}: {:?}", facts[0].sinks);
    }
}

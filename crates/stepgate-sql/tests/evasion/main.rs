//! Ways round a reader of SQL, against a real catalog: each must be seen through or be unknown.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::format_push_string,
    reason = "a test"
)]

mod benign;
#[path = "../common/mod.rs"]
mod common;
mod constructs;
mod leaks;

use std::collections::BTreeSet;

use benign::{BENIGN, EXACT, MORE};
use common::{columns, everything, facts, risky, rows, touched};
use constructs::{CONSTRUCTS, UNJUDGED};
use leaks::LEAKS;
use stepgate_sql::Catalog;
use stepgate_types::{Certainty, Kind};

/// All of which PostgreSQL is the judge.
fn leaks() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    LEAKS.iter().chain(CONSTRUCTS)
}

#[test]
fn every_way_round_is_seen_through_or_unknown() {
    let (_cluster, catalog, pii) = everything();
    let mut wrong = Vec::new();
    for (sql, expected) in leaks().chain(UNJUDGED) {
        let all = facts(sql, &catalog);
        let unknown =
            all.iter().any(|facts| facts.certainty == Certainty::Unknown || facts.kind == Kind::Control);
        let reasons: Vec<_> =
            all.iter().flat_map(|facts| facts.reasons.iter().map(|reason| reason.code)).collect();
        let seen: BTreeSet<String> = all.iter().flat_map(|facts| touched(facts, &pii)).collect();
        let wanted: BTreeSet<String> = expected
            .trim_start_matches('?')
            .split_whitespace()
            .map(|column| format!("public.{column}"))
            .collect();
        let right = if expected.starts_with('?') { unknown } else { !unknown && seen == wanted };
        if !right {
            wrong.push(format!("{sql}: unknown {unknown} {reasons:?}, {seen:?}"));
        }
    }
    assert!(leaks().count() >= 80);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn changes_of_rights_are_control() {
    let (_cluster, catalog, _) = everything();
    for sql in [
        "create role x",
        "alter user x password 'y'",
        "drop group x",
        "grant select on doctors to x",
        "revoke all on doctors from x",
        "reassign owned by x to y",
        "drop owned by x",
        "set role x",
        "set local role x",
        "set session authorization x",
        "set \"role\" to x",
        "set session_authorization = x",
        "set role \"NONE\"",
        "set role 'NONE'",
        "set role 'default'",
        "set role \"default\"",
        "set role to none, x",
        "set \"ROLE\" to x",
        "set session authorization none",
        "set session authorization 'default'",
        "set local session authorization \"DEFAULT\"",
        "set stepgate.person = 'x'",
        "set local StepGate . \"Person\" to x",
        "set \"STEPGATE.person\" = x",
        "set U&\"stepgate!002eperson\" uescape '!' = x",
        "set stepgate.person to default",
        "create function f() returns int language sql set stepgate.person = 'x' as 'select 1'",
        "create or replace procedure f() language plpgsql set \"stepgate.person\" to 'x' as 'begin end'",
        "alter function f() set stepgate.person = 'x'",
        "alter procedure f() reset all set stepgate.person = 'x'",
        "alter default privileges grant select on tables to x",
        "alter table doctors owner to x",
        "security label on table doctors is 'x'",
        "create publication p for all tables",
        "create subscription s connection 'x' publication p",
        "create server s foreign data wrapper f",
        "create user mapping for x server s",
        "create foreign data wrapper f",
        "alter system set x = 1",
        "alter database clinic set search_path = x",
        "alter role x set search_path = y",
        "create policy p on doctors",
        "alter table doctors enable row level security",
        "import foreign schema s from server t into u",
        "create schema s grant select on t to public",
        "create schema s create table t (a int) grant select on t to public",
    ] {
        let all = facts(sql, &catalog);
        assert_eq!(all.iter().map(|facts| facts.kind).collect::<Vec<_>>(), [Kind::Control], "{sql}");
    }
}

/// What is behind a change of the search path calls what the path finds: of a function that is given nothing it is known
/// what that is where nobody has another of its name.
#[test]
fn a_function_of_somebodys_with_the_name_of_a_servers_is_not_taken_for_it_behind_a_change_of_the_path() {
    let (cluster, catalog, _) = everything();
    let settles = |sql: &str, catalog: &Catalog| {
        facts(sql, catalog).iter().all(|facts| facts.certainty != Certainty::Unknown)
    };
    let path = "set search_path = lab, pg_catalog; select pg_advisory_unlock_all()";
    assert!(settles(path, &catalog) && settles("reset all; select pg_advisory_unlock_all(), 1", &catalog));
    for sql in [
        "reset all; select count(*) from doctors",
        "reset all; select kind from visits",
        "reset all; declare c cursor for select kind from visits",
        "reset all; select lower('x')",
        "reset all; select ward_size('A1')",
        "reset all; select unknown_to_all()",
        "reset all; select now(), lab.now()",
        "reset all; select now() from doctors",
        "reset all; select (select now())",
        "reset all; select now() + '1 day'",
        // There may be another by now.
        "create temp table t (a int); select now()",
        "create function lab.now() returns text language sql as 'select 1'; set search_path = lab, pg_catalog; select now()",
        "do 'begin end'; set search_path = lab, pg_catalog; select now()",
        "discard all; select now()",
        "rollback; select now()",
    ] {
        assert!(!settles(sql, &catalog), "{sql}");
    }
    cluster
        .load(
            "clinic",
            "create function lab.pg_advisory_unlock_all() returns text language sql as 'select max(nhs_no) from public.patients'",
        )
        .expect("a function");
    let shown = cluster.psql("clinic", path).expect("a value");
    assert_eq!(
        shown.trim(),
        cluster.psql("clinic", "select max(nhs_no) from patients").expect("a value").trim()
    );
    let catalog = common::snapshot(&cluster, "clinic");
    assert!(!settles(path, &catalog));
    assert!(!settles("reset all; select pg_advisory_unlock_all()", &catalog));
}

#[test]
fn everyday_work_and_what_drivers_send_passes() {
    let (_cluster, catalog, pii) = everything();
    let mut wrong = Vec::new();
    for sql in BENIGN {
        for facts in facts(sql, &catalog) {
            if risky(&facts, &pii) {
                wrong.push(format!(
                    "{sql}: {:?} {:?}",
                    facts.reasons.iter().map(|it| it.code).collect::<Vec<_>>(),
                    touched(&facts, &pii)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn of_names_that_several_things_have_each_means_one() {
    let (_cluster, catalog, _) = everything();
    let mut wrong = Vec::new();
    for (sql, expected) in EXACT {
        let all = facts(sql, &catalog);
        let unknown = all.iter().any(|facts| facts.certainty == Certainty::Unknown);
        let counted: BTreeSet<String> = all.iter().flat_map(|facts| columns(facts).into_keys()).collect();
        let wanted: BTreeSet<String> =
            expected.split_whitespace().map(|column| format!("public.{column}")).collect();
        if unknown || counted != wanted {
            wrong.push(format!("{sql}: unknown {unknown}, {counted:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The queries that psql's backslash commands really send, from `psql -E`.
#[test]
fn the_backslash_commands_of_psql_pass() {
    let (cluster, catalog, pii) = everything();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for command in [
        "\\d",
        "\\dt",
        "\\dt+",
        "\\d patients",
        "\\d+ patients",
        "\\d visits_log",
        "\\d visits_log_2024",
        "\\d nurses",
        "\\d+ v_ward_load",
        "\\d mv_people",
        "\\d people",
        "\\d+ people",
        "\\l",
        "\\l+",
        "\\dn",
        "\\dn+",
        "\\df",
        "\\df+",
        "\\du",
        "\\dv",
        "\\dv+",
        "\\dx",
        "\\dp",
        "\\di",
        "\\ds",
        "\\dT",
        "\\dm",
        "\\sf patient_mobile",
        "\\conninfo",
        "\\db",
        "\\do",
        "\\dC",
        "\\dD",
        "\\dd",
        "\\ddp",
        "\\dy",
        "\\dL",
        "\\dO",
        "\\dc",
        "\\da",
        "\\d patients_pkey",
    ] {
        let output = cluster.psql_command("clinic").args(["-E", "-q", "-c", command]).output().expect("psql");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        for query in text.split("********* QUERY **********\n").skip(1) {
            let query = query.split("**************************\n").next().unwrap_or_default();
            seen += 1;
            for facts in facts(query, &catalog) {
                if risky(&facts, &pii) {
                    let codes: Vec<_> = facts.reasons.iter().map(|reason| reason.code).collect();
                    wrong.push(format!("{command}: {codes:?}\n{query}"));
                }
            }
        }
    }
    assert!(seen > 60, "{seen} queries");
    assert!(wrong.is_empty(), "{} of {seen}:\n{}", wrong.len(), wrong.join("\n"));
}

/// PostgreSQL itself as the judge: a role that may read exactly the columns reported must be able to run the
/// statement. A column that the analysis misses is a `permission denied` here. It may also read what the views of
/// the statement name: the server asks for all of that, whichever of their columns are read (`tests/views.rs`
/// judges those).
#[test]
fn a_role_with_exactly_the_reported_columns_may_run_each_statement() {
    let (cluster, catalog, _) = everything();
    cluster
        .load(
            "clinic",
            "create role probe; grant usage on schema public, lab, training to probe;
             do $$ declare v regclass; begin
               for v in select oid from pg_class where relkind = 'v' and relnamespace = 'public'::regnamespace loop
                 execute format('alter view %s set (security_invoker = true); grant select on %s to probe', v, v);
               end loop;
             end $$;
             grant insert, update, delete on all tables in schema public, training to probe",
        )
        .expect("a role");
    let by_views = rows(
        &cluster,
        "clinic",
        "select view_name::text, table_schema::text, table_name::text, column_name::text
         from information_schema.view_column_usage where view_schema = 'public'",
    );
    let mut judged = 0;
    let mut wrong = Vec::new();
    for sql in
        leaks().chain(EXACT).map(|(sql, _)| *sql).chain(BENIGN.iter().copied()).chain(MORE.iter().copied())
    {
        let all = facts(sql, &catalog);
        let [facts] = all.as_slice() else { continue };
        let queries = [Kind::Select, Kind::Insert, Kind::Update, Kind::Delete, Kind::Merge];
        if facts.certainty == Certainty::Unknown
            || !queries.contains(&facts.kind)
            || sql.contains('$')
            || sql.contains("ctid")
        {
            continue;
        }
        let mut script = String::from("begin;");
        for relation in &facts.relations {
            // Any column at all, where only rows count.
            let first = catalog.columns(relation).and_then(|mut columns| columns.next().map(str::to_owned));
            let first = stepgate_types::quote_ident(&first.expect("a column")).into_owned();
            if !facts.columns.keys().any(|column| column.relation == *relation) {
                script.push_str(&format!("grant select ({first}) on {relation} to probe;"));
            }
        }
        for (column, uses) in &facts.columns {
            if uses.iter().any(|used| *used != stepgate_types::Use::Write) {
                let name = stepgate_types::quote_ident(&column.column);
                script.push_str(&format!("grant select ({name}) on {} to probe;", column.relation));
            }
        }
        for row in &by_views {
            let [Some(view), Some(schema), Some(table), Some(column)] = row.as_slice() else { continue };
            if sql.contains(&**view) || (sql.contains("v_card_short") && view == "v_patient_card") {
                let column = stepgate_types::quote_ident(column);
                script.push_str(&format!("grant select ({column}) on {schema}.{table} to probe;"));
            }
        }
        script.push_str(&format!("set local role probe; explain (costs off) {sql}\n; rollback"));
        let output = cluster.psql_command("clinic").args(["-q", "-c", &script]).output().expect("psql");
        judged += 1;
        if !output.status.success() {
            wrong.push(format!(
                "{sql}\n  {}",
                String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default()
            ));
        }
    }
    assert!(judged > 150, "{judged}");
    assert!(wrong.is_empty(), "{} of {judged}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn no_mutilated_statement_makes_it_panic() {
    let (_cluster, catalog, _) = everything();
    let all: Vec<&str> =
        leaks().map(|(sql, _)| *sql).chain(MORE.iter().copied()).chain(BENIGN.iter().copied()).collect();
    let mut random: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % below.max(1) as u64).expect("small")
    };
    for _ in 0..4_000 {
        let mut bytes = all[next(all.len())].as_bytes().to_vec();
        for _ in 0..=next(4) {
            let at = next(bytes.len());
            match next(4) {
                0 if !bytes.is_empty() => drop(bytes.remove(at)),
                1 => bytes.insert(at, b"'\"$();.,*-/:[]\\\x00\xc3 e"[next(19)]),
                2 => bytes.truncate(at),
                _ => {
                    let other = all[next(all.len())].as_bytes();
                    bytes.extend_from_slice(&other[next(other.len())..]);
                }
            }
        }
        let _ = stepgate_sql::analyze(&bytes, &catalog, &common::session());
    }
}

/// The stack of a thread that analyses: a Tokio worker's.
const STACK: usize = 2 * 1024 * 1024;

#[test]
fn long_chains_and_deep_nesting_end_in_unknown_and_not_in_a_crash() {
    let catalog = Catalog::default();
    let chain = |unit: &str, count: usize| format!("select 1{}", unit.repeat(count));
    let mut texts = Vec::new();
    // On either side of what is read on the caller's stack, and on a larger one.
    for count in [30, 150, 190, 390, 1_000, 1_900, 3_900, 20_000] {
        for unit in [
            " or 1",
            " || 'a'",
            "::int",
            "[1]",
            " -> 1",
            " is null",
            " union select 1",
            " and not 1",
            " + (1)",
            ", 1",
        ] {
            texts.push(chain(unit, count));
        }
        texts.push(format!("select {}1{}", "(".repeat(count), ")".repeat(count)));
        texts.push(format!("select {}1{}", "f(".repeat(count), ")".repeat(count)));
        texts.push(format!("select {}1{}", "(select ".repeat(count), ")".repeat(count)));
        texts.push(format!("select {}1{}", "case when 1 then ".repeat(count), " end".repeat(count)));
        texts.push(format!("select {}1", "- ".repeat(count)));
        texts.push(format!("select {}1", "not ".repeat(count)));
        texts.push(format!("select 1 from a{}", " join b on true".repeat(count)));
        texts.push(format!("select 1 from {}a{}", "(".repeat(count), ")".repeat(count)));
        texts.push("/*".repeat(count));
        texts.push("with a as (".repeat(count));
        texts.push("explain ".repeat(count));
        texts.push(";".repeat(count));
    }
    // Results that double, and items without end.
    let doubling: Vec<String> =
        (1..24).map(|at| format!("c{at} as (select * from c{} a, c{} b)", at - 1, at - 1)).collect();
    texts.push(format!("with c0 as (select 1, 2, 3, 4), {} select 1", doubling.join(", ")));
    texts.push(format!("select {}1 from (values (1)) a0{}", "*, ".repeat(5_000), ", a0".repeat(2_500)));
    texts.push(format!("select 1 from pg_class{}", " natural join pg_class".repeat(4_000)));
    texts.push(format!(
        "select {}1 as z from a{} order by 1{}",
        "x + ".repeat(100),
        ", a".repeat(2_500),
        ", z".repeat(600)
    ));
    // Names of ORDER BY, each standing for a subquery with more of them.
    let orders = (0..9)
        .fold("1".to_owned(), |inner, _| format!("(select {inner} as a order by a, a, a, a, a, a, a, a)"));
    texts.push(format!("select {orders}"));
    // Chains within each of the nested brackets.
    let inner = (0..40).fold("1".to_owned(), |inner, _| format!("({inner}{})", " + 1".repeat(25)));
    texts.push(format!("select {inner}"));
    std::thread::Builder::new()
        .stack_size(STACK)
        .spawn(move || {
            for text in texts {
                let all = facts(&text, &catalog);
                assert!(all.len() <= 1, "{}", &text[..40.min(text.len())]);
            }
        })
        .expect("a thread")
        .join()
        .expect("no crash");
}

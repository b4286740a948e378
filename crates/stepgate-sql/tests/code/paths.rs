//! Code under a search path of its own: which names it finds is not known, and what it calls finds its names by that path.

use std::collections::BTreeSet;

use stepgate_sql::{Catalog, SessionState, analyze};
use stepgate_types::Certainty;

use super::common::snapshot;
use super::{database, guarded};

/// An analyst's functions and relations with names of the server's, and code that names them under paths of all kinds.
const SCHEMA: &str = "
    create function public.lower(int) returns text language sql as 'select email from public.people where id = $1';
    create table public.pg_am (amname text, secret text);
    create function inner_lower() returns text language sql as 'select lower(1)';
    create function pinned_lower() returns text language sql set search_path = public, pg_catalog as 'select lower(1)';
    create function definer_lower() returns text language sql security definer as 'select lower(1)';
    create function pinned_calls() returns text language sql set search_path = public, pg_catalog as 'select public.inner_lower()';
    create function definer_calls() returns text language sql security definer as 'select public.inner_lower()';
    create function bound_pinned() returns text language sql set search_path = public, pg_catalog begin atomic select public.inner_lower(); end;
    create function bound_calls() returns text language sql begin atomic select pinned_lower(); end;
    create function bound_inner() returns text language sql begin atomic select inner_lower(); end;
    create function by_default(t text default pinned_lower()) returns text language sql begin atomic select t; end;
    create domain looked_up as text check (inner_lower() is not null);
    create function pinned_checks() returns looked_up language sql set search_path = public, pg_catalog as 'select ''x''::text';
    create function pinned_am() returns text language sql set search_path = public, pg_catalog as 'select amname::text from pg_am limit 1';
    create view v_pinned as select pinned_lower() as l;
    create view v_inner as select inner_lower() as l;
    create function pinned_view() returns text language sql set search_path = public, pg_catalog as 'select l from public.v_inner';
    create function pinned_plain(t text) returns text language sql set search_path = public as
      'select md5(t) || count(*)::text || max(p.town) from public.people p';
    create function pinned_reads(n int) returns text language sql set search_path = '' as 'select p.email from public.people p where p.id = n';
    create function pinned_class() returns text language sql security definer as 'select relname::text from pg_class limit 1';
    create function definer_plain(n int) returns text language sql security definer as 'select p.town from public.people p where p.id = n';
    create table shouted (id int primary key, note text, secret text);
    create function shout() returns trigger language plpgsql set search_path = public, pg_catalog as
      'begin new.note := upper(new.note); return new; end';
    create trigger shout before insert on shouted for each row execute function shout();
    create table trimmed (id int primary key, note text, secret text);
    create function trims() returns trigger language plpgsql set search_path = '' as
      'begin new.note := btrim(new.note); return new; end';
    create trigger trims before insert or update on trimmed for each row execute function trims();";

fn session() -> SessionState {
    SessionState::with_search_path(["pg_catalog"])
}

/// The labelled columns that a statement reads; `None` where it is unknown.
fn read(sql: &str, catalog: &Catalog, session: &SessionState) -> Option<BTreeSet<String>> {
    let [facts] = analyze(sql.as_bytes(), catalog, session).try_into().expect("one statement");
    (facts.certainty != Certainty::Unknown).then(|| guarded(&facts))
}

#[test]
fn a_function_with_the_name_of_a_servers_is_not_taken_for_that_in_code_with_its_own_path() {
    let (cluster, _) = database("calls.sql");
    cluster.load("shop", SCHEMA).expect("code");
    // It is the other that the server runs.
    for sql in
        ["select public.pinned_lower()", "select public.pinned_calls()", "select public.bound_pinned()"]
    {
        let told = cluster.psql("shop", &format!("set search_path = pg_catalog; {sql}")).expect(sql);
        assert!(told.contains("a@b"), "{sql}: {told}");
    }
    let catalog = snapshot(&cluster, "shop");
    for sql in [
        "select public.pinned_lower()",
        "select public.definer_lower()",
        "select public.pinned_calls()",
        "select public.definer_calls()",
        "select public.bound_pinned()",
        "select public.bound_calls()",
        "select public.by_default()",
        "select public.pinned_checks()",
        "select public.pinned_am()",
        "select l from public.v_pinned",
        "select public.pinned_view()",
        "insert into public.shouted (id, note) values (1, 'x')",
    ] {
        assert_eq!(read(sql, &catalog, &session()), None, "{sql}");
    }
    // Under the caller's path, which is known, it is the server's.
    for sql in ["select public.inner_lower()", "select public.bound_inner()", "select l from public.v_inner"]
    {
        assert_eq!(read(sql, &catalog, &session()), Some(BTreeSet::new()), "{sql}");
    }
}

#[test]
fn a_path_that_is_not_known_is_not_known_to_what_is_called_either() {
    let (cluster, _) = database("calls.sql");
    cluster.load("shop", SCHEMA).expect("code");
    let catalog = snapshot(&cluster, "shop");
    let blind = SessionState { search_path: None, ..session() };
    for sql in ["select public.inner_lower()", "select public.bound_inner()", "select l from public.v_inner"]
    {
        assert_eq!(read(sql, &catalog, &blind), None, "{sql}");
    }
    assert_eq!(read("select public.pinned_plain('x')", &catalog, &blind), Some(BTreeSet::new()));
}

#[test]
fn ordinary_code_with_its_own_path_stays_understood() {
    let (cluster, _) = database("calls.sql");
    cluster.load("shop", SCHEMA).expect("code");
    let catalog = snapshot(&cluster, "shop");
    for (sql, reads) in [
        ("select public.pinned_plain('x')", ""),
        ("select public.pinned_reads(1)", "people.email"),
        ("select public.pinned_class()", ""),
        ("select public.definer_plain(1)", ""),
        ("insert into public.trimmed (id, note) values (1, ' x')", ""),
        ("update public.trimmed set note = ' x' where id = 1", ""),
    ] {
        let expected: BTreeSet<String> = reads.split_whitespace().map(str::to_owned).collect();
        assert_eq!(read(sql, &catalog, &session()), Some(expected), "{sql}");
    }
    // A table of that name which the session has made comes first.
    let mut temporary = session();
    temporary.temporaries.insert("pg_class".to_owned());
    assert_eq!(read("select public.pinned_class()", &catalog, &temporary), None);
}

/// A literal is read as its type when it is parsed, which checks the domains within it: also where nothing is ever bound.
#[test]
fn a_text_whose_literals_are_checked_by_what_reads_tables_says_so() {
    let (cluster, _) = database("calls.sql");
    let ddl = "create function known(text) returns boolean language sql as \
                 'select exists (select 1 from public.people where email = $1)'; \
               create domain known_email as text check (public.known(value)); \
               create domain short as text check (length(value) < 9); \
               create table lists (id int, emails known_email[], words short[]); \
               grant all on lists to public";
    cluster.load("shop", ddl).expect("types");
    let catalog = snapshot(&cluster, "shop");
    let session = SessionState::with_search_path(["pg_catalog", "public"]);
    for (sql, reads) in [
        ("select '{x}'::public.known_email[]", true),
        ("select '{x}'::known_email[]", true),
        ("insert into lists (id, emails) values (1, '{x}')", true),
        ("select id from lists where emails = '{x}'", true),
        ("select '{x}'::short[]", false),
        ("select '{x}'::text[], length('x')", false),
    ] {
        let facts = analyze(sql.as_bytes(), &catalog, &session);
        assert_eq!(facts[0].parsing_reads, reads, "{sql}: {:?}", facts[0]);
    }
}

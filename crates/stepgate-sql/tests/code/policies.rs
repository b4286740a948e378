//! What row security runs for whoever reads or writes a table.

use stepgate_types::Certainty;

use super::common::snapshot;
use super::{check, database, facts, guarded};

/// Tables that a role may read and write by policies which call, or read, what is the server's own.
const OF_SERVER: &str = "
    create role reader; grant usage on schema public, other to reader;
    create table moves (a int, b text);
    create policy p on moves using (set_config('search_path', 'other', false) is not null);
    create table runs (a int, b text);
    create policy p on runs using (query_to_xml(coalesce(current_setting('app.q', true), 'select 1'), false, false, '') is not null);
    create table keeps (a int, b text);
    create policy p on keeps for insert with check (length(set_config('app.kept', new_of(b), false)) > 0);
    create table inside (a int, b text);
    create policy p on inside using (exists (select from people n where set_config('search_path', 'other', false) is not null));
    create table missed (a int, b text);
    create policy p on missed using (exists (select from pg_catalog.pg_attribute where attmissingval is not null));
    create table reaches (a int, b text);
    create policy p on reaches using (exists (select from moves n where n.a = reaches.a));
    create table further (a int, b text);
    create policy p on further using (a in (select a from reaches));
    create table off (a int, b text);
    create policy p on off using (set_config('search_path', 'other', false) is not null);
    create materialized view of_moves as select b from moves;
    create view over_moves as select b from moves; create view over_that as select b from over_moves;
    create table mine (a int, b text);
    create policy p on mine using (b = current_user and a = nullif(current_setting('app.tenant', true), '')::int);
    create policy q on mine using (pg_has_role(current_user, 'reader', 'member') and extract(year from now()) > 2000);
    create policy r on mine using (a in (with q (a) as (select id from people) select q.a from q)
      or exists (select from pg_class r where r.relname = b) or a = any (string_to_array(b, ',')::int[]));
    create policy s on mine for insert with check (a operator(pg_catalog.>) 0 and lower(b) is not null);";

const TABLES: [&str; 9] = ["moves", "runs", "keeps", "inside", "missed", "reaches", "further", "off", "mine"];

/// Statements, what the server shows of what they have done, and which columns called `email` they read; `?` where unknown is
/// right.
const CASES: &[(&str, &str, &str)] = &[
    ("select b from reaches", "other", "?"),
    ("select b from further", "other", "?"),
    ("select b from moves", "other", "?"),
    ("select b from over_moves", "other", "?"),
    ("select b from over_that", "other", "?"),
    ("update moves set b = b", "other", "?"),
    ("copy moves to stdout", "other", "?"),
    ("delete from moves", "other", "?"),
    ("select b from inside", "other", "?"),
    ("select b from runs", "found", "?"),
    ("insert into runs values (2)", "found", "?"),
    ("insert into keeps values (2, 'kept')", "kept", "?"),
    ("select b from missed", "", "?"),
    ("refresh materialized view of_moves", "", "?"),
    ("select b from off", "", ""),
    ("select b from mine", "", ""),
    ("update mine set b = b where a = 2", "", ""),
    ("insert into mine values (1, 'reader')", "", ""),
];

#[test]
fn policies_that_call_functions_of_the_servers_own_are_not_let_through() {
    let (cluster, _) = database("planned.sql");
    let load = |sql: &str| cluster.load("shop", sql).expect("load");
    load("create function new_of(t text) returns text immutable language sql as 'select t'");
    load(OF_SERVER);
    for table in TABLES {
        let secured = if table == "off" { "" } else { "enable row level security" };
        let enabled =
            if secured.is_empty() { String::new() } else { format!("alter table {table} {secured};") };
        load(&format!("insert into {table} values (1, 'x'); grant all on {table} to reader; {enabled}"));
    }
    load("grant select on people, other.none, over_moves, over_that to reader; alter materialized view of_moves owner to reader;
          alter view over_moves set (security_invoker = true); alter view over_that set (security_invoker = true)");
    let catalog = snapshot(&cluster, "shop");
    for (sql, seen, expected) in CASES {
        let script = format!(
            "set app.q = 'select set_config(''app.kept'', ''found'', false)'; set role reader; {sql};
             reset role; select 'seen:', current_setting('search_path'), current_setting('app.kept', true)"
        );
        let output = cluster.psql_command("shop").args(["-q", "-c", &script]).output().expect("psql");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        let done = text.rsplit("seen:").next().unwrap_or_default();
        assert!(
            error.is_empty() && (done.contains(seen)) && (!seen.is_empty() || !done.contains("other")),
            "{sql}: {text} {error}"
        );
        check(&[(sql, expected)], &catalog);
    }
}

/// Somebody has locked what a policy names: the server would keep whoever prints it waiting.
#[test]
fn a_policy_that_cannot_be_printed_now_is_not_known() {
    let (cluster, _) = database("planned.sql");
    let schema =
        "create table locked (a int); create policy p on locked using (a in (select id from people));
                  alter table locked enable row level security; create table other.beside (a int);";
    cluster.load("shop", schema).expect("load");
    let mut psql = cluster.psql_command("shop");
    psql.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut holder = psql.spawn().expect("psql");
    let mut input = holder.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut input, b"begin; lock table people; select 'held';\n").expect("written");
    let mut told = String::new();
    let output = holder.stdout.as_mut().expect("a pipe");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut told).expect("read");
    let catalog = snapshot(&cluster, "shop");
    drop(input);
    holder.wait().expect("psql has ended");
    let unknown = |catalog| facts("select a from locked", catalog)[0].certainty == Certainty::Unknown;
    assert!(catalog.has_locked() && unknown(&catalog));
    let catalog = snapshot(&cluster, "shop");
    assert!(!catalog.has_locked() && !unknown(&catalog));
}

/// CREATE AGGREGATE makes functions that are internal and immutable.
#[test]
fn a_policy_that_calls_an_aggregate_of_somebodys_runs_what_that_runs() {
    let (cluster, _) = database("planned.sql");
    let schema = "
        create function looks(text, text) returns text language sql stable as
          'select case when exists (select from public.people where id = 1 and email = $2) then ''y'' else ''n'' end';
        create function looks_slowly(text, text) returns text language plpgsql as 'begin return looks($1, $2); end';
        create function ends(text) returns text language sql stable as 'select email from public.people where id = 1';
        create aggregate leak (text) (sfunc = looks, stype = text);
        create aggregate leak_slowly (text) (sfunc = looks_slowly, stype = text);
        create aggregate leak_last (text) (sfunc = textcat, stype = text, finalfunc = ends);
        create aggregate joined (text) (sfunc = textcat, stype = text);
        create table one (e text); insert into one values ('');
        create table q (x text); create policy p on q using ((select leak(q.x || one.e) from one) = 'y');
        create table q_slow (x text); create policy p on q_slow using ((select leak_slowly(q_slow.x || one.e) from one) = 'y');
        create table q_last (x text); create policy p on q_last using ((select leak_last(q_last.x || one.e) from one) = q_last.x);
        create table q_plain (x text); create policy p on q_plain using ((select joined(q_plain.x || one.e) from one) = 'y');
        insert into q values ('a@b.test'), ('zzz'); create role reader; grant select on q, one, people to reader;
        alter table q enable row level security; alter table q_slow enable row level security;
        alter table q_last enable row level security; alter table q_plain enable row level security;";
    cluster.load("shop", schema).expect("load");
    let shown = cluster.psql("shop", "set role reader; select x from q").expect("the server runs it");
    assert!(shown.contains("a@b.test") && !shown.contains("zzz"), "{shown}");
    let catalog = snapshot(&cluster, "shop");
    let cases = [
        ("select x from q", "people.email"),
        ("select x from q_slow", "?"),
        ("select x from q_last", "people.email"),
        ("select x from q_plain", ""),
    ];
    check(&cases, &catalog);
}

/// pg_depend has no columns for a whole row.
#[test]
fn a_policy_that_names_a_whole_row_reads_all_of_it() {
    let (cluster, _) = database("planned.sql");
    let load = |sql: &str| cluster.load("shop", sql).expect("load");
    load(
        "create role reader; grant select on people to reader; create table copies (m people);
          create function held(p people) returns boolean language sql stable as 'select true'",
    );
    let policies = [
        "exists (select from people c where c.id = 1 and split_part(c::text, ',', 2) = x)",
        "exists (select from people c where c.id = 1 and to_jsonb(c) ->> 'email' = x)",
        "exists (select from people c where c in (select m from copies))",
        "exists (select from people c where held(c) and (c).town = x)",
        "exists (select from (people c cross join copies d) j where j::text = x)",
        "exists (select from people c where c = (select d from people d where d.id = 1))",
    ];
    for (at, policy) in policies.iter().enumerate() {
        load(&format!(
            "create table q_{at} (x text, secret text); insert into q_{at} values ('a@b.test'), ('zzz'); grant select on q_{at} to reader;
             create policy p on q_{at} using ({policy}); alter table q_{at} enable row level security;"
        ));
    }
    load("create table own_row (x text, secret text); create policy p on own_row using (own_row::text like '%a%');
          alter table own_row enable row level security;
          create table plain_row (x text, secret text); alter table plain_row enable row level security;
          create policy p on plain_row using (exists (select from people c where c.town = x))");
    let shown = cluster.psql("shop", "set role reader; select x from q_0").expect("the server runs it");
    assert!(shown.contains("a@b.test") && !shown.contains("zzz"), "{shown}");
    let catalog = snapshot(&cluster, "shop");
    for at in 0..policies.len() {
        let sql = format!("select x from q_{at}");
        let facts = &facts(&sql, &catalog)[0];
        assert_ne!(facts.certainty, Certainty::Unknown, "{sql}: {:?}", facts.reasons);
        // The policy's own table counts as well: nobody says whose row it is.
        assert!(guarded(facts).contains("people.email"), "{sql}: {:?}", guarded(facts));
    }
    check(&[("select x from own_row", "own_row.secret"), ("select x from plain_row", "")], &catalog);
}

/// Which rows a materialised view has, the policies beneath it decided when it was filled.
#[test]
fn a_materialised_view_has_the_rows_that_policies_gave_it() {
    let (cluster, _) = database("planned.sql");
    let schema = "
        create table g (x text); insert into g values ('a@b.test'), ('zzz');
        create policy p on g using (exists (select from people m where m.id = 1 and m.email = x));
        create function is_known(t text) returns boolean language sql stable as 'select exists (select from public.people where email = t)';
        create function is_known_slowly(t text) returns boolean language plpgsql as 'begin return is_known(t); end';
        create table h (x text); create policy p on h using (is_known(x));
        create table i (x text); create policy p on i using (is_known_slowly(x));
        create table j (x text); create policy p on j using (x <> 'y');
        create role owner_of_views; grant select on g, h, i, j, people to owner_of_views; grant all on schema public to owner_of_views;
        alter table g enable row level security; alter table h enable row level security;
        alter table i enable row level security; alter table j enable row level security;
        set role owner_of_views;
        create materialized view of_g as select x from g;
        create materialized view of_h as select x from h; create materialized view of_i as select x from i;
        create materialized view of_j as select x from j;
        create view over_of_g as select x from of_g; create materialized view of_that as select x from over_of_g;
        create materialized view of_that_too as select count(*) as n from of_that;
        create index on of_j ((x || 'y'));";
    cluster.load("shop", schema).expect("load");
    let shown = cluster.psql("shop", "select x from of_g").expect("the server runs it");
    assert!(shown.contains("a@b.test") && !shown.contains("zzz"), "{shown}");
    let catalog = snapshot(&cluster, "shop");
    let cases = [
        ("select x from g", "people.email"),
        ("select x from of_g", "people.email"),
        ("select count(*) from of_g", "people.email"),
        ("select x from over_of_g", "people.email"),
        ("select x from of_that", "people.email"),
        ("select n from of_that_too", "people.email"),
        ("select x from of_h", "people.email"),
        ("select x from of_i", "?"),
        ("select x from of_j", ""),
    ];
    check(&cases, &catalog);
}

/// The columns of an alias are printed in parentheses, as a call's arguments are.
#[test]
fn a_policy_that_names_the_columns_of_an_alias_calls_nothing_thereby() {
    let (cluster, _) = database("planned.sql");
    let policies = [
        ("values_named", "exists (select from (values (x)) z(v) where z.v = 'a')"),
        ("functions_named", "exists (select from unnest(array[x]) with ordinality z(v, n) where z.v = 'a')"),
        ("tables_named", "exists (select from other.none z(v) where z.v = 1)"),
        ("subqueries_named", "exists (select from (select 1, (select 2)) z(v, w) where w = 2 and x = 'a')"),
        ("calls_distinct", "exists (select distinct on (x) set_config('search_path', x, false))"),
        (
            "calls_within",
            "exists (select distinct on ((x)) set_config('search_path', x, false) from (values (x)) z(x))",
        ),
        ("calls_by_operator", "x operator(other.||||) set_config(x, x, y)"),
        (
            "calls_in_values",
            "exists (select from (values (set_config('a.b', x, false))) z(v) where z.v = 'a')",
        ),
    ];
    let operator = "create function other.joined(text, text) returns boolean language sql as 'select true';
        create operator other.|||| (leftarg = text, rightarg = text, function = other.joined)";
    cluster.load("shop", operator).expect("an operator");
    for (table, policy) in policies {
        let policy = policy.replace("set_config('search_path', x, false)", "set_config(x, x, y)");
        let sql = format!(
            "create table {table} (x text, y boolean); create policy p on {table} using ({policy}); alter table {table} enable row level security;"
        );
        cluster.load("shop", &sql).expect("a policy");
    }
    let catalog = snapshot(&cluster, "shop");
    for (table, _) in policies {
        let expected = if table.starts_with("calls") { "?" } else { "" };
        check(&[(&format!("select x from {table}"), expected)], &catalog);
    }
}

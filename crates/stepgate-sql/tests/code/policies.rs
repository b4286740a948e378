//! What row security runs for whoever reads or writes a table.

use stepgate_types::Certainty;

use super::common::snapshot;
use super::{check, database, facts};

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

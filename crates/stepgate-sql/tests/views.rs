//! Which column of a view shows which columns of tables: the data itself is the judge. Whatever of the tables is not
//! reported for a column of a view is changed, and the view must show the same there, in as many rows.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::format_push_string, reason = "a test")]

mod common;

use std::collections::BTreeSet;

use common::{clinic, columns, facts, rows, session, snapshot, snapshot_of_version};
use stepgate_sql::{Catalog, Facts, analyze};
use stepgate_testkit::Cluster;
use stepgate_types::Certainty;

/// Views of every shape: told apart by column, or only as a whole.
const VIEWS: &str = "
    create table ledger (id int primary key, owner text, iban text, amount int, region text, closed bool);
    insert into ledger select i, 'o' || i, 'gb' || i, i * 7 % 5, 'r' || i % 3, i % 2 = 0 from generate_series(1, 12) i;
    create table region (region text primary key, head text, phone text);
    insert into region values ('r0', 'a', '1'), ('r1', 'b', '2'), ('r2', 'c', '3');
    create view plain as select id, owner, upper(iban) as iban, amount + 1 as more from ledger;
    create view filtered as select id, owner, region from ledger where amount > 2;
    create view joined as select l.id, l.owner, r.head, r.phone || l.iban as mixed from ledger l join region r using (region);
    create view grouped as select region, count(*) as n, sum(amount) as total, max(iban) as last from ledger group by region;
    create view ranked as select id, rank() over (partition by region order by amount) as place, owner from ledger;
    create view sorted as select id, iban from ledger order by amount desc limit 4;
    create view looked_up as select id, (select phone from region r where r.region = l.region) as phone, owner from ledger l;
    create view chosen as select id, case when closed then iban else owner end as who, amount from ledger;
    create view nested as select id, who from chosen where amount > 1;
    create view twice as select n.id, f.owner, n.who from nested n join filtered f using (id);
    create view distinctly as select distinct region, closed from ledger;
    create view chained as with recursive r(id, who) as (select id, owner from ledger where id = 1
        union all select l.id, l.owner from r join ledger l on l.id = r.id + 1) select id, who from r;
    create view united as select id, owner from ledger union all select 0, head from region;
    create view derived as select s.id, s.o from (select id, owner as o, iban from ledger) s;
    create view with_cte as with c as (select id, iban from ledger) select id, iban from c;
    create view renamed (a, b) as select iban, owner from ledger;
    create view whole as select to_jsonb(l) as j, l.id from ledger l;
    create view typed as select id, owner::varchar(2) as short, coalesce(iban, owner) as any_of from ledger;
    create view laterally as select l.id, x.phone from ledger l, lateral (select phone from region r where r.region = l.region) x;
    create materialized view kept as select id, owner, iban from ledger where not closed;
";

const TABLES: [(&str, &[&str]); 2] =
    [("ledger", &["owner", "iban", "amount", "region", "closed"]), ("region", &["head", "phone"])];

#[test]
fn a_column_of_a_view_shows_nothing_but_what_is_reported_for_it() {
    let cluster = clinic();
    cluster.load("clinic", VIEWS).expect("the views");
    let catalog = snapshot(&cluster, "clinic");
    let all = rows(
        &cluster,
        "clinic",
        "select c.relname::text, a.attname::text from pg_class c join pg_attribute a on a.attrelid = c.oid
         where relkind in ('v', 'm') and relnamespace = 'public'::regnamespace and attnum > 0
         and relname not like 'v\\_%' order by 1, attnum",
    );
    let (mut exact, mut wrong) = (0, Vec::new());
    for row in &all {
        let [Some(view), Some(column)] = row.as_slice() else { continue };
        let sql = format!("select {column} from {view}");
        let [facts] = facts(&sql, &catalog).try_into().expect("one statement");
        assert_ne!(facts.certainty, Certainty::Unknown, "{sql}: {:?}", facts.reasons);
        exact += usize::from(facts.certainty == Certainty::Exact);
        let reported: BTreeSet<String> = columns(&facts).into_keys().collect();
        let refresh = if view == "kept" { "refresh materialized view kept;" } else { "" };
        let mut script = String::from("begin;");
        for (table, others) in TABLES {
            let changes: Vec<String> = others
                .iter()
                .filter(|other| !reported.contains(&format!("public.{table}.{other}")))
                .map(|other| match *other {
                    "amount" => "amount = 9 - amount".to_owned(),
                    "closed" => "closed = not closed".to_owned(),
                    "region" => "region = 'r' || (id + 1) % 3".to_owned(),
                    other => format!("{other} = {other} || 'changed'"),
                })
                .collect();
            if !changes.is_empty() {
                script.push_str(&format!("update {table} set {};", changes.join(", ")));
            }
        }
        let shown = |script: &str| {
            let query = format!("select {column}::text from {view} order by 1");
            let output = cluster
                .psql_command("clinic")
                .args(["-qAt", "-v", "ON_ERROR_STOP=1", "-c", &format!("{script} {query}; rollback")])
                .output()
                .expect("psql");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        if shown("begin;") != shown(&format!("{script}{refresh}")) {
            wrong.push(format!("{sql}: reported {reported:?}"));
        }
    }
    assert!(all.len() > 45 && exact > 30, "{} columns, {exact} told apart", all.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_column_of_a_view_is_reported_without_the_others() {
    let cluster = clinic();
    cluster.load("clinic", VIEWS).expect("the views");
    let catalog = snapshot(&cluster, "clinic");
    for (sql, expected) in [
        ("select id from plain", "ledger.id"),
        ("select iban from plain", "ledger.iban"),
        ("select owner from filtered", "ledger.amount ledger.owner"),
        ("select head from joined", "ledger.region region.head region.region"),
        ("select owner from twice", "ledger.amount ledger.id ledger.owner"),
        ("select a from renamed", "ledger.iban"),
        ("select owner from kept", "ledger.closed ledger.owner kept.owner"),
        ("select count(*) from plain", ""),
        ("select p from plain p", "ledger.amount ledger.iban ledger.id ledger.owner"),
    ] {
        let [facts] = facts(sql, &catalog).try_into().expect("one statement");
        let expected: BTreeSet<String> =
            expected.split(' ').filter(|it| !it.is_empty()).map(|it| format!("public.{it}")).collect();
        let reported: BTreeSet<String> = columns(&facts).into_keys().collect();
        assert_eq!(reported, expected, "{sql}");
    }
}

#[test]
fn a_view_that_the_server_cannot_print_is_unknown_and_keeps_nothing_else_from_being_read() {
    let cluster = clinic();
    // Servers older than the minor versions of 2025 make it; others refuse.
    let script = "
        create table written (a int);
        create function makes() returns trigger language plpgsql as
            'begin create materialized view unprintable as select * from new_rows; return null; end';
        create trigger makes after insert on written referencing new table as new_rows
            for each statement execute function makes();
        do $$ begin insert into written values (1); exception when others then null; end $$";
    cluster.load("clinic", script).expect("what makes it");
    let catalog = snapshot(&cluster, "clinic");
    for (sql, certainty) in
        [("select a from unprintable", Certainty::Unknown), ("select a from written", Certainty::Exact)]
    {
        let [facts] = facts(sql, &catalog).try_into().expect("one statement");
        assert_eq!(facts.certainty, certainty, "{sql}: {:?}", facts.reasons);
    }
}

/// Views with a column `n` that fails by what it is made of, computed in each way that the server has.
const COMPUTED: &str = "
    create table people (id int primary key, country text, secret text);
    insert into people values (1, 'DE', 'AAA'), (2, 'FR', 'AAA');
    create table orders (id int primary key, note text); insert into orders values (1, 'a'), (2, 'b');
    create view simple as select id, country, secret::int as n from people;
    create view joined as select o.id, p.country, p.secret::int as n from orders o join people p using (id);
    create view looked_up as select id, country, (select secret::int from people p where p.id = o.id) as n from people o;
    create view over_simple as select id, country from simple;
    create view barrier with (security_barrier) as select id, country, secret::int as n from people;
    create view bare_barrier with (security_barrier) as select id, country, secret from people;
    create view cut as select id, country, secret::int as n from people limit 10;
    create view ordered as select id, country, secret::int as n from people order by id;
    create view grouped as select country, min(id) as id, sum(secret::int) as n from people group by country;
    create view one as select max(id) as id, max(country) as country, max(secret::int) as n from people;
    create view numbered as select id, country, secret::int as n, row_number() over (order by id) as r from people;
    create view named as select id, country, secret::int as n, rank() over w as r from people window w as (order by id);
    create view timed as select id, country, secret::int as n, clock_timestamp() as at from people;
    create view over_barrier as select id, country from barrier;
    create view cut_over_simple as select id, country, n from simple limit 10;
    create view locked as select o.id, p.country, p.secret::int as n from orders o join people p using (id) for share of o;
    create view locked_over_barrier as select o.id, b.country from orders o join barrier b using (id) for share of o;
    create view locked_over_simple as select o.id, b.country from orders o join simple b using (id) for share of o;
    create view volatile as select id, country, (secret || random())::int as n from people;
    create view volatile_case as select id, country, case when random() >= 0 then secret::int end as n from people;
    create view volatile_within as select id, country, (select secret::int where random() >= 0) as n from people;
    create view over_volatile as select id, country from volatile;
    create view parted as select id, country, row_number() over (partition by secret::int) as n from people;
    create view sorted_by as select id, country, row_number() over (order by secret::int) as n from people;
    create view parted_over_simple as select id, country, row_number() over (partition by n) as n from simple;
    create view ranked_barely as select id, country, row_number() over (partition by secret order by secret) as n from people;
    create view distinctly as select distinct id, country, secret::int as n from people;
    create view united as select id, country, secret::int as n from people union all select id, country, 0 from people;
    create view many as select id, country, generate_series(1, secret::int) as n from people;
    create view transactions as select id, country, pg_snapshot_xip(secret::pg_snapshot) as n from people;
    create view with_cte as with c as (select * from people offset 0) select id, country, secret::int as n from c;
    create view derived as select id, country, n from (select id, country, secret::int as n from people offset 0) d;
    create function of_barrier() returns table (id int, country text) language sql stable as
        'select id, country from public.barrier';
    create function of_volatile() returns table (country text) language sql stable as
        'select country from public.volatile';
    create function of_simple() returns table (id int, country text) language sql stable as
        'select id, country from public.simple';
";

/// Statements whose error shows what they do not ask for.
const SHOWING: &[&str] = &[
    // Row marks: whole rows of what is not made part of the statement.
    "select v.country from barrier v for update",
    "select v.country from barrier v, orders o where v.id = o.id for update of o",
    "select v.country from orders o left join barrier v on v.id = o.id for no key update of o",
    "select 1 from cut v, orders o for key share of o",
    "select 1 from ordered v, orders o for update of o",
    "select 1 from grouped v, orders o for update of o",
    "select 1 from one v, orders o for update of o",
    "select 1 from numbered v, orders o for update of o",
    "select 1 from named v, orders o for update of o",
    "select 1 from timed v, orders o for update of o",
    "select 1 from over_barrier v, orders o for update of o",
    "select 1 from cut_over_simple v, orders o for update of o",
    "select 1 from locked v, orders o for update of o",
    "select 1 from distinctly v, orders o for update of o",
    "select 1 from united v, orders o for update of o",
    "select 1 from with_cte v, orders o for update of o",
    "select 1 from derived v, orders o for update of o",
    "select id from orders where id in (select id from barrier) for update",
    "select v.country from (select country, id from barrier) v, orders o where v.id = o.id for update of o",
    "with v as (select country, id from barrier) select v.country from v, orders o where v.id = o.id for update of o",
    "select v.country from of_barrier() v, orders o where v.id = o.id for update of o",
    "insert into orders select id + 10, country from barrier for share",
    "update orders o set note = v.country from barrier v where v.id = o.id",
    "update orders set note = 'x' where id in (select id from barrier)",
    "update orders o set note = 'x' where exists (select from barrier v where v.id = o.id)",
    "update orders o set note = 'x' from of_barrier() v where v.id = o.id",
    "with u as (update orders o set note = 'x' from barrier v where v.id = o.id) select 1",
    "delete from orders o using cut v where v.id = o.id",
    "delete from orders o where not exists (select from cut v where v.id = o.id)",
    "merge into orders o using barrier v on v.id = o.id when matched then update set note = v.country",
    "merge into orders o using over_barrier v on v.id = o.id when not matched then do nothing when matched then delete",
    "select country from locked_over_barrier",
    // Volatile functions.
    "select country from volatile",
    "select count(*) from volatile",
    "select 1 from volatile_case",
    "select 1 from volatile_within",
    "select country from over_volatile",
    "select country from of_volatile()",
    "select v.country from barrier u join over_volatile v using (id)",
    // Keys of windows.
    "select country from parted",
    "select country from sorted_by",
    "select country from parted_over_simple",
    // What is computed of all.
    "select country from distinctly",
    "select country from many",
    "select country from transactions",
    // Of views that the transaction has made.
    "create view made as select id, country, (secret || random())::int as n from people; select country from made",
    "create view made as select id, secret, row_number() over (partition by secret::int) as n from people; select id from made",
    "create view made as select id, country from barrier; select 1 from made v, orders o for update of o",
    "create view made as select id, country, secret::int as n from people limit 10; select 1 from made v, orders o for update of o",
    "create view made as select id, secret from people where secret::int > 0; select id from made",
];

/// Statements that compute nothing of what they do not ask for.
const SILENT: &[&str] = &[
    "select v.country from simple v for update",
    "select v.country from simple v, orders o where v.id = o.id for update of o",
    "select v.country from joined v, orders o where v.id = o.id for update of o",
    "select v.country from looked_up v, orders o where v.id = o.id for update of o",
    "select v.country from over_simple v, orders o where v.id = o.id for update of o",
    "select v.country from bare_barrier v, orders o where v.id = o.id for update of o",
    "select v.country from of_simple() v, orders o where v.id = o.id for update of o",
    "update orders o set note = v.country from simple v where v.id = o.id",
    "update orders set note = 'x' where id in (select id from simple)",
    "update orders o set note = v.country from bare_barrier v where v.id = o.id",
    "update orders o set note = v.country from orders p left join simple v on v.id = p.id where o.id = p.id",
    "delete from orders o using looked_up v where v.id = o.id",
    "merge into orders o using simple v on v.id = o.id when matched then update set note = v.country",
    "insert into orders select id + 10, country from barrier",
    "insert into orders select id, country from barrier on conflict (id) do update set note = excluded.note",
    "create temp table made as select id, country from cut",
    "create view made as select id, country from barrier; select country from made",
    "select country from barrier",
    "select country from cut",
    "select country from grouped",
    "select country from one",
    "select country from numbered",
    "select country from named",
    "select country from timed",
    "select country from locked",
    "select country from locked_over_simple",
    "select country from ranked_barely",
    "select country from over_barrier",
    "select country from of_barrier()",
];

#[test]
fn what_the_server_computes_of_a_view_counts_though_nobody_asks_for_it() {
    let cluster = computed();
    let catalog = snapshot(&cluster, "shop");
    let mut wrong = Vec::new();
    for (sql, shows) in SHOWING.iter().map(|sql| (sql, true)).chain(SILENT.iter().map(|sql| (sql, false))) {
        let script = format!("begin; {sql}; rollback");
        let output = cluster.psql_command("shop").args(["-q", "-c", &script]).output().expect("psql");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(told.contains("AAA"), shows, "{sql}: {told}");
        assert!(shows || output.status.success(), "{sql}: {told}");
        let facts = after(sql, &catalog);
        let is_unknown = facts.certainty == Certainty::Unknown;
        let is_read = columns(&facts).contains_key("public.people.secret");
        // What is beneath views that no catalog shows yet is not known.
        if (is_unknown || is_read) != shows || (is_unknown && !sql.contains("from made v, orders")) {
            wrong.push(format!("{sql}: unknown {is_unknown}, read {is_read}: {:?}", facts.reasons));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The facts of the last statement, where one before it has made something.
fn after(sql: &str, catalog: &Catalog) -> Facts {
    let mut session = session();
    let last = match sql.split_once("; ") {
        None => sql,
        Some((made, last)) => {
            let [made] = facts(made, catalog).try_into().expect("one statement");
            assert!(session.created.follow(&made, catalog, &["public".to_owned()]), "{sql}");
            last
        }
    };
    let [facts] = analyze(last.as_bytes(), catalog, &session).try_into().expect("one statement");
    facts
}

fn computed() -> Cluster {
    let cluster = Cluster::start().expect("a PostgreSQL");
    cluster.create_database("shop").expect("create database");
    cluster.load("shop", COMPUTED).expect("the views");
    cluster
}

#[test]
fn newer_servers_compute_whole_rows_of_sources_and_generated_columns() {
    let cluster = computed();
    let more = "
        create table born (id int primary key, secret int, at date generated always as (make_date(secret, 1, 1)) stored);
        create view barrier_born with (security_barrier) as select id, at from born;
        create view ranked_born as select id, row_number() over (order by at) as n from born;";
    cluster.load("shop", more).expect("a generated column");
    for (sql, version, expected) in [
        (
            "merge into orders o using simple v on v.id = o.id when not matched by source then delete",
            "170000",
            "public.people.secret",
        ),
        (
            "merge into orders o using people v on v.id = o.id when not matched by source then delete",
            "170000",
            "",
        ),
        ("select 1 from barrier_born v, orders o for update of o", "170000", ""),
        ("select 1 from barrier_born v, orders o for update of o", "180000", "public.born.secret"),
        ("select id from ranked_born", "170000", ""),
        ("select id from ranked_born", "180000", "public.born.secret"),
    ] {
        let catalog = snapshot_of_version(&cluster, "shop", version);
        let [facts] = facts(sql, &catalog).try_into().expect("one statement");
        assert_ne!(facts.certainty, Certainty::Unknown, "{sql}: {:?}", facts.reasons);
        let read = columns(&facts).into_keys().filter(|name| name.ends_with(".secret"));
        assert_eq!(read.collect::<Vec<_>>().join(" "), expected, "{sql}");
    }
}

/// Of which nobody can read either.
#[test]
fn views_that_are_made_of_each_other_are_looked_through_once() {
    let cluster = computed();
    let script = "
        create view one_way as select id, country from people;
        create view other_way as select id, country from one_way limit 10;
        create or replace view one_way as select id, country from other_way limit 10;";
    cluster.load("shop", script).expect("views");
    let catalog = snapshot(&cluster, "shop");
    let [facts] =
        facts("select 1 from one_way v, orders o for update of o", &catalog).try_into().expect("one");
    assert!(facts.columns.len() < 10);
}

/// Materialized views of which only the whole can be told, and which columns decide which rows they have.
const FILLED: &str = "
    create materialized view f_split as select id from ledger where amount > 2;
    create materialized view f_distinct as select distinct region from ledger where amount > 2;
    create materialized view f_united as select id from ledger where amount > 2 union select 1 from region where phone = '1';
    create materialized view f_with as with c as (select id from ledger where amount > 2) select id from c;
    create materialized view f_series as select generate_series(1, amount) from ledger;
    create materialized view f_over as select 1 as one from f_distinct;
    create materialized view f_deep as select distinct 1 as one from f_series;
    create view v_over as select distinct 1 as one from f_with;
    create view v_within as select 1 as one from f_split; create view v_upon as select distinct 1 as one from v_within;
";

#[test]
fn which_rows_a_materialized_view_has_tells_of_what_it_is_made_of() {
    let cluster = clinic();
    cluster.load("clinic", VIEWS).expect("the views");
    cluster.load("clinic", FILLED).expect("materialized views");
    let catalog = snapshot(&cluster, "clinic");
    let filled = ["f_split", "f_distinct", "f_united", "f_with", "f_series", "f_over", "f_deep"];
    for view in filled.into_iter().chain(["v_over", "v_upon", "v_within"]) {
        for query in ["count(*)", "1", "exists (select)", "tableoid"] {
            let sql = match query {
                "exists (select)" => format!("select exists (select from {view})"),
                "tableoid" if !filled.contains(&view) => continue,
                query => format!("select {query} from {view}"),
            };
            let [facts] = facts(&sql, &catalog).try_into().expect("one statement");
            assert_ne!(facts.certainty, Certainty::Unknown, "{sql}: {:?}", facts.reasons);
            let reported = columns(&facts);
            assert!(reported.contains_key("public.ledger.amount"), "{sql}: {reported:?}");
            assert!(
                view != "f_united" || reported.contains_key("public.region.phone"),
                "{sql}: {reported:?}"
            );
        }
    }
}

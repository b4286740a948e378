//! Which column of a view shows which columns of tables: the data itself is the judge. Whatever of the tables is not
//! reported for a column of a view is changed, and the view must show the same there, in as many rows.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::format_push_string, reason = "a test")]

mod common;

use std::collections::BTreeSet;

use common::{clinic, columns, facts, rows, snapshot};
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

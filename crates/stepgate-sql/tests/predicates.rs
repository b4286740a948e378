//! How a statement compares columns, and with what.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test")]

mod common;

use common::{clinic, facts, session, snapshot};
use stepgate_sql::{Catalog, Facts, Predicate, ValueSource, analyze};
use stepgate_testkit::Cluster;
use stepgate_types::{Certainty, Use};

/// Views, and what else comparisons could hide in.
const SCHEMA: &str = "
create view v_amounts as select inv, amount, iban from invoices;
create view v_again as select amount as a from v_amounts;
create view v_less as select amount - 30000 as above from invoices;
create view v_large as select inv from invoices where amount > 30000;
create view v_small as select inv from invoices where amount < 100 and vid = 3;
create view v_high as select inv, amount > 40000 as high, iban from invoices;
create view v_higher as select inv as i, not high as low from v_high;
create view v_inner as select inv, a from (select inv, amount as a from invoices) s;
create materialized view mv_large as select distinct inv from invoices where amount > 30000;
create view v_whole as select distinct amount from invoices;
create materialized view mv_amounts as select amount from invoices;
create table nets (gross numeric, net numeric generated always as (gross - 30000) stored);
create table paid (id int, sum numeric) partition by range (id);
create table paid_first partition of paid for values from (1) to (100);
create function above(floor numeric) returns setof int language sql as 'select inv from invoices where amount > $1 or amount = 7';
create table flags (on_hold bool, old bool);
create table codes (code int primary key, price numeric(8,2) unique, name text unique);
create table pairs (a int, b int, note text, unique (b, a));
create table uses (id int, code int references codes, left_ int, right_ int, foreign key (right_, left_) references pairs (a, b));
create table coarse (thousands numeric(3,-3) unique, big money unique, day date unique);
create table odd (n int, m int, exclude using btree (m with =));
create unique index on odd (abs(n));
create unique index on odd (m) where n > 30000;
create table shifted (n int unique);
create function shift() returns trigger language plpgsql as 'begin new.n = new.n + 30000; return new; end';
create trigger shift before insert or update on shifted for each row execute function shift();
create table ranged (id int, price int, unique (id)) partition by range (id);
create table ranged_low (price int, id int not null);
alter table ranged attach partition ranged_low for values from (1) to (100);
create unique index on ranged_low (price);
create table split_shifted (id int, n int, unique (id)) partition by range (id);
create table split_shifted_low partition of split_shifted for values from (1) to (100);
create unique index on split_shifted_low (n);
create trigger shift before insert or update on split_shifted_low for each row execute function shift();
create operator class beyond for type int using btree as operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, operator 5 >, function 1 btint4cmp(int, int);
create table ours (n int not null, m int);
create unique index on ours (n beyond);
create table of_ours (m int references ours (n));
create table priced (id int, price int, low int, check (price > low));
";

fn world() -> (Cluster, Catalog) {
    let cluster = clinic();
    cluster.load("clinic", SCHEMA).expect("load");
    let catalog = snapshot(&cluster, "clinic");
    (cluster, catalog)
}

/// `column op operand`, a literal with its number, `-` for a minus and `~` for a cast that rounds.
fn shown(facts: &Facts) -> String {
    let one = |Predicate { column, op, operand }: &Predicate| {
        let mut text =
            format!("{}.{} {} {}", column.relation.name, column.column, op.as_str(), operand.class);
        if let Some(place) = operand.value {
            text.push_str(if place.negated { "-" } else { "" });
            text.push_str(if place.rounded { "~" } else { "" });
            if let ValueSource::Literal(number) = place.source {
                text.push_str(&format!("@{number}"));
            }
        }
        text
    };
    facts.predicates.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Each is understood, and compares what is said.
fn check(cases: &[(&str, &str)], catalog: &Catalog) {
    let mut wrong = Vec::new();
    for (sql, expected) in cases {
        let all = facts(sql, catalog);
        assert_eq!(all.len(), 1, "{sql}");
        let shown = shown(&all[0]).replace("invoices.amount", "amount");
        if shown != *expected || all[0].certainty == Certainty::Unknown {
            wrong.push(format!("{sql}\n  is    {shown} {:?}\n  not   {expected}", all[0].reasons));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn conditions_say_how_a_column_is_compared_with_what() {
    let (_cluster, catalog) = world();
    check(
        &[
            ("select inv from invoices", ""),
            ("select inv from invoices where amount > 50000", "amount > number@0"),
            ("select 'a' from invoices where ((amount)) >= (50000)", "amount >= number@1"),
            ("select inv from invoices where 50000 < amount", "amount > number@0"),
            ("select inv from invoices where invoices.amount = $2", "amount = $2"),
            ("select inv from invoices i where i.amount = $2::int", "amount = $2~"),
            ("select inv from invoices where amount < -50000", "amount < number-@0"),
            ("select inv from invoices where amount > '50000'", "amount > text@0"),
            ("select inv from invoices where amount > '50000'::numeric", "amount > number@0"),
            ("select inv from invoices where amount > numeric '50000'", "amount > number@0"),
            ("select inv from invoices where amount > cast(50000.4 as int)", "amount > number~@0"),
            ("select inv from invoices where amount > 1::numeric(8,2)", "amount > number~@0"),
            ("select inv from invoices where amount > 'x'\n'y'", "amount > text@0"),
            ("select inv from invoices where amount::numeric > 5", "amount > number@0"),
            ("select inv from invoices where amount::int > 5", "amount > number@0"),
            ("select inv from invoices where amount::int = 5", "amount = number"),
            ("select inv from invoices where amount::text = '5'", "amount = text@0"),
            ("select inv from invoices where amount::text > '5'", "amount other expression"),
            ("select inv from invoices where amount::numeric(8,1) > 5", "amount > number@2"),
            ("select inv from invoices where iban collate \"C\" < 'GB'", "invoices.iban < text@0"),
            (
                "select inv from invoices where amount between 1 and 40000",
                "amount <= number@1; amount >= number@0",
            ),
            (
                "select inv from invoices where amount not between 1 and 2",
                "amount < number@0; amount < number@1; amount > number@0; amount > number@1",
            ),
            (
                "select inv from invoices where amount in (1, $1, 3)",
                "amount in number@0; amount in number@1; amount in $1",
            ),
            ("select inv from invoices where amount not in (1, 2)", "amount <> number@0; amount <> number@1"),
            (
                "select inv from invoices where amount = any (array[1, 2])",
                "amount in number@0; amount in number@1",
            ),
            ("select inv from invoices where amount = any ($1)", "amount in expression"),
            ("select inv from invoices where amount > all ('{1,2}')", "amount > expression"),
            ("select inv from invoices where not amount <= 30000", "amount > number@0"),
            ("select inv from invoices where not (not (amount <= 30000))", "amount <= number@0"),
            (
                "select inv from invoices where not (amount <= 3 or not inv = 7 and paid)",
                "amount > number@0; invoices.inv = number@1; invoices.paid other expression",
            ),
            ("select inv from invoices where (amount > 5) is true", "amount > number@0"),
            ("select inv from invoices where (amount > 5) is not true", "amount <= number@0"),
            ("select inv from invoices where amount is null", "amount is-null null"),
            ("select inv from invoices where amount notnull", "amount is-null null"),
            ("select inv from invoices where amount is distinct from 5", "amount <> number@0"),
            ("select inv from invoices where amount is not distinct from 5", "amount = number@0"),
            ("select inv from invoices where iban like 'GB%'", "invoices.iban like text"),
            ("select inv from invoices where iban !~ $1", "invoices.iban like $1"),
            ("select inv from invoices where iban not similar to 'x' escape 'y'", "invoices.iban like text"),
            (
                "select inv from invoices where (inv, amount) = (1, 2)",
                "amount = number@1; invoices.inv = number@0",
            ),
            (
                "select inv from invoices where (inv, amount) > (1, 2)",
                "amount other number@1; invoices.inv other number@0",
            ),
            (
                "select inv from invoices where (inv, amount) in ((1, 2), (3, 4))",
                "amount in number@1; amount in number@3; invoices.inv in number@0; invoices.inv in number@2",
            ),
            (
                "select v.kind from visits v join invoices i on v.vid = i.vid where at > timestamptz '2024-01-01'",
                "invoices.vid = column; visits.at > date/time; visits.vid = column",
            ),
            (
                "select kind from visits join invoices using (vid)",
                "invoices.vid = column; visits.vid = column",
            ),
            (
                "select sum(amount) filter (where inv > 5) from invoices group by vid having count(inv) > 7",
                "invoices.inv > number@0; invoices.inv other expression",
            ),
            ("update invoices set paid = true where amount > 5", "amount > number@0"),
            ("delete from invoices where amount > 5", "amount > number@0"),
            (
                "insert into doctors select * from doctors on conflict (did) do update set name = 'x' where doctors.annual_pay > 7",
                "doctors.annual_pay > number@1; doctors.did = expression",
            ),
            (
                "merge into invoices i using doctors d on i.amount > 5 when matched and d.did = 3 then delete",
                "doctors.did = number@1; amount <= number@0; amount > number@0",
            ),
            (
                "with gone as (delete from invoices where inv = 1 returning amount * 2 as a) select count(*) from gone where a > 5",
                "amount other expression; invoices.inv = number@0; invoices.inv <> number@0",
            ),
            (
                "select inv from invoices where paid = true and amount = null",
                "amount = null; amount is-null null; invoices.paid = boolean",
            ),
            (
                "select inv from invoices where null is distinct from amount",
                "amount <> null; amount is-null null",
            ),
            ("explain select inv from invoices where amount > 5", "amount > number@0"),
            ("copy (select inv from invoices where amount > 5) to stdout", "amount > number@0"),
            ("prepare p as select inv from invoices where amount > 5", "amount > number@0"),
            ("declare c cursor for select inv from invoices where amount > 5", "amount > number@0"),
            ("create temp table t as select inv from invoices where amount > 5", "amount > number@0"),
            ("select inv as \"ä\" from invoices where amount > 5", "amount > number@0"),
        ],
        &catalog,
    );
}

/// A write tells by failing whether a key is there, and so compares it.
#[test]
fn what_keys_are_asked_by_a_write_is_a_comparison() {
    let (_cluster, catalog) = world();
    let odd = "odd.m other expression; odd.n other expression";
    check(
        &[
            (
                "insert into codes values (1, 30001, 'x')",
                "codes.code = number~@0; codes.name = text~@2; codes.price = number~@1",
            ),
            (
                "insert into codes (price, code) values ($1, -$2)",
                "codes.code = $2-~; codes.name = expression; codes.price = $1~",
            ),
            (
                "insert into codes (code) values (1), (default), ((2)), (3 + 4)",
                "codes.code = number~@0; codes.code = number~@1; codes.code = expression; codes.name = expression; codes.price = expression",
            ),
            (
                "insert into codes (code) values (40000.4::int)",
                "codes.code = number~@0; codes.name = expression; codes.price = expression",
            ),
            (
                "insert into codes (code) select $1",
                "codes.code = expression; codes.name = expression; codes.price = expression",
            ),
            (
                "insert into codes default values",
                "codes.code = expression; codes.name = expression; codes.price = expression",
            ),
            (
                "copy codes (code) from stdin",
                "codes.code = expression; codes.name = expression; codes.price = expression",
            ),
            (
                "insert into uses (code, id, left_, right_) values (1, 2, 3, 4)",
                "codes.code = number~@0; pairs.a = number~@3; pairs.b = number~@2",
            ),
            (
                "insert into uses (id) values (1)",
                "codes.code = expression; pairs.a = expression; pairs.b = expression",
            ),
            ("insert into pairs (a, b, note) values (1, $1, 'x')", "pairs.a = number~@0; pairs.b = $1~"),
            // 1499 is stored as 1000; `money` reads `1,2`.
            (
                "insert into coarse values (1499, '1,2', '2024-01-01')",
                "coarse.big = text; coarse.day = text; coarse.thousands = number",
            ),
            ("insert into odd values (1, 2)", odd),
            ("update odd set n = 3", odd),
            (
                "insert into ranged values (1, 2)",
                "ranged.id = number~@0; ranged.price = number~@1; ranged_low.id = number~@0; ranged_low.price = number~@1",
            ),
            (
                "insert into codes (code) values (1) on conflict (code) do nothing",
                "codes.code = number~@0; codes.name = expression; codes.price = expression",
            ),
            (
                "insert into codes (code) values (1) on conflict (code) do update set price = 5, name = excluded.name where codes.price > 6",
                "codes.code = number~@0; codes.name = column; codes.name = expression; codes.price = number~@1; codes.price = expression; codes.price > number@2",
            ),
            (
                "merge into codes c using doctors d on c.code = 5 when not matched then insert (code, price) values (7, d.did)",
                "codes.code = number@0; codes.code = number~@1; codes.code <> number@0; codes.name = expression; codes.price = column",
            ),
            (
                "update codes set price = 30001, name = $1 where code = 3",
                "codes.code = number@1; codes.name = $1~; codes.price = number~@0",
            ),
            ("update codes set price = price + 1", "codes.price = expression"),
            (
                "update codes set (price, name) = (1, 'x')",
                "codes.name = expression; codes.price = expression",
            ),
            ("update codes set code = 5", "codes.code = number~@0; uses.code = expression"),
            (
                "update pairs set a = 5",
                "pairs.a = number~@0; pairs.b = expression; uses.left_ = expression; uses.right_ = expression",
            ),
            ("update pairs set note = 'x'", ""),
            (
                "update uses set code = 5, left_ = 6",
                "codes.code = number~@0; pairs.a = expression; pairs.b = number~@1",
            ),
            ("delete from codes", "uses.code = expression"),
            ("update priced set low = 5", "priced.low other expression; priced.price other expression"),
            ("update priced set id = 5", ""),
            ("insert into ours values (5)", "ours.n other expression"),
            ("insert into of_ours values (5)", "ours.n other expression"),
        ],
        &catalog,
    );
    for sql in [
        "insert into shifted values (1)",
        "update shifted set n = 1",
        "insert into split_shifted values (1, 2)",
        "update split_shifted set n = 1",
    ] {
        let all = facts(sql, &catalog);
        let of: Vec<_> = all[0].predicates.iter().filter(|it| it.column.column == "n").collect();
        assert!(!of.is_empty() && of.iter().all(|it| it.operand.value.is_none()), "{sql}: {of:?}");
    }
    for (sql, column) in [
        ("insert into codes values (1)", "code"),
        ("update codes set price = 1", "price"),
        ("delete from codes", "code"),
    ] {
        let all = facts(sql, &catalog);
        let uses: Vec<_> =
            all[0].columns.iter().filter(|(it, _)| it.column == column).map(|(_, uses)| uses).collect();
        assert!(
            uses.iter().any(|uses| uses.contains(&Use::Predicate) && uses.contains(&Use::Hidden)),
            "{sql}"
        );
    }
}

#[test]
fn what_may_be_turned_around_counts_both_ways() {
    let (_cluster, catalog) = world();
    let both = "amount <= number@0; amount > number@0";
    check(
        &[
            ("select amount > 5 from invoices", both),
            ("select inv from invoices order by amount <= 5", both),
            ("select inv from invoices where (amount > 5) = false", both),
            ("select inv from invoices where (amount > 5)::text = 'false'", both),
            ("select inv from invoices where case when amount > 5 then false else true end", both),
            ("select inv from invoices where coalesce(amount > 5, true)", both),
            ("select inv from invoices where not exists (select from invoices where amount > 5)", both),
            ("select inv from invoices where (select amount > 5)", both),
            (
                "select inv from doctors left join invoices on amount > 5 where inv is null",
                &format!("{both}; invoices.inv is-null null"),
            ),
            ("with small as (select inv from invoices where amount > 5) select 1 from small", both),
            (
                "select inv from invoices where exists (select from doctors where amount > 5)",
                "amount > number@0",
            ),
        ],
        &catalog,
    );
}

#[test]
fn what_is_not_a_plain_comparison_is_one_of_an_unknown_kind() {
    let (_cluster, catalog) = world();
    for condition in [
        "amount + 0 > 30000",
        "amount - 1 > 29999",
        "-amount < -30000",
        "least(amount, 30001) = 30001",
        "greatest(30000, amount) > 30000",
        "coalesce(amount, 0) > 30000",
        "nullif(amount, 30001) is null",
        "case amount when 30001 then true end",
        "case when paid then amount end > 30000",
        "numeric_gt(amount, 30000)",
        "sign(amount - 30000) = 1",
        "numrange(30000, null) @> amount",
        "amount operator(pg_catalog.>) 30000",
        "amount::numeric(9,-5) > 0",
        "amount::text::numeric > 30000",
        "row(amount) > row(30000)",
        "invoices > row(1, 2, 30000.0, true, 'x')",
        "(invoices).amount > 30000",
        "array[amount] > array[30000.0]",
        "(select amount) > 30000",
        "to_jsonb(invoices) ->> 'amount' > '3'",
        "(amount > 1) > (1 > 2) and amount = any (select 30001)",
        "amount > 0 is not distinct from (amount * 1 > 30000)",
        "amount in (select 30001) or amount - 1 > 29999",
    ] {
        let sql = format!("select inv from invoices where {condition}");
        let all = facts(&sql, &catalog);
        let of_amount = |it: &&Predicate| it.column.column == "amount";
        let all: Vec<_> = all[0].predicates.iter().filter(of_amount).collect();
        let unsure = |it: &&Predicate| {
            it.operand.value.is_none() && matches!(it.op.as_str(), "other" | "in" | ">" | "=")
        };
        assert!(all.iter().any(unsure), "{sql}: {all:?}");
    }
}

#[test]
fn what_decides_how_many_rows_there_are_without_a_condition_is_a_comparison() {
    let (_cluster, catalog) = world();
    for sql in [
        "select inv from invoices, generate_series(30001, amount) g",
        "select inv from invoices, unnest(array[amount]) g",
        "select inv from invoices, rows from (generate_series(30001, amount)) g",
        "select inv, generate_series(30001, amount) from invoices",
        "alter table invoices add check (amount <= 30000)",
        "create unique index on invoices (inv) where amount > 30000",
    ] {
        let all = facts(sql, &catalog);
        let is_other = |it: &Predicate| it.column.column == "amount" && it.op.as_str() == "other";
        assert!(all[0].predicates.iter().any(is_other), "{sql}: {:?}", all[0].predicates);
    }
}

#[test]
fn a_comparison_is_seen_through_views_subqueries_and_ctes() {
    let (_cluster, catalog) = world();
    let unknown = "amount other expression";
    check(
        &[
            ("select inv from v_amounts where amount > 5", "amount > number@0"),
            ("select a from v_again where a > 5", "amount > number@0"),
            ("select above from v_less where above > 0", unknown),
            // The value is in the view's text, and so not known.
            ("select inv from v_large", "amount > number"),
            ("select inv from v_small", "amount < number; invoices.vid = number"),
            ("select iban from v_high", ""),
            ("select high from v_high", "amount <= number; amount > number"),
            ("select i from v_higher order by low", "amount <= number; amount > number"),
            (
                "select inv from v_high where high",
                "amount <= number; amount > number; amount other expression",
            ),
            ("select inv from v_inner where a > 5", "amount other expression; invoices.inv other expression"),
            ("select count(*) from v_whole", unknown),
            (
                "select inv from mv_large",
                "amount other expression; invoices.inv other expression; mv_large.inv other expression",
            ),
            ("select amount from v_whole where amount > 5", unknown),
            (
                "select amount from mv_amounts where amount > 5",
                "amount > number@0; mv_amounts.amount > number@0",
            ),
            ("select net from nets where net > 0", "nets.gross other expression; nets.net > number@0"),
            // Of a partition, the key is known.
            (
                "select id from paid_first where sum > 5",
                "paid.id other expression; paid.sum > number@0; paid_first.id other expression; paid_first.sum > number@0",
            ),
            ("select count(*) from (select amount as a from invoices) s where s.a > 5", "amount > number@0"),
            ("select count(*) from (select amount from invoices) s (a) where a > 5", "amount > number@0"),
            ("select count(*) from (select * from invoices) s where amount > 5", "amount > number@0"),
            (
                "select count(*) from (select a from (select i.* from invoices i (x, y, a)) t) s where a > 5",
                "amount > number@0",
            ),
            (
                "with s as (select amount from invoices) select count(*) from s where amount > 5",
                "amount > number@0",
            ),
            ("with s (a) as (table invoices) select count(*) from s where a > 5", "invoices.inv > number@0"),
            ("select count(*) from (select amount - 30000 as a from invoices) s where a > 0", unknown),
            ("select count(*) from (select amount - 30000 from invoices) s (a) where a > 0", unknown),
            (
                "select count(*) from (select least(amount, 30001) from invoices) s where least = 30001",
                unknown,
            ),
            ("select count(*) from (select (select amount) as a from invoices) s where a > 5", unknown),
            (
                "select count(*) from (select amount > 5 as b from invoices) s where b",
                "amount <= number@0; amount > number@0; amount other expression",
            ),
            (
                "select count(*) from (select amount from invoices union all select 7) s where amount > 5",
                "amount > number@1",
            ),
            (
                "select count(*) from (select fee from visits union all select amount * 2 from invoices) s where fee > 5",
                "amount other expression; visits.fee > number@1",
            ),
            ("select inv from invoices, lateral (select amount as a) l where a > 5", "amount > number@0"),
            ("select inv from invoices, lateral (values (amount)) l (a) where a > 5", unknown),
            (
                "select count(*) from (select v.a from (select amount as x from invoices) t, lateral (values (t.x)) v (a)) s where a > 5",
                unknown,
            ),
            (
                "select count(*) from (select * from (select amount - 30000 from invoices) s) t (a) where a > 0",
                unknown,
            ),
            (
                "select count(*) from (select 0 union all select amount - 30000 from invoices) s (a) where a > 0",
                unknown,
            ),
            (
                "select count(*) from (select x, x + 1 as y from (select amount as x from invoices) t) s where y > 5",
                unknown,
            ),
            ("select inv from invoices, unnest(array[amount]) a where a > 5", unknown),
            ("select inv from invoices, generate_series(1, 10) g where g > 5", ""),
            (
                "select count(*) from (select invoices from invoices) s where (s.invoices).amount > 5",
                "amount other expression; invoices.iban other expression; invoices.inv other expression; invoices.paid other expression; invoices.vid other expression",
            ),
            ("select count(*) from (select amount from invoices) s where s > row(5)", unknown),
            (
                "select count(*) from (select amount from invoices) s join (values (50000)) v (amount) using (amount)",
                "amount = column",
            ),
            (
                "with recursive r (a) as (select amount from invoices union all select a - 1 from r where a > 29999) select count(*) from r where a = 1",
                "amount other expression",
            ),
            (
                "with recursive r (a) as (select 0.0 union all select amount from invoices, r where a > 30000) select count(*) from r",
                "amount other expression",
            ),
            ("select count(*) from (select amount from invoices intersect select 30001) s", unknown),
            ("select inv from above(5)", "amount = number; amount > expression"),
        ],
        &catalog,
    );
}

#[test]
fn a_copy_is_compared_as_what_it_was_made_from() {
    let (_cluster, catalog) = world();
    let message = "create temp table t as select amount from invoices; select 1 from t where amount > 5";
    let all = facts(message, &catalog);
    assert!(
        shown(&all[1]).contains("invoices.amount other expression") || all[1].certainty == Certainty::Unknown
    );
}

#[test]
fn literals_of_a_message_are_counted_over_all_its_statements_and_not_known_elsewhere() {
    let (_cluster, catalog) = world();
    let all = facts("select 1, 'x'; select inv from invoices where amount > 5", &catalog);
    assert_eq!(shown(&all[1]), "invoices.amount > number@2");
    let all =
        facts("prepare p as select inv from invoices where amount > 5 and inv = $1; execute p (7)", &catalog);
    assert_eq!(shown(&all[1]), "invoices.amount > number; invoices.inv = expression");
}

#[test]
fn more_comparisons_than_are_told_apart_are_one_of_an_unknown_kind() {
    let (_cluster, catalog) = world();
    let list = (0..100).map(|it| it.to_string()).collect::<Vec<_>>().join(", ");
    let many = (0..70).map(|it| format!("amount > {it}")).collect::<Vec<_>>().join(" or ");
    for condition in [format!("amount in ({list})"), many] {
        let all = facts(&format!("select inv from invoices where inv = 1 and ({condition})"), &catalog);
        let shown = shown(&all[0]);
        assert!(
            shown.contains("invoices.amount other expression") && shown.contains("invoices.inv = number@0"),
            "{shown}"
        );
        assert!(all[0].predicates.iter().count() <= 65);
        let union = all[0].union(&facts("select inv from invoices where amount > 5", &catalog)[0]);
        assert_eq!(union.predicates, all[0].predicates);
    }
}

#[test]
fn every_column_with_the_use_predicate_is_compared_somehow() {
    let (cluster, catalog) = world();
    let corpus = std::fs::read_to_string(common::corpus().join("statements.sql")).expect("the corpus");
    let harmless = include_str!("harmless.txt").lines().filter_map(|line| Some(line.split_once(": ")?.1));
    let statements = corpus.lines().filter(|line| !line.starts_with("--")).chain(harmless);
    let mut seen = 0;
    for sql in statements {
        for facts in analyze(sql.as_bytes(), &catalog, &session()) {
            for (column, uses) in &facts.columns {
                if uses.contains(&Use::Predicate) {
                    seen += 1;
                    assert!(facts.predicates.iter().any(|it| it.column == *column), "{sql}: {column}");
                }
            }
        }
    }
    assert!(seen > 40, "{seen}");
    drop(cluster);
}

//! Random queries that compare amounts, with PostgreSQL as the judge. Where no comparison with a value beyond a
//! threshold is reported, the amounts beyond it make no difference; where none is reported that asks for them, no row
//! comes for being beyond.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Random, snapshot};
use stepgate_sql::{
    Catalog, Comparison, Number, Predicate, SessionState, StatementValues, Values as _, analyze,
};
use stepgate_testkit::Cluster;
use stepgate_types::Certainty;

/// How many queries to judge.
const QUERIES: usize = 4_000;
/// One of seventy asks for amounts only the other way round.
const FEWER: usize = 300;

/// The same rows in both schemas, but for amounts beyond 30000.
const SCHEMA: &str = "
create table SCHEMA.sums (id int primary key, amount numeric, note text);
insert into SCHEMA.sums select g, 300 * g, 'n' || g from generate_series(1, 99) g;
insert into SCHEMA.sums values (100, null, 'none'), (101, 30000, 'edge'), (102, 10, 'low'), (103, -5, 'less'), (104, 29999.6, 'near');
insert into SCHEMA.sums select 200 + n, amount, 'high' from unnest(array[BEYOND]) with ordinality as of (amount, n);
create table SCHEMA.prices (id int primary key, amount numeric unique);
insert into SCHEMA.prices select id, amount from SCHEMA.sums;
create table SCHEMA.whole (amount int primary key);
insert into SCHEMA.whole select distinct round(amount)::int from SCHEMA.sums where amount < 1e9;
create table SCHEMA.coarse (amount numeric(20,-3) unique);
insert into SCHEMA.coarse select distinct round(amount, -3) from SCHEMA.sums where amount is not null;
create table SCHEMA.singles (amount real unique);
insert into SCHEMA.singles select distinct amount::real from SCHEMA.sums;
create table SCHEMA.refs (id int, a numeric references SCHEMA.prices (amount), b int references SCHEMA.whole);
insert into SCHEMA.refs values (1, 300, 600);
create view SCHEMA.v_sums as select id, amount as a, amount - 30000 as above, amount > 40000 as high from SCHEMA.sums;
create view SCHEMA.v_again as select id, a as amount, high from SCHEMA.v_sums;
";
const BEYOND: [(&str, &str); 3] = [
    ("one", "30000.7, 35000, 40000, 50000, 50001, 60000, 1e6"),
    ("other", "99999, 30001, 30000.9, 31000, 1e9, 50000.5, 40001"),
    // Each as high as in `one`, or higher.
    ("raised", "30000.8, 40001, 50000, 50001, 1e9, 60000, 1e7"),
];

fn pick<'a>(random: &mut Random, of: &[&'a str]) -> &'a str {
    of[random.below(of.len())]
}

fn amount(random: &mut Random) -> String {
    let plain = [
        "amount",
        "amount",
        "amount",
        "s.amount",
        "(amount)",
        "amount::numeric",
        "s.amount::int",
        "amount::float8",
    ];
    let other = [
        "amount::text",
        "coalesce(amount, 0)",
        "-amount",
        "amount + 0",
        "least(amount, 30001)",
        "(select amount)",
        "amount::numeric(12,-5)",
        "nullif(amount, 50000)",
        "case when amount > 10 then amount end",
        "abs(amount)",
    ];
    if random.below(4) == 0 { pick(random, &other) } else { pick(random, &plain) }.to_owned()
}

fn value(random: &mut Random) -> &'static str {
    let low = [
        "10",
        "0",
        "-5",
        "29999",
        "'10'",
        "1e3",
        "numeric '300'",
        "29999.6",
        "29999.6::int",
        "-(-7)",
        "- 50000",
        "+300",
        "U&'\\0031\\0030'",
        "'10'::numeric",
        "29999.9::real",
        "30000",
        "'-1e400'",
        "300::numeric(8,2)",
    ];
    let high = [
        "50000",
        "'50000'",
        "5e4",
        "40000.0",
        "-(-50000)",
        "numeric '40000'",
        "'50' '000'",
        "$$50000$$",
        "'5e4'",
        "1e400",
        "length('x') * 50000",
        "(select 50000)",
        "null",
        "'NaN'",
        "id",
        "E'50000'",
        "(values (40000))",
    ];
    if random.below(3) == 0 { pick(random, &high) } else { pick(random, &low) }
}

fn condition(random: &mut Random, depth: usize) -> String {
    if depth == 0 || random.below(4) == 0 {
        return comparison(random);
    }
    let one = |random: &mut Random| condition(random, depth - 1);
    match random.below(14) {
        0..=1 => format!("{} and {}", one(random), one(random)),
        2..=3 => format!("({} or {})", one(random), one(random)),
        4 => format!("not {}", one(random)),
        5 => format!("not ({})", one(random)),
        6 => format!(
            "({}) is {}",
            one(random),
            pick(random, &["true", "not true", "false", "not false", "unknown", "null"])
        ),
        7 => format!("({}) = {}", one(random), pick(random, &["true", "false"])),
        8 => format!("case when {} then {} else false end", one(random), one(random)),
        9 => format!("coalesce({}, false)", one(random)),
        10 => format!(
            "{} (select from sums s where s.id < 150 or {})",
            pick(random, &["exists", "not exists"]),
            one(random)
        ),
        11 => format!("id {} (select id from sums s where {})", pick(random, &["in", "not in"]), one(random)),
        12 => format!("({}) <> ({})", one(random), one(random)),
        _ => format!("({})", one(random)),
    }
}

fn comparison(random: &mut Random) -> String {
    let (left, right) = (amount(random), value(random));
    let op = pick(random, &["=", "<>", "<", "<=", ">", ">", ">", ">=", ">="]);
    let around = [
        "+",
        "-",
        "*",
        "/",
        "%",
        "^",
        "#",
        "|",
        "&",
        "<<",
        ">>",
        "||",
        "=",
        "<",
        "is distinct from",
        "like",
        "in",
        "~",
    ];
    match random.below(16) {
        // As PostgreSQL groups it, whatever that is.
        13 => format!("{left} {op} {right} {} {}", pick(random, &around), value(random)),
        14 => format!("{right} {} {left} {op} {}", pick(random, &around), value(random)),
        15 => format!("not {left} {op} {right} = {}", pick(random, &["true", "false", "null"])),
        0..=4 => format!("{left} {op} {right}"),
        5 => format!("{right} {op} {left}"),
        6 => format!(
            "{left} {} {right} and {}",
            pick(random, &["between", "not between", "between symmetric"]),
            value(random)
        ),
        7 => format!("{left} {} ({right}, {})", pick(random, &["in", "not in"]), value(random)),
        8 => format!("{left} {op} {} (array[{right}, {}])", pick(random, &["any", "all"]), value(random)),
        9 => format!("{left} is {}", pick(random, &["null", "not null"])),
        10 => format!("{left} is {}distinct from {right}", pick(random, &["", "not "])),
        11 => format!("({left}, id) {op} ({right}, 150)"),
        _ => pick(random, &["id > 200", "note like 'n%'", "true", "id % 2 = 0"]).to_owned(),
    }
}

fn query(random: &mut Random) -> String {
    let c = condition(random, 3);
    let made = amount(random);
    match random.below(23) {
        14 => format!(
            "with recursive s (id, note, amount, n) as (select id, note, {made}, 0 from sums s union all select id, note, amount - 25000, n + 1 from s where n < 2 and {c}) select array_agg(id order by id) from s"
        ),
        15 => format!(
            "select array_agg(id order by id) from (select t.id, t.note, v.amount from (select id, note, {made} as amount from sums s) t, lateral (values (t.amount)) v (amount)) s where {c}"
        ),
        16 => format!(
            "select array_agg(id order by id) from (select t.id, t.note, s.amount from sums t, unnest(array[t.amount, {}]) s (amount)) s where {c}",
            value(random)
        ),
        17 => format!(
            "select array_agg(s.id order by s.id) from sums s join (select {made} as amount from sums s where {c}) t using (amount)"
        ),
        18 => format!(
            "select array_agg(id order by id) from (select id, amount from sums s where {c} intersect select id, {} from sums s) t",
            value(random)
        ),
        19 => format!(
            "select array_agg(s.id order by s.id) from sums s where (select {made} from sums t where t.id = s.id limit 1) > {}",
            value(random)
        ),
        21 => format!(
            "select array_agg(id order by id) from (select id, note, 7 from sums s union all select id, note, {made} from sums s) s (id, note, amount) where {c}"
        ),
        22 => format!(
            "select array_agg(id order by id) from (select id, note, 7 as amount from sums s union all select id, note, {made} from sums s) s where {c}"
        ),
        20 => format!(
            "select array_agg(id order by id) from (select * from (select id, note, {made} from sums s) x) s (id, note, amount) where {c}"
        ),
        0..=2 => format!("select array_agg(id order by id) from sums s where {c}"),
        3 => format!("select array_agg(({c}) order by id) from sums s"),
        4 => format!(
            "select array_agg(id order by id) from (select id, note, {made} as amount from sums s) s where {c}"
        ),
        5 => format!(
            "with s as (select id, note, {made} from sums s) select array_agg(id order by id) from s (id, note, amount) where {c}"
        ),
        6 => format!("select array_agg(id order by id) from v_sums s (id, amount, above, note) where {c}"),
        7 => format!("select array_agg(id order by id) from v_sums s (id, a, amount, note) where {c}"),
        8 => format!("select array_agg(id order by id) from v_again s (id, amount, note) where {c}"),
        9 => format!(
            "select array_agg(t.id order by t.id) from sums t left join sums s on s.id = t.id and {} where s.id is null",
            c.replace(" id ", " s.id ")
        ),
        10 => format!(
            "select array_agg(id order by id) from (select id from sums except select id from sums s where {c}) t"
        ),
        11 => format!("select count(*) filter (where {c}) from sums s"),
        12 => format!(
            "select array_agg(id order by id) from (select id from sums s order by ({c}), id limit 20) t"
        ),
        _ => format!(
            "select array_agg(id order by id) from (select id, note, {made} as amount from sums s union all select id, note, 7 from sums) s where {c}"
        ),
    }
}

/// Whether a comparison may tell amounts beyond 30000 apart, and whether it may ask for them.
#[derive(Default, Clone, Copy)]
struct Beyond {
    tells: bool,
    asks: bool,
}

/// None: not understood.
fn beyond(sql: &str, catalog: &Catalog, session: &SessionState) -> Option<Beyond> {
    let all = analyze(sql.as_bytes(), catalog, session);
    let [facts] = all.as_slice() else { return None };
    let values = StatementValues::<&[u8]>::new(sql.as_bytes(), &[], &[], &[]);
    let threshold: Number = "30000".parse().expect("a number");
    let mut beyond = Beyond::default();
    for Predicate { column: _, op, operand } in
        facts.predicates.iter().filter(|it| it.column.column == "amount")
    {
        let number = operand.value.and_then(|place| values.number(place));
        let reaches =
            |at_it: bool| number.as_ref().is_none_or(|it| *it > threshold || at_it && *it == threshold);
        let (tells, asks) = match op {
            Comparison::IsNull => (false, false),
            Comparison::Gt | Comparison::Ge => (reaches(false), reaches(true)),
            Comparison::Lt | Comparison::Le => (reaches(false), false),
            Comparison::Eq | Comparison::In | Comparison::Ne => (reaches(false), reaches(false)),
            Comparison::Like | Comparison::Other => (true, true),
        };
        beyond.tells |= tells;
        beyond.asks |= asks;
    }
    (facts.certainty != Certainty::Unknown).then_some(beyond)
}

/// A write whose keys tell by failing whether an amount is there.
fn write(random: &mut Random) -> String {
    let values = [
        "10",
        "300",
        "- -300",
        "29999.6",
        "30000",
        "'30000'",
        "30000.4",
        "30000.5",
        "30000.7",
        "30001",
        "'30001'",
        "3.0001e4",
        "30499",
        "30500",
        "31000",
        "-(-35000)",
        "35000",
        "29999.9::real",
        "30000.5::int",
        "50000::numeric(9,-5)",
        "40000.0",
        "50001",
        "default",
        "null",
        "(values (35000))",
        "length('x') * 31000",
        "15000 + 16000",
        "16777217",
    ];
    let tables = ["prices", "whole", "coarse", "singles"];
    let (table, v, w) = (pick(random, &tables), pick(random, &values), pick(random, &values));
    let id = if table == "prices" { ("id, ", "1000, ", "1001, ") } else { ("", "", "") };
    match random.below(8) {
        0 => format!("insert into {table} ({}amount) values ({}{v})", id.0, id.1),
        1 => format!("insert into {table} ({}amount) values ({}{v}), ({}{w})", id.0, id.1, id.2),
        2 => format!(
            "insert into {table} ({}amount) values ({}{v}) on conflict (amount) do nothing returning 1",
            id.0, id.1
        ),
        3 => format!(
            "insert into {table} ({}amount) values ({}{v}) on conflict (amount) do update set amount = {w} returning 1",
            id.0, id.1
        ),
        4 => format!("update {table} set amount = {v} where amount = 300"),
        5 => format!("insert into refs (a, id, b) values ({v}, 7, {w})"),
        6 => format!(
            "update refs set {} where id = 1",
            if random.below(2) == 0 { format!("a = {v}") } else { format!("(b, a) = ({v}, {w})") }
        ),
        _ => format!(
            "merge into {table} using refs r on amount = {w} when not matched then insert ({}amount) values ({}{v})",
            id.0, id.1
        ),
    }
}

/// What psql says to each, in one schema; nothing where the server refuses it.
fn answers(cluster: &Cluster, schema: &str, asked: &[String]) -> BTreeMap<usize, String> {
    let mut script = format!("set search_path = {schema};\n\\pset tuples_only on\n\\pset format unaligned\n");
    for (at, sql) in asked.iter().enumerate() {
        script.push_str(&format!("\\echo @{at}\n{sql};\n"));
    }
    let file = std::env::temp_dir().join(format!("stepgate-threshold-{schema}-{}", std::process::id()));
    std::fs::write(&file, script).expect("a script");
    let mut psql = cluster.psql_command("amounts");
    let output = psql.args(["-q", "-v", "ON_ERROR_STOP=0", "-f"]).arg(&file).output().expect("psql");
    std::fs::remove_file(&file).expect("removed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let parts = text.split('@').filter_map(|part| part.split_once('\n'));
    let parts = parts.filter(|(_, answer)| !answer.is_empty());
    parts.filter_map(|(at, answer)| Some((at.parse().ok()?, answer.to_owned()))).collect()
}

/// The catalog of `one`, with the other schemas beside it.
fn amounts() -> (Cluster, Catalog, SessionState) {
    let cluster = Cluster::start().expect("a PostgreSQL");
    cluster.create_database("amounts").expect("create database");
    for (schema, amounts) in BEYOND {
        cluster.load("amounts", &format!("create schema {schema}")).expect("load");
        cluster.load("amounts", &SCHEMA.replace("SCHEMA", schema).replace("BEYOND", amounts)).expect("load");
    }
    let catalog = snapshot(&cluster, "amounts");
    (cluster, catalog, SessionState::with_search_path(["pg_catalog", "one"]))
}

/// Queries that `wanted` takes, by what is reported of them; and of how many others.
fn made(
    count: usize,
    seed: u64,
    catalog: &Catalog,
    session: &SessionState,
    wanted: fn(Beyond) -> bool,
) -> (Vec<String>, usize) {
    let mut random = Random(seed);
    let (mut asked, mut others) = (Vec::new(), 0);
    while asked.len() < count {
        let sql = query(&mut random);
        match beyond(&sql, catalog, session) {
            Some(beyond) if wanted(beyond) => asked.push(sql),
            Some(_) => others += 1,
            None => {}
        }
    }
    (asked, others)
}

fn shown(wrong: &[&str]) -> String {
    format!("{} queries:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"))
}

#[test]
fn amounts_beyond_a_threshold_make_no_difference_where_none_is_compared_with() {
    let (cluster, catalog, session) = amounts();
    let (asked, others) = made(QUERIES, 0x6b1d_0a55_93c4_2f87, &catalog, &session, |it| !it.tells);
    let [one, other] = ["one", "other"].map(|schema| answers(&cluster, schema, &asked));
    let differ = one.iter().filter(|(at, answer)| other.get(at) != Some(answer));
    let differ: Vec<_> = differ.map(|(at, _)| asked[*at].as_str()).collect();
    println!("{} queries, {} of them valid; {others} were reported", asked.len(), one.len());
    assert!(differ.is_empty(), "{}", shown(&differ));
    assert!(one.len() * 2 > asked.len(), "{} of {} are valid", one.len(), asked.len());
}

/// Keys that are written say whether an amount is there, by an error or by doing something else.
#[test]
fn amounts_beyond_a_threshold_make_no_difference_to_writes_that_name_none_beyond() {
    let (cluster, catalog, session) = amounts();
    let mut random = Random(0x0a55_93c4_2f87_6b1d);
    let (mut asked, mut scripts, mut others) = (Vec::new(), Vec::new(), 0);
    while asked.len() < QUERIES {
        let sql = write(&mut random);
        match beyond(&sql, &catalog, &session) {
            Some(beyond) if !beyond.tells => {
                scripts.push(format!("begin;\n{sql};\n\\echo :SQLSTATE\nrollback"));
                asked.push(sql);
            }
            Some(_) => others += 1,
            None => {}
        }
    }
    let [one, other] = ["one", "other"].map(|schema| answers(&cluster, schema, &scripts));
    let differ = one.iter().filter(|(at, answer)| other.get(at) != Some(answer));
    let differ: Vec<_> = differ.map(|(at, _)| asked[*at].as_str()).collect();
    let refused = one.values().filter(|answer| answer.contains("23505") || answer.contains("23503")).count();
    println!("{} writes, {refused} of them refused by a key; {others} were reported", asked.len());
    assert!(differ.is_empty(), "{}", shown(&differ));
    assert!(
        refused * 10 > asked.len() && (asked.len() - refused) * 10 > asked.len(),
        "{refused} are refused"
    );
}

#[test]
fn no_row_comes_for_an_amount_beyond_a_threshold_where_none_is_asked_for() {
    let (cluster, catalog, session) = amounts();
    let (asked, others) = made(FEWER, 0x2f87_93c4_0a55_6b1d, &catalog, &session, |it| it.tells && !it.asks);
    let [one, raised] = ["one", "raised"].map(|schema| answers(&cluster, schema, &asked));
    let rows = |answer: &str| -> BTreeSet<String> {
        answer.trim().trim_matches(['{', '}']).split(',').map(str::to_owned).collect()
    };
    let count = |answer: &str| answer.trim().parse::<u64>().ok();
    let more = one.iter().filter(|(at, answer)| {
        let Some(raised) = raised.get(at) else { return true };
        match (count(answer), count(raised)) {
            (Some(before), Some(after)) => after > before,
            _ => !raised.trim().is_empty() && !rows(raised).is_subset(&rows(answer)),
        }
    });
    let more: Vec<_> = more.map(|(at, _)| asked[*at].as_str()).collect();
    println!("{} queries, {} of them valid; {others} others", asked.len(), one.len());
    assert!(more.is_empty(), "{}", shown(&more));
    assert!(one.len() * 2 > asked.len(), "{} of {} are valid", one.len(), asked.len());
}

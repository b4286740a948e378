//! What the planner may be asked, and how far its answers hold: random conditions on columns that hang together, with
//! PostgreSQL's own count as the judge.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::fmt::Write as _;

use common::{Random, snapshot};
use stepgate_sql::{Catalog, Question, SessionState, analyze};
use stepgate_testkit::Cluster;

const ROWS: usize = 20_000;
/// How many conditions to judge.
const CONDITIONS: usize = 1_500;

/// Columns that say the same, nearly the same, the opposite, or have nothing to do with each other.
const SCHEMA: &str = "
create table many (a int, b int, c bigint, d numeric, e float8, s text, v varchar(9), day date, ok bool, w int);
select setseed(0.5);
insert into many select i % 1000, i % 1000, (i % 1000) * 2, 1000 - i % 1000, (i % 1000) / 3.0, chr(97 + i % 26), 'v' || i % 7,
    date '2020-01-01' + i % 1000, i % 1000 < 500, nullif(random() * 100, 50)::int from generate_series(1, 20000) i;
create view seen as select * from many;
create table parent (a int); create table child () inherits (parent);
create table few (a int);
analyze;
";

fn ask(sql: &str, catalog: &Catalog) -> Option<Question> {
    let state = SessionState::with_search_path(["pg_catalog", "public"]);
    let facts = analyze(sql.as_bytes(), catalog, &state);
    assert_eq!(facts.len(), 1, "{sql}");
    Question::about(sql.as_bytes(), &facts[0], catalog, &state)
}

fn cluster() -> (Cluster, Catalog) {
    let cluster = Cluster::start().expect("a PostgreSQL");
    cluster.create_database("many").expect("create database");
    cluster.load("many", SCHEMA).expect("load the schema");
    let catalog = snapshot(&cluster, "many");
    (cluster, catalog)
}

#[test]
fn only_comparisons_with_literals_are_asked_about() {
    let (_cluster, catalog) = cluster();
    for (condition, conditions) in [
        ("a = 1", 1),
        ("a > 1 and a < 9", 1),
        ("a between 1 and 9", 1),
        ("a > 1 and a > 9", 2),
        ("a = 1 or (b <> 2 and c in (3, '4'))", 3),
        ("many.a = -1", 1),
        ("a is null and ok", 2),
        ("ok = true", 1),
        ("d < 1.5 and e < 2.5", 2),
        ("c = 12345678901", 1),
        ("s = 'x' and v >= 'y'", 2),
        ("day > '2020-01-01' and day <= timestamp '2020-02-01 10:00'", 1),
        ("day > now() - interval '1 day' and day < current_date - 1 + interval '3 months'", 1),
    ] {
        let asked = ask(&format!("select upper(s), a + 1 from many where {condition}"), &catalog);
        assert_eq!(asked.map(|asked| asked.conditions), Some(conditions), "{condition}");
    }
    for sql in [
        "select a from many",
        "select a from many where a = 1.5",
        "select a from many where c = 12345678901234567890",
        "select a from many where a = 1e2",
        "select a from many where a = '1'::numeric",
        "select a from many where a = null",
        "select a from many where a = b",
        "select a from many where a + 0 = 1",
        "select a from many where abs(a) = 1",
        "select a from many where a = abs(1)",
        "select a from many where a = $1",
        "select a from many where not a = 1",
        "select a from many where a not between 1 and 2",
        "select a from many where a = 1 and true",
        "select a from many where s like 'x%'",
        "select a from many where s = 'x' collate \"C\"",
        "select a from many where s = s'x'",
        "select a from many where day = '01/02/2020'",
        "select a from many where day > 'yesterday'",
        "select a from many where day > now() - interval '-1 2:03'",
        "select a from many where day > now() * 1",
        "select a from many where day > clock_timestamp()",
        "select a from many where s > current_date",
        "select a from many where day > localtime",
        "select a from many where (a, b) = (1, 2)",
        "select a from many where a = any (array[1, 2])",
        "select a from many where a in (select 1)",
        "select a from many where exists (select 1) and a = 1",
        "select (select 1), a from many where a = 1",
        "select random(), generate_series(1, 9) from many where a = 1",
        "select count(*) filter (where a > 0), b from many where a = 1 group by b",
        "select a from many where a = 1 group by a having count(*) > 0",
        "select a from many where a = 1 for update",
        "select a from many where a = 1 limit (select 1)",
        "select many from many where a = 1",
        "select a from many m (x) where a = 1",
        "select a from many x, few where x.a = 1",
        "select m.a from many m join few using (a) where m.a = 1",
        "select a from many tablesample system (10) where a = 1",
        "select a from only parent where a = 1",
        "select a from parent where a = 1",
        "select a from child where a = 1",
        "select a from seen where a = 1",
        "select a from pg_temp.many where a = 1",
        "select relname from pg_class where relname = 'x'",
        "with many as (select 1 as a) select a from many where a = 1",
        "select a from many where a = 1 union select 1",
        "select a into other from many where a = 1",
        "explain select a from many where a = 1",
        "prepare x as select a from many where a = 1",
        "declare x cursor for select a from many where a = 1",
        "copy (select a from many where a = 1) to stdout",
        "update many set a = 2 where a = 1",
        "select a from nosuch where a = 1",
    ] {
        assert_eq!(ask(sql, &catalog), None, "{sql}");
    }
    // What the gate's own connection would not find, or find elsewhere.
    let sql = b"select a from many where a = 1";
    let about =
        |state: &SessionState| Question::about(sql, &analyze(sql, &catalog, state)[0], &catalog, state);
    assert!(about(&SessionState::with_search_path(["pg_catalog", "public"])).is_some());
    assert!(about(&SessionState::with_search_path(["pg_temp_3", "pg_catalog", "public"])).is_none());
    assert!(about(&SessionState::with_search_path(["pg_catalog"])).is_none());
    assert!(
        about(&SessionState { search_path: None, ..SessionState::with_search_path(["public"]) }).is_none()
    );
}

fn comparison(random: &mut Random) -> String {
    let number = random.below(1_000);
    let op = ["=", "<>", "<", "<=", ">", ">="][random.below(6)];
    match random.below(10) {
        0 => format!("a {op} {number}"),
        1 => format!("b {op} {number}"),
        2 => format!("c {op} {}", 2 * number),
        3 => format!("d {op} {number}.0"),
        4 => format!("e {op} {}", number / 3),
        5 => format!("s {op} '{}'", char::from(b'a' + u8::try_from(number % 26).expect("small"))),
        6 => ["ok", "w is null", "w is not null", "ok = false"][random.below(4)].to_owned(),
        7 => format!("a between {number} and {}", number + random.below(300)),
        8 => format!("v in ('v{}', 'v{}', 'v1')", random.below(9), random.below(9)),
        _ => format!("w {op} {}", random.below(101)),
    }
}

/// Conditions that the same rows meet, and hardly any others, each said by another column.
fn conspiracy(random: &mut Random) -> String {
    let below = 20 + random.below(300);
    let same = [
        format!("a < {below}"),
        format!("{below} > b"),
        format!("c < {}", 2 * below),
        format!("d > {}.0", 1_000 - below),
        format!("e < {}", below / 3 + 1),
        format!("day < '{}'", if below < 31 { "2020-02-01" } else { "2020-12-01" }),
        format!("b <= {below}"),
        "ok".to_owned(),
    ];
    (0..2 + random.below(4)).map(|_| same[random.below(same.len())].clone()).collect::<Vec<_>>().join(" and ")
}

fn condition(random: &mut Random, depth: usize) -> String {
    if random.below(4) == 0 {
        return conspiracy(random);
    }
    let parts = 1 + random.below(4);
    let join = [" and ", " and ", " or "][random.below(3)];
    let mut part = |_| match random.below(3) {
        0 if depth > 0 => format!("({})", condition(random, depth - 1)),
        _ => comparison(random),
    };
    (0..parts).map(&mut part).collect::<Vec<_>>().join(join)
}

#[test]
fn no_condition_leaves_many_more_rows_than_its_answer_says() {
    let (cluster, catalog) = cluster();
    let mut random = Random(0x5EED);
    let all: Vec<String> = (0..CONDITIONS).map(|_| condition(&mut random, 2)).collect();
    // One line of counts and one of plans for each.
    let mut script = String::from(
        "\\pset format unaligned\n\\pset tuples_only on\nset max_parallel_workers_per_gather = 0;\n",
    );
    for condition in &all {
        writeln!(script, "select count(*) from many where {condition};").expect("to a string");
        writeln!(script, "explain select * from many where {condition};").expect("to a string");
        writeln!(script, "\\echo end").expect("to a string");
    }
    let shown = cluster.load("many", &script).expect("counts and plans");
    let mut worst = 0.0_f64;
    let (mut talked_down, mut narrowed, mut judged) = (0, 0, 0);
    for (condition, shown) in all.iter().zip(shown.split("end\n")) {
        let count: u64 = shown.lines().find_map(|line| line.parse().ok()).expect("a count");
        let rows = |line: &str| line.split_once("rows=")?.1.split(' ').next()?.parse::<u64>().ok();
        let planned = shown.lines().filter_map(rows).max().unwrap_or(1);
        let question = ask(&format!("select * from many where {condition}"), &catalog).expect(condition);
        let most = question.at_most(planned, ROWS as u64);
        judged += 1;
        talked_down += usize::from(count > 100 && planned * 20 < count);
        narrowed += usize::from(most * 2 < ROWS as u64);
        worst = worst.max(count as f64 / (most.max(1) as f64 + 100.0));
    }
    eprintln!("{judged} judged, {talked_down} talked down, {narrowed} narrowed, worst {worst:.2}");
    assert_eq!(judged, CONDITIONS);
    assert!(worst < 2.0, "{worst}");
    // It is a test only if the planner alone would have been wrong, and the answer is of some use.
    assert!(talked_down > 10 && narrowed > CONDITIONS / 4, "{talked_down} {narrowed}");
}

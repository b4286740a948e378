//! Random queries in which names collide at every level, with PostgreSQL's privilege checks as the judge.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::format_push_string, reason = "a test")]

#[path = "../common/mod.rs"]
mod common;
mod sight;

use std::fmt::Write as _;

use common::{Random, clinic, facts, snapshot};
use stepgate_types::{Certainty, Use, quote_ident};

/// How many queries to make up; a few of a hundred mean anything.
const QUERIES: usize = 20_000;

/// Every so many of them is of `sight`.
const OF_SIGHT: usize = 2;

impl Random {
    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

const TABLES: [&str; 7] =
    ["patients", "visits", "doctors", "training.patients", "public.patients", "v_patient_card", "invoices"];
const ALIASES: [&str; 5] = ["a", "b", "patients", "visits", "pid"];
const COLUMNS: [&str; 10] =
    ["pid", "ward", "nhs_no", "mobile", "alias", "did", "name", "annual_pay", "kind", "label"];

/// The columns of `v_patient_card`, and those of patients that each shows.
const VIEW: [(&str, &[&str]); 3] =
    [("pid", &["pid"]), ("label", &["given_name", "family_name"]), ("ward", &["ward"])];

fn column(random: &mut Random) -> String {
    match random.below(4) {
        0 => format!("{}.{}", random.pick(&ALIASES), random.pick(&COLUMNS)),
        _ => random.pick(&COLUMNS).to_owned(),
    }
}

fn expr(random: &mut Random, depth: usize) -> String {
    match random.below(if depth == 0 { 9 } else { 15 }) {
        0 => format!("{}::text", random.pick(&ALIASES)),
        1 => format!("coalesce({}::text, 'x')", column(random)),
        2..=4 => column(random),
        5 => format!("{}.*::text", random.pick(&ALIASES)),
        6 => format!("({}.*).{}", random.pick(&ALIASES), random.pick(&COLUMNS)),
        7 => format!("array[{0}.*] = array[{0}]", random.pick(&ALIASES)),
        8 => format!("case when {} is null then 1 end", column(random)),
        9 => format!("(({} limit 1) union ({} limit 1))", query(random, depth - 1), query(random, depth - 1)),
        10 => format!("(values ({}))", expr(random, depth - 1)),
        11 => format!("'x' ^@ any ({})", query(random, depth - 1)),
        12 => format!("exists ({})", query(random, depth - 1)),
        13 => format!("array({})", query(random, depth - 1)),
        _ => format!("({} limit 1)", query(random, depth - 1)),
    }
}

fn item(random: &mut Random, depth: usize) -> String {
    let source = match random.below(if depth == 0 { 6 } else { 9 }) {
        0..=3 => random.pick(&TABLES).to_owned(),
        4 => format!("{} *", random.pick(&TABLES)),
        5 => random.pick(&["current_date", "current_user", "session_user"]).to_owned(),
        6 => format!("lateral (values ({}.*, {}))", random.pick(&ALIASES), expr(random, depth - 1)),
        7 => format!("({})", query(random, depth - 1)),
        _ => format!("lateral ({})", query(random, depth - 1)),
    };
    let needed = source.ends_with(')');
    match random.below(4) {
        0 if !needed => source,
        1 => format!("{source} as {} ({})", random.pick(&ALIASES), random.pick(&COLUMNS)),
        _ => format!("{source} {}", random.pick(&ALIASES)),
    }
}

fn from(random: &mut Random, depth: usize) -> String {
    let mut from = item(random, depth);
    for _ in 0..random.below(3) {
        let right = item(random, depth);
        let _ = match random.below(5) {
            0 => write!(from, ", {right}"),
            1 => write!(from, " natural left join {right}"),
            2 => write!(from, " join {right} using ({})", random.pick(&COLUMNS)),
            3 => write!(from, " cross join {right}"),
            _ => write!(from, " left join {right} on {} is not null", column(random)),
        };
    }
    from
}

fn query(random: &mut Random, depth: usize) -> String {
    let mut text = String::new();
    if depth > 0 && random.below(5) == 0 {
        text = format!("with {} as ({}) ", random.pick(&ALIASES), query(random, depth - 1));
    }
    let distinct = if random.below(6) == 0 { "distinct " } else { "" };
    let list = match random.below(8) {
        0 => "*".to_owned(),
        1 => format!("{}.*", random.pick(&ALIASES)),
        2 => format!("{} as {}", expr(random, depth), random.pick(&COLUMNS)),
        _ => expr(random, depth),
    };
    let _ = write!(text, "select {distinct}{list}");
    if random.below(6) != 0 {
        let _ = write!(text, " from {}", from(random, depth));
    }
    if random.below(3) == 0 {
        let _ = write!(text, " where {} is not null", expr(random, depth));
    }
    match random.below(6) {
        0 => text.push_str(" order by 1"),
        1 => drop(write!(text, " order by {}", column(random))),
        _ => {}
    }
    text
}

#[test]
fn random_queries_read_no_column_that_is_not_reported() {
    let cluster = clinic();
    let setup = "create role probe; grant usage on schema public, lab, training to probe";
    cluster.load("clinic", &format!("{setup}; {}", sight::TABLES)).expect("a role and tables");
    let catalog = snapshot(&cluster, "clinic");
    let mut random = Random(0x1545_f491_4f6c_dd17);
    let mut script = String::new();
    let mut asked = Vec::new();
    for at in 0..QUERIES {
        let in_sight = at % OF_SIGHT == 0;
        let sql = if in_sight { sight::query(&mut random) } else { query(&mut random, 2) };
        let all = facts(&sql, &catalog);
        let [facts] = all.as_slice() else { continue };
        if facts.certainty == Certainty::Unknown {
            continue;
        }
        // A marker before each statement's messages.
        let _ = write!(script, "\\warn query {}\nbegin;\n", asked.len());
        for relation in &facts.relations {
            // Any column at all, where only rows count.
            let first = catalog.columns(relation).and_then(|mut columns| columns.next().map(str::to_owned));
            let first = first.expect("a column");
            if !facts.columns.keys().any(|column| column.relation == *relation) {
                let _ = writeln!(script, "grant select ({}) on {relation} to probe;", quote_ident(&first));
            }
        }
        for (column, uses) in &facts.columns {
            if uses.iter().any(|used| *used != Use::Write) {
                let name = quote_ident(&column.column);
                let _ = writeln!(script, "grant select ({name}) on {} to probe;", column.relation);
            }
        }
        // The view reads with its owner's rights; its own columns are allowed where what they show is reported.
        let reported = |name: &str| {
            facts
                .columns
                .keys()
                .any(|column| column.column == name && column.relation.to_string() == "public.patients")
        };
        for (column, shows) in VIEW {
            // Where only rows count, the server wants some column: `pid` is not judged here.
            if column == "pid" || shows.iter().all(|name| reported(name)) {
                let _ = writeln!(script, "grant select ({column}) on v_patient_card to probe;");
            }
        }
        let _ = write!(script, "set local role probe;\nexplain (costs off) {sql};\nrollback;\n");
        asked.push(sql);
    }
    let file = std::env::temp_dir().join(format!("stepgate-judge-{}.sql", std::process::id()));
    std::fs::write(&file, script).expect("write the script");
    let output = cluster
        .psql_command("clinic")
        .args(["-q", "-v", "ON_ERROR_STOP=0", "-f"])
        .arg(&file)
        .output()
        .expect("psql");
    std::fs::remove_file(&file).expect("remove the script");
    let errors = String::from_utf8_lossy(&output.stderr);
    let mut refused = Vec::new();
    let mut accepted = 0;
    for (sql, said) in
        asked.iter().zip(errors.split("query ").filter(|said| said.starts_with(char::is_numeric)))
    {
        if said.contains("permission denied") {
            refused.push(format!("{sql}\n  {said}"));
        } else if !said.contains("ERROR") {
            accepted += 1;
        }
    }
    assert!(accepted > QUERIES / 50, "only {accepted} of {} are queries to the server", asked.len());
    assert!(refused.is_empty(), "{} of {}:\n{}", refused.len(), asked.len(), refused.join("\n"));
    println!("{accepted} of {} accepted", asked.len());
}

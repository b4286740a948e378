//! Facts by key equal facts without, for random literals.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::string_slice, reason = "a test")]

mod common;

use std::collections::HashMap;

use common::{Random, clinic, corpus, session, snapshot};
use stepgate_sql::{Facts, analyze, cache_key, may_share};

/// How often each statement gets other literals.
const ROUNDS: usize = 60;

/// Values that could change what a statement means, were they folded where they must not be.
const TEXTS: [&str; 14] = [
    "x",
    "",
    "it''s",
    "nhs_no",
    "search_path",
    "role",
    "standard_conforming_strings",
    "on",
    "select 1",
    "patients",
    "public.patients",
    "%",
    "1",
    "'' or ''a",
];
const NUMBERS: [&str; 8] = ["0", "1", "2", "3", "99", "1000000", "2.5", "7."];

const COMMENTS: [&str; 7] = ["", " x ", " 'it", "* / *", " /* ", " x\ny ", " set_config "];

/// The same statement with every literal another one, now and then.
fn changed(sql: &str, random: &mut Random) -> String {
    let mut out = String::new();
    let mut rest = sql;
    while let Some(next) = rest.chars().next() {
        let comment = ["/*", "--"].iter().find(|opens| rest.starts_with(**opens));
        let (literal, new) = if let Some(opens) = comment {
            let closes = if *opens == "/*" { "*/" } else { "\n" };
            let end = rest.find(closes).map_or(rest.len(), |at| at + closes.len());
            let within = COMMENTS[random.below(COMMENTS.len())];
            (end, format!("{opens}{within}{}", if end < rest.len() || *opens == "/*" { closes } else { "" }))
        } else if next == '\'' {
            let end = rest[1..].find('\'').map_or(rest.len(), |at| at + 2);
            (end, format!("'{}'", TEXTS[random.below(TEXTS.len())]))
        } else if next.is_ascii_digit()
            && !out.ends_with(|before: char| before.is_alphanumeric() || "_.$\"'".contains(before))
        {
            let end = rest.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(rest.len());
            (end, NUMBERS[random.below(NUMBERS.len())].to_owned())
        } else {
            (0, String::new())
        };
        if literal > 0 {
            out.push_str(if random.below(3) == 0 { &rest[..literal] } else { &new });
            rest = &rest[literal..];
        } else {
            out.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    out
}

#[test]
fn facts_by_key_are_facts_without() {
    let cluster = clinic();
    let (catalog, session) = (snapshot(&cluster, "clinic"), session());
    let corpus = std::fs::read_to_string(corpus().join("statements.sql")).expect("the corpus");
    let mut statements: Vec<String> =
        corpus.lines().filter(|line| !line.starts_with("--")).map(str::to_owned).collect();
    statements.extend(
        include_str!("harmless.txt").lines().filter_map(|line| Some(line.split_once(": ")?.1.to_owned())),
    );
    statements.extend(
        [
            "select ward, count(*) from patients where admitted > '2024-01-01' and pid <> 5 group by 1 order by 2 limit 10",
            "select pid from patients where nhs_no = 'NHS1' and ward = 'A' or pid in (1, 2) fetch first 3 rows only",
            "select set_config(name, 'x', false) from pg_settings where name = 'search_path'",
            "select * from patients where 'patients'::regclass = 5 and mobile = 'x'::text",
            "update visits set kind = 'x', fee = 3 where vid = 4 returning notes",
            "insert into visits (vid, kind) select 1, ward from patients where pid = 3 limit 5",
            "select query_to_xml('select 1', true, true, '') from visits where vid = 1",
            "select pid, ward from patients order by 1, 2 offset 5",
            "select pid from patients where pid = - -5 and nhs_no = N'x' order by 1 fetch first (3) rows with ties",
            "insert into visits (vid, pid, did) values (1, 2, 3), (4, 5, 6) on conflict (vid) do update set pid = 7, fee = 8",
            "update patients set pid = 5, nhs_no = 'x' where ward = any (values ('a'), ('b')) and mobile = 'x'",
            "select * from visits, json_table('{}', '$' columns (nested path '$.a' columns (b text))) t where vid = 7",
            "select pid from patients * p where p.* = row(1) and ward <> all ((select 'x') union (select 'y'))",
            "select pid from patients where ward in ('a', 'b') and pid in (1, 2, 3) and nhs_no like 'x%' limit 5",
            "select 1 as set_config, 'transaction_isolation', 'x' from patients where pid = 1",
            "select date '2024-01-01', 'patients'::regclass, interval '1' day, lpad(nhs_no, 10, 'x') from patients",
            "/* x */ select pid /* y */, ward from patients -- z",
            "insert into visits (vid, kind) values (1, 'x'), (2, 'y') returning notes",
            "select ward in (1) from patients group by 1 order by ward in (1, 2), 1",
            "select case when pid = 1 then 'a' else nhs_no end from patients where pid >= 10",
        ]
        .map(str::to_owned),
    );
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut known: HashMap<Vec<u8>, (String, Vec<Facts>)> = HashMap::new();
    let (mut hits, mut asked, mut key) = (0, 0, Vec::new());
    for sql in &statements {
        for _ in 0..ROUNDS {
            let sql = changed(sql, &mut random);
            let facts = analyze(sql.as_bytes(), &catalog, &session);
            cache_key(sql.as_bytes(), &mut key);
            asked += 1;
            match known.get(&key) {
                Some((first, cached)) => {
                    hits += 1;
                    assert_eq!(*cached, facts, "{sql}\n  has the key of\n{first}");
                }
                None if may_share(&facts) => {
                    known.insert(key.clone(), (sql, facts));
                }
                None => {}
            }
        }
    }
    println!("{hits} of {asked} by key");
    assert!(hits * 4 > asked, "{hits} of {asked}");
}

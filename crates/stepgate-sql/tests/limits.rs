//! Long statements are read, and what would take too long or too deep a stack is unknown at once.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test"
)]

mod common;

use stepgate_sql::{Catalog, SessionState, analyze, analyze_at_once};
use stepgate_types::Certainty;

/// With a table of a thousand columns, and a function that is deep.
fn catalog() -> Catalog {
    let cluster = common::clinic();
    let columns: Vec<_> = (0..1_000).map(|at| format!("c{at} int")).collect();
    cluster.psql("clinic", &format!("create table wide ({})", columns.join(","))).expect("a table");
    let sums = "1+".repeat(250);
    let deep = format!(
        "create function deep() returns int language sql as 'select {sums}length(max(ward)) from patients'"
    );
    cluster.psql("clinic", &deep).expect("a function");
    common::snapshot(&cluster, "clinic")
}

fn session() -> SessionState {
    SessionState::with_search_path(["pg_catalog", "public"])
}

#[test]
fn what_tools_generate_is_read_however_long() {
    let catalog = catalog();
    let list = |count: usize| (0..count).map(|at| (at * 7).to_string()).collect::<Vec<_>>().join(",");
    let row = ["(1,'abc',2.5,null,'2024-01-01')"];
    let nested = |from: &str, until: &str, count: usize| {
        format!("select 1 from patients where {}true{}", from.repeat(count), until.repeat(count))
    };
    let texts = [
        format!("select pid from patients where pid in ({})", list(50_000)),
        format!("select pid from patients where {}", ["pid = 1"; 1_500].join(" or ")),
        format!("select {} from patients", ["ward"; 1_500].join(" || ")),
        ["select pid from patients"; 1_000].join(" union all "),
        format!(
            "insert into visits (vid, fee) select a, c from (values {}) v (a,b,c,d,e)",
            row.repeat(3_000).join(",")
        ),
        format!("select case {} end from patients", "when pid = 1 then 2 ".repeat(3_000)),
        format!("{}select pid from patients{}", "select * from (".repeat(100), ") s".repeat(100)),
        nested("exists (select 1 from patients where ", ")", 100),
        nested("(pid = 1 or ", ")", 150),
        "select pid from patients;".repeat(5_000),
    ];
    for text in texts {
        let facts = analyze(text.as_bytes(), &catalog, &session());
        let unknown = facts.iter().find(|facts| facts.certainty != Certainty::Exact);
        let start = &text[..60];
        assert!(unknown.is_none(), "{start}: {:?}", unknown.map(|facts| &facts.reasons));
        let labelled =
            facts.iter().flat_map(|facts| facts.columns.keys()).filter(|column| column.column == "ward");
        assert_eq!(labelled.count(), usize::from(text.contains("ward")), "{start}");
    }
}

/// As deep as what is long may be. Read on the stack of a thread that analyses.
#[test]
fn what_is_short_and_deep_is_read_to_its_end_and_what_is_deeper_is_unknown() {
    let catalog = catalog();
    let nested = |count: usize| {
        let cases = "case when pid=1 then 1 else ".repeat(count);
        format!("select {cases}(select max(ward) from patients)::int{} from patients", " end".repeat(count))
    };
    let chain =
        |link: &str, count: usize| format!("select pid from patients where {}ward='x'", link.repeat(count));
    let read = [
        chain("pid = 1 and ", 120),
        chain("pid=1 or ", 400),
        chain("not ", 150),
        format!("select {}length(ward) from patients", "1+".repeat(1_000)),
        format!("select ward{} from patients", "::text".repeat(300)),
        nested(49),
        nested(110),
        // A function of one's own goes as deep.
        "select deep()".to_owned(),
    ];
    let deep =
        [nested(450), format!("select {}length(ward) from patients", "1+".repeat(5_000)), nested(2_000)];
    std::thread::Builder::new()
        .stack_size(2 * 1024 * 1024)
        .spawn(move || {
            for text in read {
                let facts = analyze(text.as_bytes(), &catalog, &session());
                let [facts] = facts.as_slice() else { panic!("one statement") };
                let codes: Vec<_> = facts.reasons.iter().map(|reason| reason.code).collect();
                assert!(text.len() < 4 << 10, "{}", text.len());
                assert!(facts.certainty != Certainty::Unknown, "{}: {codes:?}", &text[..60]);
                assert!(facts.columns.keys().any(|column| column.column == "ward"), "{}", &text[..60]);
            }
            for text in deep {
                let facts = analyze(text.as_bytes(), &catalog, &session());
                let [facts] = facts.as_slice() else { panic!("one statement") };
                let codes: Vec<_> = facts.reasons.iter().map(|reason| reason.code).collect();
                assert_eq!(facts.certainty, Certainty::Unknown);
                assert_eq!(codes, ["too-deep"], "{}", &text[..60]);
            }
        })
        .expect("a thread")
        .join()
        .expect("no overflow");
}

/// Each would take many seconds if it were followed to its end.
#[test]
fn short_messages_that_make_much_work_are_given_up_soon() {
    let catalog = catalog();
    let star = "select * from wide";
    let chain = |count: usize| -> String {
        (1..=count).map(|at| format!(", a{at} as (select * from a{})", at - 1)).collect()
    };
    let copies = |count: usize| -> String {
        (0..count).map(|at| format!("create temp table t{at} as select * from wide;")).collect()
    };
    let naturally =
        |count: usize| -> String { (1..count).map(|at| format!(" natural join wide w{at}")).collect() };
    let texts = [
        [star; 1_500].join(" union all "),
        [star; 10_000].join(";"),
        format!("with a0 as ({star}) {} select 1 from a8000", chain(8_000)),
        copies(8_000),
        format!("select 1 from wide w0 {}", naturally(250)),
        format!("select {} from wide w", ["count(w)"; 10_000].join(",")),
        format!("select 1 from wide where {}", ["exists (select * from wide)"; 1_000].join(" and ")),
    ];
    for text in texts {
        let began = std::time::Instant::now();
        let facts = analyze(text.as_bytes(), &catalog, &session());
        println!("{:?} for {} bytes of {:?} …", began.elapsed(), text.len(), &text[..40]);
        let [only] = facts.as_slice() else { panic!("{} facts", facts.len()) };
        let codes: Vec<_> = only.reasons.iter().map(|reason| reason.code).collect();
        assert!(codes.contains(&"too-complex"), "{}: {codes:?}", &text[..60]);
        assert_eq!(only.certainty, Certainty::Unknown);
    }
}

#[test]
fn a_megabyte_is_the_most_that_is_read() {
    let text = format!("select 1{}", " ".repeat(1024 * 1024));
    let facts = analyze(text.as_bytes(), &Catalog::default(), &session());
    assert_eq!(facts[0].certainty, Certainty::Unknown);
    assert_eq!(facts[0].reasons.iter().map(|reason| reason.code).collect::<Vec<_>>(), ["too-long"]);
}

/// Chains need no brackets to make deep trees and much work. What is short is read on a session's own thread: with 2 MiB
/// of stack, and within a time that others do not notice (the bound here is for debug builds on a busy machine).
#[test]
fn chains_are_read_soon_or_given_up_whatever_they_are_made_of() {
    let catalog = catalog();
    let chains = [
        ("select ", "not ", "true"),
        ("select ", "- ", "1"),
        ("select true", " and true", ""),
        ("select 1 where true", " or pid=1", ""),
        ("select 1", "+1", ""),
        ("select ward", "||ward", " from patients"),
        ("select 1", " is null", ""),
        ("select '1'", "::text", ""),
        ("select pid", ".a", " from patients"),
        ("select '{}'::int[]", "[1]", ""),
        ("select '{}'", "->'a'", ""),
        ("select now()", " at time zone 'utc'", ""),
        ("select 1 ", "collate \"C\" ", ""),
        ("select 1", " union select 1", ""),
        ("select 1", " except select 1", ""),
        ("values (1)", " union values(1)", ""),
        ("select * from wide", " union select * from wide", ""),
        ("select 1 from patients", ",patients", ""),
        ("select 1 from patients", " join patients on true", ""),
        ("select 1 from wide", " natural join wide", ""),
        ("select ward", ",*", " from patients"),
        ("with a as (select 1)", ", a as (select 1)", " select 1"),
        ("select ", "case when true then 1 else ", "1"),
        ("explain ", "explain ", "select 1"),
        ("", "select 1;", ""),
        ("", "set a=1;", ""),
    ];
    for size in [4 << 10, 32 << 10, 1_000_000] {
        for (start, link, end) in chains {
            let text = format!("{start}{}{end}", link.repeat((size - start.len() - end.len()) / link.len()));
            // Of a busy machine, the least of some tries tells.
            let tries = if size > 32 << 10 { 1 } else { 3 };
            let tried = (0..tries).map(|_| {
                let began = std::time::Instant::now();
                let at_once = analyze_at_once(text.as_bytes(), &catalog, &session());
                (began.elapsed(), at_once.is_some())
            });
            let (took, at_once) = tried.min().expect("a try");
            println!("{took:?} for {size} bytes of {link:?}, read at once: {at_once}");
            assert!(size > 32 << 10 || took.as_millis() < 800, "{took:?} for {size} bytes of {link:?}");
            assert!(!analyze(text.as_bytes(), &catalog, &session()).is_empty(), "{link:?}");
        }
    }
}

#[test]
fn what_is_much_work_is_not_read_at_once_and_what_is_little_is() {
    let catalog = catalog();
    let much = format!("select 1 from wide {}", "natural join wide ".repeat(100));
    assert!(analyze_at_once(much.as_bytes(), &catalog, &session()).is_none());
    let many: Vec<_> = (0..3_000).map(|at| at.to_string()).collect();
    let little = format!("select * from patients where pid in ({})", many.join(","));
    let facts = analyze_at_once(little.as_bytes(), &catalog, &session()).expect("within milliseconds");
    assert_eq!(facts, analyze(little.as_bytes(), &catalog, &session()));
}

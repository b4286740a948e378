//! Long statements are read, and what would take too long or too deep a stack is unknown at once.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test"
)]

mod common;

use stepgate_sql::{Catalog, SessionState, analyze};
use stepgate_types::Certainty;

/// With a table of a thousand columns.
fn catalog() -> Catalog {
    let cluster = common::clinic();
    let columns: Vec<_> = (0..1_000).map(|at| format!("c{at} int")).collect();
    cluster.psql("clinic", &format!("create table wide ({})", columns.join(","))).expect("a table");
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

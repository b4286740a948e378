//! What leaves the analysis: the lines of `stepgate analyze`, normalised text, the facts of a whole message.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test")]

use serde_json::json;
use stepgate_sql::{CATALOG_QUERIES, Catalog, Facts, Message, Rows, SessionState, analyze, json_line};
use stepgate_types::{BulkShape, Certainty, ColumnName, Estimator, Kind, RelationName};

/// `public.customers (id, ssn, "E-Mail")` with 18,200 rows, and `public.orders (id, customer)`.
fn shop() -> Catalog {
    let rows = |query: &str| -> &[&[&str]] {
        match query {
            "relations" => &[
                &["20000", "public", "customers", "r", "18200", "100", "false", "false"],
                &["20001", "public", "orders", "r", "-1", "0", "false", "false"],
            ],
            "columns" => &[
                &["20000", "1", "id", "true", "25/-1"],
                &["20000", "2", "ssn", "false", "25/-1"],
                &["20000", "4", "E-Mail", "false", "25/-1"],
                &["20001", "1", "id", "true", "25/-1"],
                &["20001", "2", "customer", "false", "25/-1"],
            ],
            "functions" => &[&["pg_catalog", "lower", "true", ""], &["public", "left", "false", ""]],
            _ => &[],
        }
    };
    let results: Vec<(&str, Rows)> = CATALOG_QUERIES
        .iter()
        .map(|query| {
            let rows = rows(query.name).iter();
            (query.name, rows.map(|row| row.iter().map(|text| Some((*text).to_owned())).collect()).collect())
        })
        .collect();
    Catalog::from_rows(&results).expect("rows that fit")
}

fn facts(sql: &str) -> Vec<Facts> {
    analyze(sql.as_bytes(), &shop(), &SessionState::with_search_path(["pg_catalog", "public"]))
}

/// PostgreSQL 18's `old` and `new` of RETURNING.
#[test]
fn the_row_before_and_after_a_write_is_the_rows_of_the_table() {
    for sql in [
        "update customers set id = 1 where id = 2 returning old.ssn",
        "update customers c set id = 1 where id = 2 returning new",
        "delete from customers where id = 2 returning (old).ssn",
        "insert into customers (id) values (1) returning row_to_json(new)",
    ] {
        let [facts] = facts(sql).try_into().expect("one statement");
        let read = facts
            .columns
            .iter()
            .any(|(column, uses)| column.column == "ssn" && uses.contains(&stepgate_types::Use::Output));
        assert!(read || facts.certainty == Certainty::Unknown, "{sql}: {:?}", facts.columns);
    }
    let [facts] =
        facts("delete from customers where id = 2 returning old.id").try_into().expect("one statement");
    assert_eq!(facts.certainty, Certainty::Exact);
    assert!(!facts.columns.keys().any(|column| column.column == "ssn"));
}

#[test]
fn a_line_of_analyze_is_as_documented() {
    let all = facts("\n\nselect lower(ssn) from customers c\nwhere \"E-Mail\" like 'a%'");
    let label = stepgate_types::Label::new("ssn");
    let line = json_line(&all[0], all[0].line, 0, "shop", &[label], true);
    assert_eq!(
        line,
        json!({
            "line": 3, "index": 0, "kind": "select", "certainty": "exact", "reasons": [],
            "columns": [
                {"column": "shop.public.customers.\"E-Mail\"", "uses": ["predicate"]},
                {"column": "shop.public.customers.ssn", "uses": ["output"]},
            ],
            "labels": ["ssn"], "functions": ["pg_catalog.lower"], "sinks": [], "bulk": {"shape": "none"},
            "fingerprint": all[0].fingerprint, "risky": true,
            "predicates": [{"column": "shop.public.customers.\"E-Mail\"", "op": "like", "operand": "text"}],
        })
    );
    let compared = facts("select id from customers where ssn in ('a', 'b', $2) or -5 < id");
    let line = json_line(&compared[0], 1, 0, "shop", &[], false);
    assert_eq!(
        line["predicates"],
        json!([
            {"column": "shop.public.customers.id", "op": ">", "operand": "number"},
            {"column": "shop.public.customers.ssn", "op": "in", "operand": "text"},
            {"column": "shop.public.customers.ssn", "op": "in", "operand": "$2"},
        ])
    );
    assert_eq!(
        json_line(&facts("select ssn from customers")[0], 1, 0, "shop", &[], true).get("predicates"),
        None
    );
    let unknown = facts("call x()");
    let line = json_line(&unknown[0], 1, 0, "shop", &[], false);
    assert_eq!((&line["risky"], &line["reasons"]), (&json!(true), &json!(["dynamic-sql"])));
}

#[test]
fn normalised_text_holds_nothing_of_the_user() {
    let text = |sql: &str| facts(sql)[0].normalised.clone();
    let shown = text(
        "SELECT ssn AS secret_alias, 'Jane', 42, $$x$$ /* Jane */ FROM customers AS jane WHERE \"E-Mail\" = 'j@x' -- Jane",
    );
    assert_eq!(shown, "select ssn as ?, ?, ?, ? from customers as ? where \"E-Mail\" = ?");
    assert_eq!(text("select \"o'Brien\" from jane.doe"), "select ? from ?.?");
    assert!(text("alter role jane password 'geheim'").ends_with("password ?"));
    assert!(facts("select 'unterminated Jane")[0].normalised.is_empty());
    // A number behind a dollar is a literal as well, unless it is a parameter's.
    let shown = "select id from customers where ssn = ";
    assert_eq!(text(&format!("{shown}$1 and id = $2")), format!("{shown}$1 and id = $2"));
    assert_eq!(text(&format!("{shown}$02 or id = $001")), format!("{shown}$2 or id = $1"));
    for number in ["$0", "$2", "$123456789", "$2147483647", "$00000123456789", "$4294967297"] {
        let said = text(&format!("{shown}{number}"));
        assert!(said.is_empty() || said == format!("{shown}$?"), "{number}: {said}");
        assert_eq!(
            text(&format!("{shown}$1 or ssn = {number} or ssn = {number}")).matches("$?").count() % 2,
            0
        );
        let prepared = text(&format!("prepare p as {shown}{number}"));
        assert!(!prepared.contains("123456789") && !prepared.contains("7647"), "{prepared}");
    }
    // And nobody makes an operator that says something.
    assert_eq!(text("select 1 <#<>#> 2 from customers"), "select ? ? ? from customers");
    let shown = text("select 1 @#%@# 2, 1 operator(pg_catalog.#%#%) 2, @#%@# ssn from customers");
    assert!(shown.ends_with("ssn from customers") && !shown.contains(['#', '%', '@']), "{shown}");
    let known =
        "select ssn <-> ?, ssn || ?, ssn ~* ?, ssn -> ?, ssn @> ?, - ?, ssn % ?, ssn <=> ? from customers";
    assert_eq!(text(&known.replace('?', "1")), known);
    let long = text(&format!("select {}", vec!["ssn"; 2_000].join(", ")));
    assert!(long.len() <= Facts::MAX_NORMALISED && long.ends_with(&['n', ','][..]));
}

#[test]
fn literals_and_layout_do_not_change_the_fingerprint_and_names_do() {
    let print = |sql: &str| facts(sql)[0].fingerprint.clone();
    assert_eq!(
        print("select ssn from customers where id = 1"),
        print("SELECT ssn\nFROM customers WHERE id=2 -- x")
    );
    assert_ne!(
        print("select ssn from customers where id = 1"),
        print("select id from customers where id = 1")
    );
}

#[test]
fn estimates_are_upper_bounds_or_unknown() {
    for (sql, expected, shape) in [
        ("select ssn from customers", Some(18_200), BulkShape::WholeTable),
        ("select ssn from customers where id = 1", Some(18_200), BulkShape::None),
        ("select ssn from customers limit 5", Some(5), BulkShape::None),
        ("select ssn from customers limit 5000", Some(5_000), BulkShape::LargeLimit),
        ("select ssn from customers limit 99999", Some(18_200), BulkShape::LargeLimit),
        ("select count(*) from customers", Some(1), BulkShape::None),
        ("select count(*) over () from customers", Some(18_200), BulkShape::WholeTable),
        ("select ssn from customers, orders", None, BulkShape::WholeTable),
        ("select id from orders", None, BulkShape::WholeTable),
        ("select id from orders limit 1 offset 3", Some(1), BulkShape::None),
        ("select id from orders limit (select 7)", None, BulkShape::WholeTable),
        ("select unnest(array[1, 2]), ssn from customers", None, BulkShape::WholeTable),
        (
            "with orders as (select 1 from customers, customers c) select * from orders",
            None,
            BulkShape::WholeTable,
        ),
        ("select ssn from customers where true", Some(18_200), BulkShape::WholeTable),
        ("select ssn from customers where 1 = 1 and id is not null", Some(18_200), BulkShape::WholeTable),
        (
            "select ssn from customers where (id = 7 or now() > '1999-01-01')",
            Some(18_200),
            BulkShape::WholeTable,
        ),
        ("select ssn from customers where id = id", Some(18_200), BulkShape::WholeTable),
        ("select ssn from customers where id > 0", Some(18_200), BulkShape::None),
        ("select string_agg(ssn, ',') from customers", Some(1), BulkShape::WholeTable),
        ("select (array_agg(ssn))::text from customers limit 1", Some(1), BulkShape::WholeTable),
        ("select json_agg(ssn) from customers where id = 1", Some(1), BulkShape::None),
        ("select ssn from customers group by ssn", Some(18_200), BulkShape::WholeTable),
        ("select id % 7, array_agg(ssn) from customers group by 1 limit 7", Some(7), BulkShape::WholeTable),
        ("select id % 7, count(*) from customers group by 1", Some(18_200), BulkShape::None),
        ("values (1), (2)", Some(2), BulkShape::None),
        ("select 1 union all select 2", Some(2), BulkShape::None),
        ("copy customers to stdout", Some(18_200), BulkShape::Copy),
        ("select nosuch from customers", None, BulkShape::WholeTable),
    ] {
        let all = facts(sql);
        assert_eq!((all[0].estimate, all[0].bulk), (expected, shape), "{sql}");
    }
}

#[test]
fn a_bound_that_somebody_typed_is_told_from_the_catalogs() {
    for (sql, by) in [
        ("select ssn from customers", Estimator::Catalog),
        ("select ssn from customers limit 99999", Estimator::Catalog),
        ("select ssn from customers limit 77", Estimator::Statement),
        ("select ssn from customers fetch first 77 rows only", Estimator::Statement),
        ("select ssn from customers offset 3 fetch next 77 rows only", Estimator::Statement),
        ("select id from orders limit 7770001239", Estimator::Statement),
        ("(select id from orders limit 77) union all select id from customers", Estimator::Statement),
        ("select id from customers union all (select id from orders limit 77)", Estimator::Statement),
        ("select generate_series(1, 77) limit 77", Estimator::Statement),
        ("values (1), (2), (3)", Estimator::Statement),
        ("copy (select id from orders limit 77) to stdout", Estimator::Statement),
        ("declare c cursor for select id from orders limit 77", Estimator::Statement),
        ("prepare p as select id from orders limit 77", Estimator::Statement),
        ("select count(*) from customers", Estimator::Catalog),
        ("create table made as select id from orders limit 77", Estimator::Statement),
        ("create table made (a int)", Estimator::Catalog),
        ("insert into orders select id, id from customers limit 77", Estimator::Catalog),
    ] {
        assert_eq!(facts(sql)[0].estimated_by, by, "{sql}");
    }
}

#[test]
fn a_message_is_as_bad_as_its_worst_statement() {
    let all = facts("select ssn from customers limit 3; begin; call x()");
    assert_eq!(all.len(), 3);
    let message = Message::of(&all);
    assert_eq!(message.certainty, Certainty::Unknown);
    assert_eq!(message.kinds.into_iter().collect::<Vec<_>>(), [Kind::Select, Kind::Call, Kind::Transaction]);
    assert_eq!(message.estimate, None);
    assert!(!message.read_only && message.effect.session && message.effect.transaction);
    let ssn = ColumnName::new(RelationName::new("public", "customers"), "ssn");
    assert!(message.columns.contains_key(&ssn));
    let nothing = Message::of(&[]);
    assert!(nothing.read_only && nothing.certainty == Certainty::Exact && nothing.estimate == Some(0));
}

#[test]
fn what_the_message_changed_is_not_resolved_by_the_old_state() {
    let last = |sql: &str| facts(sql).pop().expect("a statement").certainty;
    for sql in [
        "set search_path = x; select id from orders",
        "rollback; select now()",
        "rollback; select 1 + 1",
        "create table t (a int); select id from orders",
    ] {
        assert_eq!(last(sql), Certainty::Unknown, "{sql}");
    }
    for sql in [
        "begin; select id from orders",
        "set statement_timeout = 1; select id from orders; commit",
        "reset all; begin",
        "rollback; select 1, 'x'",
    ] {
        assert_eq!(last(sql), Certainty::Exact, "{sql}");
    }
}

#[test]
fn quotes_that_mean_something_else_make_all_unreadable() {
    let catalog = shop();
    let mut session = SessionState::with_search_path(["pg_catalog", "public"]);
    session.standard_conforming_strings = false;
    let all = analyze(br"select 'x\' from products --', ssn from customers", &catalog, &session);
    assert_eq!((all.len(), all[0].kind, all[0].certainty), (1, Kind::Unknown, Certainty::Unknown));
    session.standard_conforming_strings = true;
    session.encoding = stepgate_sql::ClientEncoding::Other;
    assert_eq!(analyze("select 'ä'".as_bytes(), &catalog, &session)[0].certainty, Certainty::Unknown);
    assert_eq!(analyze(b"select 'a'", &catalog, &session)[0].certainty, Certainty::Exact);
    session.encoding = stepgate_sql::ClientEncoding::Utf8;
    assert_eq!(analyze(b"select '\xff'", &catalog, &session)[0].certainty, Certainty::Unknown);
    assert_eq!(analyze(b"select 1\0", &catalog, &session)[0].certainty, Certainty::Unknown);
}

#[test]
fn a_function_of_the_same_name_in_any_schema_is_not_taken_for_the_servers_own() {
    assert_eq!(facts("select left('a', 1)")[0].certainty, Certainty::Unknown);
    assert_eq!(facts("select pg_catalog.left('a', 1)")[0].certainty, Certainty::Exact);
    assert_eq!(facts("select right('a', 1)")[0].certainty, Certainty::Exact);
}

#[test]
fn an_answer_that_is_missing_or_malformed_is_an_error() {
    assert_eq!(Catalog::from_rows(&[]).expect_err("nothing").query, "relations");
    let results: Vec<(&str, Rows)> =
        CATALOG_QUERIES.iter().map(|query| (query.name, [vec![None]].into_iter().collect())).collect();
    assert_eq!(Catalog::from_rows(&results).expect_err("a NULL").query, "relations");
}

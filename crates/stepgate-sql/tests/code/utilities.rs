//! Commands that build indexes and compute statistics anew, and fail by what is in the rows.

use stepgate_testkit::Cluster;
use stepgate_types::Certainty;

use super::common::snapshot;
use super::{check, facts};

const SCHEMA: &str = "
    create table doubled (a int, secret text); insert into doubled values (1, 'AAA'), (2, 'AAA');
    create table text_only (a int, secret text); insert into text_only values (1, 'AAA');
    create table parent (a int, secret text) partition by list (a); create table part partition of parent for values in (1);
    insert into parent values (1, 'AAA'), (1, 'AAA');
    create table counted (a text, b int, secret text); insert into counted values ('x', 1, 'AAA');
    create statistics counts on ((a || secret)::int) from counted;
    create table plain (a int, secret text, deleted boolean); create unique index plain_key on plain (secret);
    create index on plain ((secret::int)); create index on plain (lower(secret)) where deleted;
    create statistics plain_1 on lower(secret), (a = 10) from plain; create statistics plain_2 on a, secret from plain;
    create table given_up (a int, secret text);
";

fn shop() -> Cluster {
    let cluster = Cluster::start().expect("a PostgreSQL");
    cluster.create_database("shop").expect("create database");
    cluster.load("shop", SCHEMA).expect("load the schema");
    // They find what they cannot be built of, fail and stay.
    for index in [
        "create unique index concurrently doubled_key on doubled (secret)",
        "create index concurrently as_number on text_only ((secret::int))",
        "create unique index concurrently part_key on part (secret)",
    ] {
        assert!(cluster.psql("shop", index).is_err(), "{index}");
    }
    cluster.load("shop", "create index broken on given_up (a)").expect("an index");
    let broken = "update pg_index set indisvalid = false where indexrelid = 'broken'::regclass";
    cluster.load("shop", broken).expect("a superuser may");
    cluster
}

#[test]
fn what_kept_an_index_from_being_valid_is_shown_when_it_is_built_again() {
    let cluster = shop();
    let attacks = [
        ("reindex index doubled_key", "doubled.secret"),
        ("reindex (verbose) index public.doubled_key", "doubled.secret"),
        ("reindex table doubled", "doubled.secret"),
        ("alter table doubled set unlogged", "doubled.secret"),
        ("alter table doubled add column zz int default random()", "doubled.secret"),
        ("alter table doubled alter column a type bigint", "doubled.secret"),
        ("reindex table text_only", "text_only.secret"),
        ("vacuum full text_only", "text_only.secret"),
        ("vacuum (full) text_only", "text_only.secret"),
        ("reindex table parent", "parent.secret part.secret"),
        ("reindex table part", "parent.secret part.secret"),
        ("alter table parent alter column secret type varchar", "parent.secret part.secret"),
        ("analyze counted", "counted.secret"),
        ("vacuum analyze counted", "counted.secret"),
        ("vacuum (analyze) counted (a, b)", "counted.secret"),
        ("analyze", "counted.secret"),
        ("vacuum (analyze)", "counted.secret"),
    ];
    for (attack, _) in attacks {
        // ANALYZE of some columns leaves out statistics of others, and of expressions.
        let output = cluster.psql_command("shop").args(["-q", "-c", attack]).output().expect("psql");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains("AAA") || attack.ends_with("(a, b)"), "{attack}: {error}");
    }
    let catalog = snapshot(&cluster, "shop");
    // A table whose new column has a default that calls something is not known.
    let known: Vec<_> = attacks.iter().copied().filter(|(sql, _)| !sql.contains("random")).collect();
    check(&known, &catalog);
    let all = "counted.secret doubled.secret parent.secret part.secret text_only.secret";
    let indexed = "doubled.secret parent.secret part.secret text_only.secret";
    let more = [
        ("reindex schema public", indexed),
        ("reindex database shop", indexed),
        ("vacuum full", indexed),
        // In whose order any of them may be put.
        ("cluster", "doubled.secret parent.secret part.secret plain.secret text_only.secret"),
        ("vacuum (full, analyze)", all),
    ];
    check(&more, &catalog);
    // By whatever name, where that is not known.
    let renamed = "alter table counted rename to other; analyze other";
    let [_, analyzed] = facts(renamed, &catalog).try_into().expect("two statements");
    assert_eq!(analyzed.certainty, Certainty::Unknown);
}

#[test]
fn what_is_valid_is_built_and_analysed_unasked() {
    let cluster = shop();
    let catalog = snapshot(&cluster, "shop");
    let harmless = [
        ("reindex table plain", ""),
        ("reindex index plain_key", ""),
        ("alter table plain set without cluster", ""),
        ("vacuum full plain", ""),
        ("vacuum doubled", ""),
        ("vacuum", ""),
        ("analyze doubled", ""),
        ("analyze plain", ""),
        ("vacuum analyze plain", ""),
        ("reindex table counted", ""),
        ("truncate doubled", ""),
        ("lock table doubled", ""),
        ("alter table plain set unlogged", ""),
        ("alter table doubled alter column a set statistics 7", ""),
        ("reindex table given_up", ""),
        ("update given_up set a = 1", ""),
    ];
    check(&harmless, &catalog);
}

#[test]
fn what_puts_rows_in_the_order_of_an_index_tells_what_it_is_made_of() {
    let cluster = Cluster::start().expect("a PostgreSQL");
    cluster.create_database("shop").expect("create database");
    let schema = "create table paid (id int primary key, secret int); create index by_pay on paid (secret);
        insert into paid values (1, 30), (2, 10), (3, 20); create table other (id int primary key, secret int);
        create table parted (id int, secret int) partition by list (id); create index parted_by_pay on parted (secret);
        create table part partition of parted for values in (1)";
    cluster.load("shop", schema).expect("load the schema");
    let attacks = [
        ("cluster paid using by_pay", "paid.secret"),
        ("cluster verbose public.paid using by_pay", "paid.secret"),
        ("cluster (verbose) paid using by_pay", "paid.secret"),
        ("cluster by_pay on paid", "paid.secret"),
        ("alter table paid cluster on by_pay", "paid.secret"),
        ("cluster paid", "paid.secret"),
        ("cluster", "paid.secret parted.secret part.secret"),
        ("cluster verbose", "paid.secret parted.secret part.secret"),
        ("cluster parted using parted_by_pay", "parted.secret part.secret"),
        ("cluster part using part_secret_idx", "parted.secret part.secret"),
        ("cluster other using other_pkey", ""),
        ("alter table other cluster on other_pkey", ""),
        ("vacuum full paid", ""),
    ];
    check(&attacks, &snapshot(&cluster, "shop"));
    cluster.load("shop", "cluster paid using by_pay").expect("by pay");
    let shown = cluster.psql("shop", "select id from paid").expect("rows");
    assert_eq!(shown.split_whitespace().collect::<Vec<_>>(), ["2", "3", "1"]);
}

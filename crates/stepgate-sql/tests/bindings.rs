//! What is bound to a column by OID and attribute number, from one catalog to the next.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::collections::BTreeSet;

use stepgate_sql::{Bindings, Catalog, Classes, Followed, Taints};
use stepgate_testkit::Cluster;
use stepgate_types::{ColumnName, RelationName};

/// A map that labels these columns, each by its own name.
struct Map(Vec<ColumnName>, Vec<RelationName>);

impl Map {
    fn of(names: &[&str]) -> Self {
        let columns: Vec<ColumnName> = names.iter().map(|name| column(name)).collect();
        let relations: BTreeSet<RelationName> =
            columns.iter().map(|column| column.relation.clone()).collect();
        Self(columns, relations.into_iter().collect())
    }
}

impl Classes for Map {
    type Kind = String;

    fn listed(&self) -> impl Iterator<Item = &RelationName> {
        self.1.iter()
    }

    fn kind(&self, column: &ColumnName) -> Option<String> {
        self.0.contains(column).then(|| column.column.clone())
    }
}

fn column(name: &str) -> ColumnName {
    let (relation, column) = name.split_once('.').expect("relation.column");
    ColumnName::new(RelationName::new("public", relation), column)
}

/// What moved, as `from > to`, where the catalog goes on like this; the bindings go with it.
fn step(
    cluster: &Cluster,
    ddl: &str,
    bindings: &mut Bindings,
    taints: &mut Taints,
    map: &Map,
) -> Vec<String> {
    cluster.load("b", ddl).expect("DDL");
    let catalog: Catalog = common::snapshot(cluster, "b");
    let Followed { flows, moved, changes, unbound } = bindings.follow(&catalog, taints, map);
    assert!(unbound.is_empty());
    for (relation, flow) in flows {
        taints.add(relation, flow).expect("room");
    }
    changes.into_iter().for_each(|change| bindings.apply(change));
    // Once followed, all is said.
    let again = bindings.follow(&catalog, taints, map);
    assert!(again.flows.is_empty() && again.moved.is_empty(), "{again:?}");
    let plain = |it: &ColumnName| it.to_string().replace("public.", "");
    moved.iter().map(|(from, to)| format!("{} > {}", plain(from), plain(to))).collect()
}

#[test]
fn what_a_column_held_goes_where_the_column_goes() {
    let cluster = Cluster::start().expect("PostgreSQL");
    cluster.create_database("b").expect("a database");
    let map = Map::of(&["people.ssn", "people.mail", "one.tax"]);
    let (mut bindings, mut taints) = (Bindings::default(), Taints::default());
    let mut step = |ddl: &str| step(&cluster, ddl, &mut bindings, &mut taints, &map);
    let none: [&str; 0] = [];
    let tables = "create table people (id int, ssn text, mail text, pair text generated always as (ssn || mail) stored); \
         create table parted (id int, tax text) partition by list (id); \
         create table one partition of parted for values in (1); create table two partition of parted for values in (2); \
         create table three partition of parted for values in (3); create table other (a int);";
    assert_eq!(step(tables), none);
    assert_eq!(step("alter table other add ssn text; alter table other rename a to b"), none);
    assert_eq!(
        step("alter table people rename ssn to x; alter table people rename x to y"),
        ["people.ssn > people.pair", "people.ssn > people.y"]
    );
    assert_eq!(step("alter table people alter pair drop expression"), ["people.mail > people.pair"]);
    assert_eq!(
        step("alter table people rename to folk"),
        [
            "people.mail > folk.mail",
            "people.mail > folk.pair",
            "people.ssn > folk.pair",
            "people.ssn > folk.y"
        ]
    );
    // Of a family in which one is labelled, all are.
    assert_eq!(step("alter table parted detach partition two"), ["one.tax > two.tax"]);
    assert_eq!(
        step("alter table parted detach partition one"),
        ["one.tax > parted.tax", "one.tax > three.tax"]
    );
    assert_eq!(step("alter table two rename tax to t"), ["one.tax > two.t"]);
    // Another by the old name is another.
    assert_eq!(step("create table people (id int, ssn text, mail text); drop table folk"), none);
    assert_eq!(
        step(
            "alter table people drop ssn; alter table people add ssn text; alter table people rename ssn to s"
        ),
        none
    );
}

#[test]
fn partitions_by_the_hundred_are_bound_one_by_one() {
    let cluster = Cluster::start().expect("PostgreSQL");
    cluster.create_database("b").expect("a database");
    let columns: Vec<_> = (0..10).map(|at| format!("c{at} text")).collect();
    let mut ddl = format!("create table p (id int, {}) partition by list (id);", columns.join(","));
    let parts = 300;
    for at in 0..parts {
        ddl += &format!("create table p{at} partition of p for values in ({at});");
    }
    let labelled: Vec<String> = (0..10).map(|at| format!("p.c{at}")).collect();
    let map = Map::of(&labelled.iter().map(String::as_str).collect::<Vec<_>>());
    let (mut bindings, mut taints) = (Bindings::default(), Taints::default());
    assert!(step(&cluster, &ddl, &mut bindings, &mut taints, &map).is_empty());
    let detach: String = (0..parts).map(|at| format!("alter table p detach partition p{at};")).collect();
    let moved = step(&cluster, &detach, &mut bindings, &mut taints, &map);
    assert_eq!(moved.len(), parts * 10);
}

/// Labels whatever is called `c…`.
struct Each(Vec<RelationName>);

impl Classes for Each {
    type Kind = String;

    fn listed(&self) -> impl Iterator<Item = &RelationName> {
        self.0.iter()
    }

    fn kind(&self, column: &ColumnName) -> Option<String> {
        column.column.starts_with('c').then(|| column.column.clone())
    }
}

#[test]
fn where_there_is_no_room_for_all_it_is_said_of_which_relations_a_label_could_be_lost() {
    let cluster = Cluster::start().expect("PostgreSQL");
    cluster.create_database("b").expect("a database");
    let columns: Vec<_> = (0..1_500).map(|at| format!("c{at} int")).collect();
    let ddl: String = (0..36).map(|at| format!("create table t{at} ({});", columns.join(","))).collect();
    cluster.load("b", &ddl).expect("DDL");
    let map = Each((0..36).map(|at| RelationName::new("public", format!("t{at}"))).collect());
    let Followed { changes, unbound, .. } =
        Bindings::default().follow(&common::snapshot(&cluster, "b"), &Taints::default(), &map);
    let bound: BTreeSet<u32> = changes.iter().map(|((oid, _), _)| *oid).collect();
    assert!(bound.len() + unbound.len() >= 36, "{} and {}", bound.len(), unbound.len());
    assert!((1..=4).contains(&unbound.len()), "{unbound:?}");
}

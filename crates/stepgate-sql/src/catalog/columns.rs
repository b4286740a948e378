//! Columns: by far the most rows of a catalog of many tables. Where a snapshot that was read over the same connection is
//! known, only those are asked for of relations whose columns somebody has written since.

use std::collections::HashSet;

use super::load::{Answers, Loader, number, truth};
use super::queries::COLUMNS_SINCE;
use super::relation::{Column, ColumnType};
use super::{Catalog, CatalogError, CatalogQuery, RelationIndex};

/// The query's name in [`super::CATALOG_QUERIES`].
const COLUMNS: &str = "columns";

/// What asks for the columns that have changed since.
pub(super) fn sql_after(query: &CatalogQuery, known: &Catalog) -> Option<String> {
    let since = known.since.filter(|_| query.name == COLUMNS)?;
    Some(COLUMNS_SINCE.replace("{since}", &since.to_string()))
}

/// From the answers, and from a snapshot before of those that have not changed since.
pub(super) fn load(
    loader: &mut Loader,
    answers: &Answers<'_>,
    known: Option<&Catalog>,
) -> Result<(), CatalogError> {
    for row in answers.rows::<1>("snapshot")? {
        let [since] = row?;
        loader.catalog.since = Some(number(since, "snapshot")?);
    }
    let told = told(loader, answers)?;
    if let Some(known) = known.filter(|known| known.since.is_some()) {
        take(loader, known, &told);
    }
    Ok(())
}

/// Adds the columns that the answer has. Says of which relations it tells anything: they may have no column left.
fn told(loader: &mut Loader, answers: &Answers<'_>) -> Result<HashSet<RelationIndex>, CatalogError> {
    let mut told = HashSet::new();
    for row in answers.rows::<5>(COLUMNS)? {
        let [oid, attnum, name, not_null, of] = row?;
        let Some(at) = loader.known(oid) else { continue };
        told.insert(at);
        let is_dropped = name.is_empty();
        if is_dropped {
            continue;
        }
        let (of, modifier) = of.split_once('/').unwrap_or_default();
        let of = ColumnType(number(of, COLUMNS)?, number(modifier, COLUMNS)?);
        loader.column(at, Column::new(name, number(attnum, COLUMNS)?, truth(not_null), of));
    }
    Ok(told)
}

/// Relations of which nothing was told have the columns that they had.
fn take(loader: &mut Loader, known: &Catalog, told: &HashSet<RelationIndex>) {
    for at in (0..loader.catalog.relations.len()).filter(|at| !told.contains(at)) {
        let Some(relation) = loader.catalog.relation(at) else { continue };
        let before = known.find_oid(relation.oid).and_then(|at| known.relation(at));
        for Column { name, number, not_null, of, .. } in before.into_iter().flat_map(|it| &it.columns) {
            loader.column(at, Column::new(name, *number, *not_null, *of));
        }
    }
}

#[cfg(test)]
mod tests {
    use stepgate_testkit::{Cluster, Psql};

    use super::super::{CATALOG_QUERIES, Rows};
    use super::*;

    /// What the server answers now to the queries that columns hang on.
    fn read(cluster: &Cluster, known: Option<&Catalog>) -> (Catalog, usize) {
        let mut asked = 0;
        let answers = CATALOG_QUERIES.iter().map(|query| {
            let rows: Rows = match query.name {
                "functions" => {
                    [["pg_catalog", "lower", "true", "870"].map(text).to_vec()].into_iter().collect()
                }
                "relations" | COLUMNS | "snapshot" => {
                    let sql = format!("set search_path = pg_catalog; {}", query.sql_after(known));
                    let answer = cluster.psql("shop", &sql).unwrap();
                    answer.lines().map(|line| line.split('|').map(text).collect::<Vec<_>>()).collect()
                }
                _ => Rows::default(),
            };
            if query.name == COLUMNS {
                asked = rows.of_texts::<5>().unwrap().count();
            }
            (query.name, rows)
        });
        (Catalog::from_rows_after(&answers.collect::<Vec<_>>(), None, known).unwrap(), asked)
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    /// All that is known of columns.
    fn told(catalog: &Catalog) -> Vec<String> {
        let told = |relation: &super::super::Relation| {
            assert!(
                relation.columns.iter().enumerate().all(|(at, it)| relation.column_index[&it.name] == at)
            );
            format!("{} {:?} {:?}", relation.oid, relation.name, relation.columns)
        };
        let mut all: Vec<String> = catalog.relations.iter().map(told).collect();
        let mut words: Vec<&String> = catalog.words.iter().collect();
        words.sort();
        all.push(format!("{words:?}"));
        all.sort();
        all
    }

    #[test]
    fn only_columns_of_relations_that_have_changed_are_asked_for_and_what_is_known_is_the_same() {
        let cluster = Cluster::start().unwrap();
        cluster.create_database("shop").unwrap();
        cluster
            .load("shop", "create table t (a int, b text not null, c int); create table other (a int)")
            .unwrap();
        let (mut known, all) = read(&cluster, None);
        assert!(all > 1_000);
        for (change, least) in [
            ("select 1", 0),
            ("create table made (a int, b int)", 2),
            ("alter table t add column d varchar(3)", 4),
            ("alter table t rename column a to z", 4),
            ("alter table t drop column c", 3),
            ("alter table t alter column d type varchar(7)", 3),
            ("alter table t alter column b drop not null", 3),
            ("create table none ()", 0),
            ("create view v as select z, b from t", 2),
            ("create or replace view v as select z, b, d from t", 3),
            ("create table child (e int) inherits (t)", 4),
            ("alter table t add column f int", 9),
            ("alter table t drop column f, drop column d cascade", 5),
            ("drop table made", 0),
            ("alter table other rename to another", 0),
            ("begin; alter table another add column x int; rollback", 0),
            ("begin; savepoint s; alter table another add column x int; release s; commit", 2),
            // Of one that has no column left, what was dropped alone tells.
            ("alter table another drop column a, drop column x", 2),
            ("alter table another add column a int", 3),
            (
                "begin; alter table another drop column a; alter table another add column b int; \
                 alter table another drop column b; commit",
                4,
            ),
            ("alter table another add column z int", 5),
            ("begin; savepoint s; alter table another drop column z; release s; commit", 5),
            ("create table parent (a int); create table heir () inherits (parent)", 2),
            ("alter table parent drop column a", 2),
            ("alter table none add column a int", 1),
            ("alter table none drop column a", 1),
            ("create table none_again (); drop table none; create table none ()", 0),
            (
                "create table keyed (id int primary key); create materialized view m as select id from keyed",
                2,
            ),
            ("alter table keyed drop column id cascade", 1),
            (
                "alter table keyed add column id int; vacuum full pg_attribute; alter table keyed drop column id",
                2,
            ),
            ("vacuum full pg_attribute; vacuum freeze pg_attribute", 0),
        ] {
            cluster.load("shop", change).unwrap();
            let (now, asked) = read(&cluster, Some(&known));
            assert!((least..least + 20).contains(&asked), "{change}: {asked} columns");
            assert_eq!(told(&now), told(&read(&cluster, None).0), "{change}");
            known = now;
        }
    }

    /// Its number is smaller than that of transactions whose rows were seen before.
    #[test]
    fn what_was_under_way_when_the_catalog_was_read_is_asked_for_the_next_time() {
        let cluster = Cluster::start().unwrap();
        cluster.create_database("shop").unwrap();
        cluster.load("shop", "create table t (a int); create table other (a int)").unwrap();
        let mut longer = Psql::start(cluster.psql_command("shop")).unwrap();
        assert!(longer.run("begin; alter table t add column secret text;").unwrap().is_ok());
        let mut known = read(&cluster, None).0;
        for number in 0..3 {
            cluster.psql("shop", &format!("alter table other add column b{number} int")).unwrap();
            known = read(&cluster, Some(&known)).0;
        }
        assert!(!told(&known).iter().any(|told| told.contains("\"secret\"")));
        assert!(longer.run("commit;").unwrap().is_ok());
        let now = read(&cluster, Some(&known)).0;
        assert!(told(&now).iter().any(|told| told.contains("\"secret\"")));
        assert_eq!(told(&now), told(&read(&cluster, None).0));
    }

    /// What `xmin` tells is right for half a round of numbers.
    #[test]
    fn of_a_snapshot_that_is_too_old_all_columns_are_asked_for() {
        let cluster = Cluster::start().unwrap();
        cluster.create_database("shop").unwrap();
        let (known, all) = read(&cluster, None);
        let now = i64::try_from(known.since.unwrap()).unwrap();
        let asked = |since: i64| {
            let sql = COLUMNS_SINCE.replace("{since}", &format!("({since})"));
            cluster.psql("shop", &format!("set search_path = pg_catalog; {sql}")).unwrap().lines().count()
        };
        assert_eq!(asked(now), 0);
        // By `xmin` alone, all there is would be from before.
        assert_eq!(asked(now - (1 << 31) - 10), all);
    }
}

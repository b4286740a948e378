//! How much of what is personal is found, and how much of what is found is personal.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use stepgate_testkit::{Cluster, HostAuth};

use super::held_out::held_out;
use super::sample::{self, Table};

/// Runs `stepgate map` against a database of the cluster.
pub(crate) fn map(cluster: &Cluster, database: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stepgate"))
        .arg("map")
        .args(arguments)
        .arg("--url")
        .arg(cluster.url("postgres", database))
        .env_remove("PGPASSWORD")
        .current_dir(Path::new("/tmp"))
        .output()
        .unwrap()
}

pub(crate) fn cluster() -> Cluster {
    Cluster::builder().cached(true).host_auth(HostAuth::Trust).start().unwrap()
}

pub(crate) fn rows(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Precision and recall of "is it personal", and the share of the rightly found whose label is right, in percent.
struct Quality {
    precision: f64,
    recall: f64,
    labels: f64,
    columns: usize,
    personal: usize,
}

fn judge(name: &str, tables: &[Table], more: &[&str]) -> Quality {
    let cluster = cluster();
    cluster.create_database("sample").unwrap();
    cluster.load("sample", &sample::sql(tables, 20_261_128)).unwrap();
    let arguments = [&["scan", "-o", "json"], more].concat();
    let found: BTreeMap<(String, String), String> = rows(&map(&cluster, "sample", &arguments))
        .iter()
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap().to_owned();
            (
                (text("table"), text("column")),
                format!("{} ({}, {})", text("label"), row["confidence"], text("reason")),
            )
        })
        .collect();
    let (mut right, mut wrong, mut missed, mut labelled, mut columns) = (0.0, 0.0, 0.0, 0.0, 0);
    for table in tables {
        for column in &table.columns {
            columns += 1;
            let place = (table.name.to_owned(), column.name.to_owned());
            match (column.label, found.get(&place)) {
                ("", None) => {}
                ("", Some(label)) => {
                    wrong += 1.0;
                    println!("{name}: wrong   {}.{}: {label}", table.name, column.name);
                }
                (label, None) => {
                    missed += 1.0;
                    println!("{name}: missed  {}.{}: {label}", table.name, column.name);
                }
                (label, Some(said)) => {
                    right += 1.0;
                    if said.split(' ').next() == Some(label) {
                        labelled += 1.0;
                    } else {
                        println!("{name}: renamed {}.{}: {label}, not {said}", table.name, column.name);
                    }
                }
            }
        }
    }
    let quality = Quality {
        precision: 100.0 * right / f64::max(right + wrong, 1.0),
        recall: 100.0 * right / f64::max(right + missed, 1.0),
        labels: 100.0 * labelled / f64::max(right, 1.0),
        columns,
        personal: (right + missed) as usize,
    };
    let Quality { precision, recall, labels, columns, personal } = &quality;
    println!(
        "{name}: {columns} columns, {personal} personal: precision {precision:.1} %, recall {recall:.1} %, labels {labels:.1} %"
    );
    quality
}

#[test]
fn the_half_that_was_tuned_on() {
    let mut tables = sample::tuning();
    tables.extend(sample::tuning_too());
    let quality = judge("tuned on", &tables, &[]);
    assert!(quality.columns >= 150 && quality.personal >= 80);
    assert!(quality.precision >= 97.0 && quality.recall >= 97.0 && quality.labels >= 97.0);
}

#[test]
fn the_half_that_was_held_out() {
    let quality = judge("held out", &held_out(), &[]);
    assert!(quality.columns >= 80 && quality.personal >= 35);
    assert!(quality.precision >= 85.0 && quality.recall >= 85.0 && quality.labels >= 90.0);
}

#[test]
fn names_alone_find_less() {
    let quality = judge("held out, names alone", &held_out(), &["--schema-only"]);
    assert!(quality.precision >= 80.0 && quality.recall >= 40.0);
}

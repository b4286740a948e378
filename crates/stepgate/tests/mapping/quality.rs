//! How much of what is personal is found, and how much of what is found is personal.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use stepgate_testkit::{Cluster, HostAuth};

use super::held_out::held_out;
use super::odd::odd;
use super::odd_too::odd_too;
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

/// Of a label: how many columns have it rightly, are proposed with it, and should have it.
type ByLabel = BTreeMap<String, (u32, u32, u32)>;

/// Precision and recall of "is it personal", and the share of the rightly found whose label is right, in percent.
struct Quality {
    precision: f64,
    recall: f64,
    labels: f64,
    columns: usize,
    personal: usize,
    by_label: ByLabel,
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
    let mut by_label = ByLabel::new();
    let (mut right, mut wrong, mut missed, mut labelled, mut columns) = (0.0, 0.0, 0.0, 0.0, 0);
    for table in tables {
        for column in &table.columns {
            columns += 1;
            let place = (table.name.to_owned(), column.name.to_owned());
            let said = found.get(&place).map_or("", |said| said.split(' ').next().unwrap());
            if !said.is_empty() {
                by_label.entry(said.to_owned()).or_default().1 += 1;
            }
            if !column.label.is_empty() {
                let truth = by_label.entry(column.label.to_owned()).or_default();
                truth.0 += u32::from(said == column.label);
                truth.2 += 1;
            }
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
        by_label,
    };
    let Quality { precision, recall, labels, columns, personal, by_label } = &quality;
    for (label, (right, proposed, all)) in by_label {
        println!("{name}: {label}: {right} of {proposed} proposed are right, {right} of {all} found");
    }
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
fn the_odd_database() {
    let quality = judge("odd", &odd(), &[]);
    assert!(quality.columns >= 85 && quality.personal >= 40);
    assert!(quality.precision >= 90.0 && quality.recall >= 90.0 && quality.labels >= 90.0);
    each_label(&quality, 50);
}

#[test]
fn the_other_half_of_the_odd_database() {
    let quality = judge("odd too", &odd_too(), &[]);
    assert!(quality.columns >= 50 && quality.personal >= 25);
    assert!(quality.precision >= 85.0 && quality.recall >= 85.0 && quality.labels >= 85.0);
    each_label(&quality, 50);
}

/// Each label that several columns should have is right, and found, in so many of 100.
fn each_label(quality: &Quality, least: u32) {
    for (label, (right, proposed, all)) in quality.by_label.iter().filter(|(_, (.., all))| *all > 1) {
        assert!(right * 100 >= proposed * least, "{label}: {right} of {proposed} proposed are right");
        assert!(right * 100 >= all * least, "{label}: {right} of {all} found");
    }
}

#[test]
fn names_alone_find_less() {
    let quality = judge("held out, names alone", &held_out(), &["--schema-only"]);
    assert!(quality.precision >= 80.0 && quality.recall >= 40.0);
}

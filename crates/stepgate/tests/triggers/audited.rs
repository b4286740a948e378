//! Every file by which it is decided stands in the log with its hash, from when it came into force.

use data_encoding::HEXLOWER;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use stepgate_testkit::until;

use crate::history::DANA;
use crate::places::{BERLIN_AND_SYDNEY, database};
use crate::risky_with;
use crate::support::{SOON, World};

fn sha256(bytes: impl AsRef<[u8]>) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

fn recorded(world: &World, kind: &str) -> Vec<Value> {
    world.records().into_iter().filter(|record| record["type"] == kind).collect()
}

#[test]
fn the_files_of_places_policy_and_map_are_recorded_by_their_hashes_and_a_broken_one_as_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("places.mmdb");
    let first = database(&BERLIN_AND_SYDNEY);
    std::fs::write(&file, &first).unwrap();
    let mut world = risky_with("geo_change", "", &[DANA], &format!("places: {}", file.display()));
    let places = |world: &World| -> Vec<String> {
        let all = recorded(world, "places.loaded");
        all.iter().map(|it| it["places_sha256"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(places(&world), [sha256(&first)]);
    let read = |name: &str| std::fs::read(world.gate.directory().join("policies").join(name)).unwrap();
    let (policy, map) = (sha256(read("policy.yaml")), sha256(read("pii-map.yaml")));
    let loaded = recorded(&world, "policy.loaded").pop().unwrap();
    assert_eq!(
        (&loaded["policy_file_sha256"], &loaded["map_sha256"]),
        (&policy.into(), &map.into()),
        "{loaded}"
    );

    let second = database(&BERLIN_AND_SYDNEY[..1]);
    std::fs::write(&file, &second).unwrap();
    world.gate.serving().unwrap().signal("HUP").unwrap();
    until("the other file", SOON, || places(&world).len() == 2).unwrap();
    assert_eq!(places(&world), [sha256(&first), sha256(&second)]);

    std::fs::write(&file, "no places at all").unwrap();
    world.gate.serving().unwrap().signal("HUP").unwrap();
    until("the rejection", SOON, || !recorded(&world, "config.rejected").is_empty()).unwrap();
    // What is there already is not recorded again.
    std::fs::write(&file, &second).unwrap();
    let before = recorded(&world, "config.loaded").len();
    world.gate.serving().unwrap().signal("HUP").unwrap();
    until("one more look", SOON, || recorded(&world, "config.loaded").len() > before).unwrap();
    assert_eq!(places(&world).len(), 2);
}

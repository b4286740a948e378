//! People and their factors.

use std::path::Path;

use stepgate_record::{Event, Names as _};
use stepgate_types::{GroupName, PersonName};

use crate::testing::{open, vault};
use crate::wait::block_on;
use crate::{Log, NewPerson, People, PersonError};

fn name(name: &str) -> PersonName {
    name.parse().unwrap()
}

fn groups(names: &[&str]) -> Vec<GroupName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn people(dir: &Path) -> (Log, People) {
    let log = open(dir).unwrap();
    let people = People::open(&log, &vault(1)).unwrap();
    (log, people)
}

fn add(people: &People, who: &str) {
    let new = NewPerson {
        name: name(who),
        groups: groups(&["analysts"]),
        service: false,
        password: "correct horse",
    };
    people.add_blocking(new, None).unwrap();
}

#[test]
fn people_are_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let (log, people) = self::people(dir.path());
    add(&people, "dana");
    add(&people, "erin");
    people.set_groups_blocking(&name("erin"), groups(&["b", "a", "b"]), Some(name("dana"))).unwrap();
    people.remove_blocking(&name("dana"), None).unwrap();
    drop((log, people));

    let (log, people) = self::people(dir.path());
    assert!(people.get(&name("dana")).is_none());
    let erin = people.get(&name("erin")).unwrap();
    assert_eq!((&erin.groups, erin.service), (&groups(&["a", "b"]), false));
    assert_eq!(people.list().len(), 1);
    assert!(people.verify_password(&name("erin"), "correct horse").is_some());
    assert!(erin.certificates.is_empty());
    let actions: Vec<(String, Option<String>)> = log
        .tail(100)
        .unwrap()
        .into_iter()
        .filter_map(|record| match record.event {
            Event::AdminAction { action, by, .. } => Some((action, by.map(|by| log.subjects().shown(&by)))),
            _ => None,
        })
        .collect();
    let expected = [
        ("user.added", None),
        ("user.added", None),
        ("user.groups_set", Some("dana".to_owned())),
        ("user.removed", None),
    ];
    assert_eq!(actions, expected.map(|(action, by)| (action.to_owned(), by)));
}

#[test]
fn names_of_certificates_are_kept_and_unfit_ones_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let (log, people) = self::people(dir.path());
    add(&people, "dana");
    let set = |people: &People, names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        crate::wait::block_on(people.set_certificates(&name("dana"), names, None))
    };
    set(&people, &["Dana Scully", "dana@corp.example"]).unwrap();
    for unfit in [&[""][..], &["a\nb"], &["a\0"], &[&"x".repeat(255)], &["x"; 9]] {
        assert_eq!(set(&people, unfit), Err(PersonError::Certificate), "{unfit:?}");
    }
    drop((log, people));
    let (_log, people) = self::people(dir.path());
    assert_eq!(people.get(&name("dana")).unwrap().certificates, ["Dana Scully", "dana@corp.example"]);
    set(&people, &[]).unwrap();
    assert!(people.get(&name("dana")).unwrap().certificates.is_empty());
}

#[test]
fn only_the_right_password_of_a_known_person_is_right() {
    let dir = tempfile::tempdir().unwrap();
    let (_log, people) = self::people(dir.path());
    add(&people, "dana");
    assert!(people.verify_password(&name("dana"), "correct horse").is_some());
    assert!(people.verify_password(&name("dana"), "wrong horse").is_none());
    assert!(people.verify_password(&name("nobody"), "correct horse").is_none());
    people.set_password_blocking(&name("dana"), "battery staple", None).unwrap();
    assert!(people.verify_password(&name("dana"), "correct horse").is_none());
    assert!(people.verify_password(&name("dana"), "battery staple").is_some());
}

#[test]
fn an_unknown_name_is_challenged_the_same_way_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let (log, people) = self::people(dir.path());
    let mock = people.mock_secret("nobody");
    assert_eq!((mock.salt.len(), mock.iterations), (16, 4096));
    assert_ne!(mock.salt, people.mock_secret("somebody").salt);
    drop((log, people));
    let (_log, people) = self::people(dir.path());
    assert!(people.mock_secret("nobody") == mock);
}

#[test]
fn nobody_is_added_twice_or_changed_without_being_there() {
    let dir = tempfile::tempdir().unwrap();
    let (log, people) = self::people(dir.path());
    add(&people, "dana");
    let before = log.len();
    let again = NewPerson { name: name("dana"), groups: vec![], service: true, password: "another one" };
    assert_eq!(people.add_blocking(again, None), Err(PersonError::Exists(name("dana"))));
    assert_eq!(people.remove_blocking(&name("erin"), None), Err(PersonError::Unknown(name("erin"))));
    let empty = NewPerson { name: name("erin"), groups: vec![], service: true, password: "" };
    assert_eq!(people.add_blocking(empty, None), Err(PersonError::Password));
    assert_eq!(log.len(), before, "nothing was recorded");
}

#[test]
fn factors_are_sealed_and_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let (log, people) = self::people(dir.path());
    add(&people, "dana");
    let secret = b"a very secret TOTP secret";
    block_on(people.factors().enrol_totp(&name("dana"), secret, None)).unwrap();
    drop((log, people));
    let db = std::fs::read(dir.path().join("beside/db")).unwrap();
    assert!(!db.windows(secret.len()).any(|window| window == secret), "in the clear on disk");

    let (log, people) = self::people(dir.path());
    let factors = people.factors();
    assert_eq!(factors.totp(&name("dana")).unwrap().secret.as_slice(), secret);
    assert_eq!(factors.list(&name("dana")).len(), 1);
    block_on(factors.remove(&name("dana"), "totp", None)).unwrap();
    assert!(factors.totp(&name("dana")).is_none());
    assert!(block_on(factors.remove(&name("dana"), "totp", None)).is_err());
    drop((log, people, factors));
    let (_log, people) = self::people(dir.path());
    assert!(people.factors().totp(&name("dana")).is_none());
}

#[test]
fn a_factor_does_not_outlive_its_person() {
    let dir = tempfile::tempdir().unwrap();
    let (log, people) = self::people(dir.path());
    add(&people, "dana");
    add(&people, "dan");
    block_on(people.factors().enrol_totp(&name("dana"), b"secret", None)).unwrap();
    block_on(people.factors().enrol_totp(&name("dan"), b"secret", None)).unwrap();
    people.remove_blocking(&name("dana"), None).unwrap();
    add(&people, "dana");
    assert!(people.factors().totp(&name("dana")).is_none());
    drop((log, people));
    let (_log, people) = self::people(dir.path());
    assert!(people.factors().totp(&name("dana")).is_none());
    assert!(people.factors().totp(&name("dan")).is_some());
}

#[test]
fn nobody_unknown_can_enrol() {
    let dir = tempfile::tempdir().unwrap();
    let (_log, people) = self::people(dir.path());
    let refused = block_on(people.factors().enrol_totp(&name("nobody"), b"secret", None));
    assert_eq!(refused, Err(PersonError::Unknown(name("nobody"))));
}

#[test]
fn an_entry_moved_to_another_name_does_not_open() {
    let dir = tempfile::tempdir().unwrap();
    let (log, people) = self::people(dir.path());
    add(&people, "dana");
    let (_, sealed) = log.load(crate::Side::People).unwrap().remove(0);
    add(&people, "erin");
    // By a name, as older stores had it, and by what stands for it now.
    for key in [b"erin".to_vec(), log.subjects().key_of(&name("erin"), "")] {
        let moved = crate::Change::Put { side: crate::Side::People, key: key.clone(), value: sealed.clone() };
        log.append_blocking(vec![super::log::event(1)], vec![moved]).unwrap();
        assert!(People::open(&log, &vault(1)).is_err());
        let away = crate::Change::Delete { side: crate::Side::People, key };
        log.append_blocking(vec![super::log::event(1)], vec![away]).unwrap();
        assert!(People::open(&log, &vault(1)).is_ok());
    }
}

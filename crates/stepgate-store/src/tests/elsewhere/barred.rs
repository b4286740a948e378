//! Whom an operator has removed, or taken an account from.

use stepgate_types::{Actor, SubjectKind};

use super::*;

fn comes(world: &World, who: &str, whose: &str) -> Result<(), PersonError> {
    block_on(world.people.add_by_login(name(who), account(whose)))
}

fn remove(world: &World, who: &str) {
    block_on(world.people.remove(&name(who), None)).unwrap();
}

#[test]
fn neither_a_removed_name_nor_its_account_comes_back_by_a_login_nor_by_a_restart() {
    let world = World::new();
    assert_eq!(comes(&world, "kim", "1"), Ok(()));
    remove(&world, "kim");
    // Of somebody who never had an account, and of a service, the name alone.
    remove(&world, "omar");
    let mut world = world;
    for _ in 0..2 {
        for (who, whose) in [("kim", "1"), ("kim", "2"), ("kimberly", "1"), ("omar", "3")] {
            assert_eq!(comes(&world, who, whose), Err(PersonError::Barred), "{who} {whose}");
        }
        world = world.again();
    }
    let elsewhere = Account { issuer: "https://other.example".to_owned(), ..account("1") };
    assert_eq!(block_on(world.people.add_by_login(name("robin"), elsewhere)), Ok(()));

    // An operator has them again, by a password or by an account.
    let new = NewPerson { name: name("omar"), groups: Vec::new(), service: false, password: "own" };
    world.people.add_blocking(new, None).unwrap();
    assert_eq!(block_on(world.people.add_linked(name("kim"), Vec::new(), account("1"), None)), Ok(()));
    let world = world.again();
    for who in ["kim", "omar"] {
        assert!(matches!(comes(&world, who, "9"), Err(PersonError::Exists(_))), "{who}");
    }
    // Removed again, they are gone again.
    remove(&world, "kim");
    assert_eq!(comes(&world.again(), "kim", "1"), Err(PersonError::Barred));
}

#[test]
fn an_account_that_was_taken_from_somebody_is_nobodys_until_an_operator_links_it() {
    let world = World::new();
    block_on(world.people.link(&name("dana"), account("1"), None)).unwrap();
    block_on(world.people.unlink(&name("dana"), Source::Oidc, None)).unwrap();
    let world = world.again();
    assert_eq!(comes(&world, "kim", "1"), Err(PersonError::Barred));
    // The name is still somebody's, and nothing keeps others from theirs.
    assert_eq!(comes(&world, "kim", "2"), Ok(()));
    block_on(world.people.link(&name("omar"), account("1"), None)).unwrap();
    assert_eq!(world.again().people.of_account(&account("1")).unwrap().name, name("omar"));
}

#[test]
fn who_was_removed_is_nowhere_by_name_and_forgotten_once_they_are_erased() {
    let world = World::new();
    assert_eq!(comes(&world, "kim-of-accounts", "sub-of-kim"), Ok(()));
    remove(&world, "kim-of-accounts");
    let commit = world.log.subjects().commit_of(SubjectKind::Person, "kim-of-accounts").unwrap();
    let what = world.log.naming(commit).unwrap();
    let more = world.people.unbar(&name("kim-of-accounts"));
    assert_eq!(more.len(), 2);
    world.log.shred_with(&what, false, &Actor::Operator(None), more).unwrap();
    world.people.unbarred(&name("kim-of-accounts"));
    let world = world.again();
    assert_eq!(comes(&world, "kim-of-accounts", "sub-of-kim"), Ok(()));
}

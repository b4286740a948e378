//! Accounts elsewhere, groups that are supplied, and minted passwords.

mod barred;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use stepgate_record::Event;
use stepgate_testkit::{FakeClock, FakeEntropy};
use stepgate_types::{Clock, GroupName, PersonName};
use zeroize::Zeroizing;

use crate::wait::block_on;
use crate::{
    Account, Log, LogOptions, MAX_MINTED, NewPerson, People, PersonError, Said, Source, Supplied, Vault,
};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const HOUR: Duration = Duration::from_secs(3600);

struct World {
    dir: tempfile::TempDir,
    clock: Arc<FakeClock>,
    log: Log,
    people: People,
}

fn open(dir: &std::path::Path, clock: &Arc<FakeClock>, seed: u64) -> (Log, People) {
    let entropy = Arc::new(FakeEntropy::seeded(seed));
    let vault = Vault::new(&Zeroizing::new([7; 32]), entropy.clone());
    let options = LogOptions {
        ordinary_durable: true,
        version: "test".to_owned(),
        clock: Arc::<FakeClock>::clone(clock),
        entropy,
        vault: vault.clone(),
    };
    let (log, _) = Log::open(dir, options).unwrap();
    let people = People::open(&log, &vault).unwrap();
    (log, people)
}

impl World {
    fn new() -> Self {
        let (dir, clock) = (tempfile::tempdir().unwrap(), Arc::new(FakeClock::default()));
        let (log, people) = open(dir.path(), &clock, 1);
        let groups = vec![group("analysts")];
        for who in ["dana", "omar"] {
            let new = NewPerson { name: name(who), groups: groups.clone(), service: false, password: "own" };
            people.add_blocking(new, None).unwrap();
        }
        Self { dir, clock, log, people }
    }

    /// After a restart.
    fn again(self) -> Self {
        let Self { dir, clock, log, people } = self;
        drop((log, people));
        let (log, people) = open(dir.path(), &clock, 2);
        Self { dir, clock, log, people }
    }

    fn groups(&self, who: &str) -> Vec<String> {
        self.people.get(&name(who)).unwrap().groups.iter().map(ToString::to_string).collect()
    }

    fn supply(&self, who: &str, source: Source, groups: &[&str], life: Duration) -> bool {
        let groups = groups.iter().map(|it| group(it)).collect();
        if !self.people.accounts(&name(who)).iter().any(|it| it.source == source) {
            let account = Account { source, issuer: String::new(), subject: who.to_owned() };
            block_on(self.people.link(&name(who), account, None)).unwrap();
        }
        let said = Said { source, groups, left_out: 0, until: self.clock.now().plus(life) };
        block_on(self.people.supply(&name(who), said)).unwrap()
    }

    fn mint(&self, who: &str, life: Duration) -> (String, Zeroizing<String>) {
        let minted = block_on(self.people.mint(&name(who), life, "oidc", HERE)).unwrap();
        (minted.id, minted.password)
    }

    /// Which of the passwords lets them in.
    fn fits(&self, who: &str, password: &str) -> Option<Option<String>> {
        let (_, secrets) = self.people.secrets(&name(who))?;
        secrets.into_iter().find(|it| it.scram.verify_password(password)).map(|it| it.minted)
    }

    fn events(&self) -> Vec<Event> {
        self.log.tail(1000).unwrap().into_iter().map(|record| record.event).collect()
    }
}

fn name(name: &str) -> PersonName {
    name.parse().unwrap()
}

fn group(name: &str) -> GroupName {
    name.parse().unwrap()
}

fn account(subject: &str) -> Account {
    Account { source: Source::Oidc, issuer: "https://idp.example".to_owned(), subject: subject.to_owned() }
}

#[test]
fn supplied_groups_count_until_their_end_and_not_a_moment_longer_whoever_looks() {
    let world = World::new();
    let version = world.people.version();
    assert!(!world.supply("dana", Source::Oidc, &["data-owners", "analysts"], HOUR));
    assert!(world.people.version() > version);
    assert_eq!(world.groups("dana"), ["analysts", "data-owners"]);
    let world = world.again();
    assert_eq!(world.groups("dana"), ["analysts", "data-owners"]);
    let version = world.people.version();
    world.clock.advance(HOUR - Duration::from_micros(1));
    assert_eq!((world.groups("dana").len(), world.people.version()), (2, version));
    world.clock.advance(Duration::from_micros(1));
    assert_eq!(world.groups("dana"), ["analysts"]);
    assert!(world.people.list().iter().all(|person| person.groups.len() == 1));
    // Decisions that were remembered under the old number are forgotten.
    assert!(world.people.version() > version);
    let world = world.again();
    assert_eq!(world.groups("dana"), ["analysts"]);
    block_on(world.people.end_what_is_over()).unwrap();
    assert_eq!(world.people.supplied(&name("dana"), Source::Oidc), None);
    let ended = |event: &Event| matches!(event, Event::IdentityGroups(said) if said.groups.is_empty());
    assert_eq!(world.events().iter().filter(|event| ended(event)).count(), 1);
}

#[test]
fn what_a_source_says_replaces_what_it_said_and_leaves_what_others_say() {
    let world = World::new();
    world.supply("dana", Source::Oidc, &["a", "b"], HOUR);
    world.supply("dana", Source::Ldap, &["b", "c"], 2 * HOUR);
    assert_eq!(world.groups("dana"), ["a", "analysts", "b", "c"]);
    assert!(world.supply("dana", Source::Oidc, &["b"], HOUR), "a was lost, and it is not said");
    assert_eq!(world.groups("dana"), ["analysts", "b", "c"]);
    world.clock.advance(HOUR);
    assert_eq!(world.groups("dana"), ["analysts", "b", "c"]);
    world.clock.advance(HOUR);
    assert_eq!(world.groups("dana"), ["analysts"]);
}

#[test]
fn groups_that_a_configuration_names_no_longer_do_not_count_on() {
    let world = World::new();
    world.supply("dana", Source::Oidc, &["a", "b"], HOUR);
    world.supply("dana", Source::Ldap, &["c"], HOUR);
    world.supply("omar", Source::Oidc, &["b", "analysts"], HOUR);
    let retain = |source, kept: &[&str]| {
        block_on(world.people.retain_supplied(source, |group| kept.contains(&group.as_str()))).unwrap()
    };
    let before = world.events().len();
    assert!(retain(Source::Oidc, &["a", "b", "analysts"]).is_empty());
    assert_eq!(world.events().len(), before, "nothing has changed");
    // Omar has the other one of his own.
    assert_eq!(retain(Source::Oidc, &["b"]), [name("dana")]);
    assert_eq!(world.groups("dana"), ["analysts", "b", "c"]);
    assert_eq!(world.groups("omar"), ["analysts", "b"]);
    assert_eq!(retain(Source::Ldap, &[]), [name("dana")]);
    assert_eq!(world.people.supplied(&name("dana"), Source::Ldap), None);
    let said = |event: &Event| matches!(event, Event::IdentityGroups(_));
    assert_eq!(world.events().iter().skip(before).filter(|event| said(event)).count(), 3);
    let world = world.again();
    assert_eq!(world.groups("dana"), ["analysts", "b"]);
    world.clock.advance(HOUR);
    assert_eq!(world.groups("dana"), ["analysts"], "it ends as before");
}

#[test]
fn the_same_said_again_is_recorded_only_when_half_of_its_time_is_over() {
    let world = World::new();
    let records = || world.events().iter().filter(|event| matches!(event, Event::IdentityGroups(_))).count();
    for _ in 0..5 {
        world.supply("dana", Source::Ldap, &["a"], HOUR);
    }
    assert_eq!(records(), 1);
    world.clock.advance(HOUR / 2);
    world.supply("dana", Source::Ldap, &["a"], HOUR);
    assert_eq!(records(), 2);
    world.clock.advance(HOUR - Duration::from_secs(1));
    assert_eq!(world.groups("dana"), ["a", "analysts"]);
}

#[test]
fn groups_that_are_supplied_are_never_made_somebodys_own() {
    let world = World::new();
    world.supply("dana", Source::Oidc, &["data-owners"], HOUR);
    block_on(world.people.set_password(&name("dana"), "another", None)).unwrap();
    block_on(world.people.set_certificates(&name("dana"), vec!["d".to_owned()], None)).unwrap();
    let loan = crate::Loan {
        to: name("omar"),
        groups: BTreeSet::from([group("data-owners")]),
        from_us: world.clock.now().micros(),
        until_us: world.clock.now().plus(2 * HOUR).micros(),
    };
    block_on(world.people.lend(&name("dana"), loan, None)).unwrap();
    block_on(world.people.remove(&name("omar"), None)).unwrap();
    world.clock.advance(HOUR);
    assert_eq!(world.groups("dana"), ["analysts"]);
    assert_eq!(world.again().groups("dana"), ["analysts"]);
}

#[test]
fn an_account_is_one_persons_and_goes_with_them() {
    let world = World::new();
    block_on(world.people.link(&name("dana"), account("1"), None)).unwrap();
    let world = world.again();
    assert_eq!(world.people.of_account(&account("1")).unwrap().name, name("dana"));
    assert!(world.people.of_account(&account("2")).is_none());
    let elsewhere = Account { issuer: "https://evil.example".to_owned(), ..account("1") };
    assert!(world.people.of_account(&elsewhere).is_none(), "the same name at another provider is nobody");
    for (who, whose) in [("omar", "1"), ("dana", "1"), ("dana", "2"), ("omar", ""), ("omar", "a\nb")] {
        let linked = block_on(world.people.link(&name(who), account(whose), None));
        assert!(matches!(linked, Err(PersonError::Account(_))), "{who} {whose:?}");
    }
    assert!(matches!(
        block_on(world.people.add_linked(name("kim"), Vec::new(), account("1"), None)),
        Err(PersonError::Account(_))
    ));
    let added = block_on(world.people.add_linked(name("omar"), Vec::new(), account("3"), None));
    assert_eq!(added, Err(PersonError::Exists(name("omar"))));

    world.supply("dana", Source::Oidc, &["a"], HOUR);
    let (_, password) = world.mint("dana", HOUR);
    block_on(world.people.unlink(&name("dana"), Source::Oidc, None)).unwrap();
    assert!(world.people.of_account(&account("1")).is_none());
    assert_eq!((world.groups("dana"), world.fits("dana", &password)), (vec!["analysts".to_owned()], None));
    // What the source was asked before that comes too late.
    let groups = BTreeSet::from([group("a")]);
    let late = Said { source: Source::Oidc, groups, left_out: 0, until: world.clock.now().plus(HOUR) };
    assert!(matches!(block_on(world.people.supply(&name("dana"), late)), Err(PersonError::Account(_))));
    block_on(world.people.link(&name("omar"), account("1"), None)).unwrap();
    block_on(world.people.remove(&name("omar"), None)).unwrap();
    assert!(world.people.of_account(&account("1")).is_none());
    // Nothing is left of them that somebody of the same name would come into.
    let new = NewPerson { name: name("omar"), groups: Vec::new(), service: false, password: "x" };
    world.people.add_blocking(new, None).unwrap();
    let world = world.again();
    assert_eq!(world.people.accounts(&name("omar")), []);
}

#[test]
fn who_is_added_by_an_account_has_no_password_at_all() {
    let world = World::new();
    block_on(world.people.add_linked(name("kim"), vec![group("b"), group("b")], account("7"), None)).unwrap();
    assert_eq!(world.groups("kim"), ["b"]);
    for guess in ["", "kim", "7", "own"] {
        assert!(world.people.verify_password(&name("kim"), guess).is_none());
        assert_eq!(world.fits("kim", guess), None);
    }
    let (id, password) = world.mint("kim", HOUR);
    assert_eq!(world.again().fits("kim", &password), Some(Some(id)));
}

#[test]
fn minted_passwords_let_in_until_they_end_and_are_kept_as_verifiers_alone() {
    let world = World::new();
    let (first, one) = world.mint("dana", 100 * HOUR);
    let (second, two) = world.mint("dana", HOUR);
    assert_ne!((&first, &*one), (&second, &*two));
    assert_eq!(world.fits("dana", &one), Some(Some(first.clone())));
    assert_eq!(world.fits("omar", &one), None);
    assert_eq!(world.fits("dana", "own"), Some(None));
    // They are for databases: nobody logs in to the console by one.
    assert!(world.people.verify_password(&name("dana"), &one).is_none());
    let salts: BTreeSet<_> =
        world.people.secrets(&name("dana")).unwrap().1.into_iter().map(|it| it.scram.salt.clone()).collect();
    assert_eq!(salts.len(), 1);
    for entry in walk(world.dir.path()) {
        let bytes = std::fs::read(&entry).unwrap();
        assert!(!bytes.windows(one.len()).any(|window| window == one.as_bytes()), "{}", entry.display());
    }
    world.clock.advance(HOUR);
    assert_eq!((world.fits("dana", &two), world.fits("dana", &one)), (None, Some(Some(first.clone()))));
    let world = world.again();
    assert_eq!((world.fits("dana", &two), world.fits("dana", &one)), (None, Some(Some(first))));
    block_on(world.people.end_what_is_over()).unwrap();
    let expired = |event: &Event| matches!(event, Event::PasswordExpired(it) if it.password == second);
    assert_eq!(world.events().iter().filter(|event| expired(event)).count(), 1);
    // Eight hours, whatever was asked for.
    world.clock.advance(7 * HOUR);
    assert_eq!(world.fits("dana", &one), None);
}

#[test]
fn minted_passwords_are_taken_back_and_end_with_the_password_and_the_person() {
    let world = World::new();
    let all: Vec<_> = (0..=MAX_MINTED).map(|_| world.mint("dana", HOUR)).collect();
    assert_eq!(world.fits("dana", &all[0].1), None, "the oldest gives way");
    let revoke = |id: &str| {
        block_on(world.people.revoke_minted(&name("dana"), Some(id), "logout", Some(name("dana"))))
    };
    assert_eq!((revoke(&all[1].0), revoke("nothing")), (Ok(1), Ok(0)));
    let world = world.again();
    let left = |world: &World| all.iter().filter(|it| world.fits("dana", &it.1).is_some()).count();
    assert_eq!(left(&world), MAX_MINTED - 1);
    block_on(world.people.set_password(&name("dana"), "new", None)).unwrap();
    assert_eq!(left(&world), 0);
    let (_, password) = world.mint("dana", HOUR);
    block_on(world.people.remove(&name("dana"), None)).unwrap();
    let new = NewPerson { name: name("dana"), groups: Vec::new(), service: false, password: "new" };
    world.people.add_blocking(new, None).unwrap();
    let world = world.again();
    assert_eq!(world.fits("dana", &password), None);
    let revoked = world.events().into_iter().filter_map(|event| match event {
        Event::PasswordRevoked(it) => it.reason,
        _ => None,
    });
    let reasons: BTreeSet<_> = revoked.collect();
    let expected = ["logout", "password-set", "person-removed", "too-many"].map(str::to_owned);
    assert_eq!(reasons, BTreeSet::from(expected));
}

#[test]
fn a_service_has_no_account_elsewhere_and_mints_nothing() {
    let world = World::new();
    let new = NewPerson { name: name("etl"), groups: Vec::new(), service: true, password: "x" };
    world.people.add_blocking(new, None).unwrap();
    assert!(block_on(world.people.link(&name("etl"), account("9"), None)).is_err());
    assert!(block_on(world.people.mint(&name("etl"), HOUR, "oidc", HERE)).is_err());
    let supplied = Supplied::default();
    let said = Said { source: Source::Ldap, groups: supplied.groups, left_out: 0, until: world.clock.now() };
    assert!(block_on(world.people.supply(&name("etl"), said)).is_err());
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files
}

use std::sync::Arc;
use std::time::Duration;

use stepgate_session::{Meter, Stores};
use stepgate_store::{Log, LogOptions, Vault};
use stepgate_testkit::{FakeClock, FakeEntropy, TempTree};
use stepgate_types::{Limit, Per, Timestamp};
use zeroize::Zeroizing;

use super::*;

const HOUR: Per = Per::Window(Duration::from_secs(3_600));
const BEGUN: i64 = 1_700_000_000_000_000;

struct World {
    _tree: TempTree,
    log: Log,
    vault: Vault,
    accounts: Accounts,
    now: Timestamp,
    opened: Timestamp,
}

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_micros(BEGUN + minutes * 60_000_000)
}

impl World {
    fn new() -> Self {
        let tree = TempTree::new("accounts").unwrap();
        let vault = Vault::new(&Zeroizing::new([7; 32]), Arc::new(FakeEntropy::seeded(7)));
        let options = LogOptions {
            ordinary_durable: true,
            version: "test".to_owned(),
            clock: Arc::new(FakeClock::at(at(0))),
            entropy: Arc::new(FakeEntropy::seeded(8)),
            vault: vault.clone(),
        };
        let (log, _) = Log::open(tree.path(), options).unwrap();
        let accounts = Accounts::load(&log, at(0)).unwrap();
        Self { _tree: tree, log, vault, accounts, now: at(0), opened: at(0) }
    }

    /// As after a kill.
    fn again(&mut self) {
        self.accounts = Accounts::load(&self.log, self.now).unwrap();
    }

    /// How many of so many rows somebody gets by a limit before it is crossed.
    async fn gets(&self, person: &str, metered: &Metered, rows: u64) -> u64 {
        let account = self.accounts.of(&self.vault, &person.parse().unwrap(), metered, self.now).unwrap();
        let allowances = vec![Arc::clone(&account.allowance)];
        let meter = Meter::shared(1, Limit::NONE, true, Stores::Nothing, None, allowances);
        let person: PersonName = person.parse().unwrap();
        let who = Who::from(&person);
        let by =
            By { accounts: &self.accounts, log: &self.log, person: &who, opened: self.opened, now: self.now };
        meter.first();
        for got in 0..rows {
            account.renew(self.now);
            if !meter.take_waiting() {
                if account.extend(&by, &meter, metered.limit, false).await.unwrap().is_some() {
                    return got;
                }
                assert!(meter.take_waiting());
            }
        }
        rows
    }
}

fn rows(rule: &str, per: Per, rows: u64) -> Metered {
    Metered { rule: rule.to_owned(), per, limit: Limit::of(Some(rows), None) }
}

#[tokio::test]
async fn a_window_slides_and_counts_no_less_than_it_says() {
    let mut world = World::new();
    let limit = rows("a", HOUR, 100);
    assert_eq!(world.gets("dana", &limit, 60).await, 60);
    world.now = at(30);
    assert_eq!(world.gets("dana", &limit, 60).await, 40);
    world.now = at(59);
    assert_eq!(world.gets("dana", &limit, 60).await, 0);
    // A part of it longer at most.
    world.now = at(64);
    assert_eq!(world.gets("dana", &limit, 100).await, 60);
    world.now = at(94);
    assert_eq!(world.gets("dana", &limit, 100).await, 40);
}

#[tokio::test]
async fn what_was_set_aside_in_one_part_is_not_taken_in_the_next() {
    let mut world = World::new();
    let limit = rows("a", HOUR, 100);
    assert_eq!(world.gets("dana", &limit, 1).await, 1);
    let account = world.accounts.of(&world.vault, &"dana".parse().unwrap(), &limit, world.now).unwrap();
    assert_eq!(account.allowance.now().1.rows, Some(11));
    world.now = at(3);
    account.renew(world.now);
    assert_eq!(account.allowance.now().1.rows, Some(0));
    assert_eq!(world.gets("dana", &limit, 100).await, 99);
    // The row of the first part leaves before those of the second.
    world.now = at(62);
    assert_eq!(world.gets("dana", &limit, 100).await, 1);
}

#[tokio::test]
async fn a_restart_loses_a_chunk_at_most_and_gives_none_back() {
    let mut world = World::new();
    for per in [HOUR, Per::Session] {
        let limit = rows("a", per, 100);
        assert_eq!(world.gets("dana", &limit, 50).await, 50);
        world.now = at(1);
        world.again();
        let after = world.gets("dana", &limit, 100).await;
        assert!((38..=50).contains(&after), "{per}: {after}");
        world.again();
        assert_eq!(world.gets("dana", &limit, 1).await, 0, "{per}");
    }
}

#[tokio::test]
async fn a_session_lasts_until_somebody_comes_back_later() {
    let mut world = World::new();
    let limit = rows("a", Per::Session, 10);
    assert_eq!(world.gets("dana", &limit, 20).await, 10);
    // The same connection, hours later.
    world.now = at(300);
    assert_eq!(world.gets("dana", &limit, 1).await, 0);
    (world.now, world.opened) = (at(310), at(310));
    assert_eq!(world.gets("dana", &limit, 20).await, 10);
    world.again();
    (world.now, world.opened) = (at(340), at(340));
    assert_eq!(world.gets("dana", &limit, 1).await, 0);
}

#[tokio::test]
async fn persons_rules_and_lengths_are_counted_apart() {
    let world = World::new();
    let day = Per::Window(Duration::from_secs(86_400));
    for (person, limit) in [
        ("dana", rows("a", HOUR, 5)),
        ("erin", rows("a", HOUR, 5)),
        ("dana", rows("b", HOUR, 5)),
        ("dana", rows("a", day, 5)),
    ] {
        assert_eq!(world.gets(person, &limit, 9).await, 5, "{person} {limit:?}");
    }
    // Another number of the same rule and length is the same account.
    assert_eq!(world.gets("dana", &rows("a", HOUR, 7), 9).await, 2);
    assert_eq!(world.gets("dana", &rows("a", HOUR, 3), 9).await, 0);
}

#[tokio::test]
async fn what_is_on_disk_names_nobody_and_goes_when_it_is_over() {
    let mut world = World::new();
    assert_eq!(world.gets("dana", &rows("a", HOUR, 5), 5).await, 5);
    let entries = world.log.load(Side::Meters).unwrap();
    let text = String::from_utf8(entries.iter().flat_map(|(_, value)| value.clone()).collect()).unwrap();
    assert!(entries.len() == 1 && !text.contains("dana"));
    world.now = at(200);
    world.again();
    assert_eq!(world.gets("erin", &rows("a", HOUR, 5), 5).await, 5);
    assert_eq!(world.log.load(Side::Meters).unwrap().len(), 1);
}

#[tokio::test]
async fn an_account_that_was_over_and_is_used_again_outlives_a_restart() {
    let mut world = World::new();
    let limit = rows("a", HOUR, 8);
    assert_eq!(world.gets("dana", &limit, 8).await, 8);
    // Long after, its entry is over when the gate starts; its person is the next to get anything.
    world.now = at(200);
    world.again();
    assert_eq!(world.gets("dana", &limit, 9).await, 8);
    assert_eq!(world.log.load(Side::Meters).unwrap().len(), 1);
    world.again();
    assert_eq!(world.gets("dana", &limit, 1).await, 0);
}

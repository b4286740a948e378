//! Requests that outlive a restart, where that is configured.

use std::fs;

use stepgate_approval::Escalate;

use super::*;
use crate::desk::sealed::Shelf;

const SQL: &str = "select * from customers where ssn = '078-05-1120'";

fn deferrable(world: &World, number: u64, count: u32) -> Ask {
    Ask { mode: Mode::HoldThenDefer, ..world.approval("dana", number, count) }
}

fn files(world: &World) -> Vec<Vec<u8>> {
    let dir = fs::read_dir(world.dir.path().join("requests")).unwrap();
    dir.map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
}

#[tokio::test]
async fn what_was_held_at_a_kill_is_approved_after_it_and_passes_once_when_it_is_sent_again() {
    let world = World::with(true).await;
    let mut ask = deferrable(&world, 1, 2);
    let to = groups(&["analysts"]).into_iter().collect();
    ask.terms.escalate = Some(Escalate { after: Duration::from_secs(60), to });
    let waiting = world.desk.ask(ask, held(SQL)).await.unwrap();
    world.desk.vote(waiting.request, &name("omar"), &world.code("omar"), true, None, HOME).await.unwrap();
    world.desk.comment(waiting.request, &name("dana"), "ticket 4711").await.unwrap();
    world.clock.advance(Duration::from_secs(60));
    world.desk.expire_due().await.unwrap();
    let world = world.killed();
    let info = world.desk.request(waiting.request).unwrap();
    assert_eq!((info.state, info.approvers), ("deferred", vec![name("omar")]));
    assert_eq!(info.groups, groups(&["analysts", "data-owners"]));
    let shown = world.desk.show(waiting.request, &name("amir")).unwrap();
    assert_eq!((shown.sql.text.as_str(), shown.comments[0].text.as_str()), (SQL, "ticket 4711"));
    assert_eq!(world.count(|event| matches!(event, Event::StepupDeferred { .. })), 1);
    let code = world.code("amir");
    let progress = world.desk.vote(waiting.request, &name("amir"), &code, true, None, HOME).await.unwrap();
    assert!(progress.ended.unwrap().pass.is_some());
    assert!(files(&world).is_empty(), "nothing is left of it");
    let wanted = Wanted::from(&deferrable(&world, 2, 2));
    assert!(world.desk.pass_for(&wanted, "analyst", &held(SQL)).is_some());
    assert!(world.killed().desk.request(waiting.request).unwrap().state == "approved");
}

#[tokio::test]
async fn what_is_kept_can_be_read_by_nobody_and_not_at_all_once_its_key_is_gone() {
    let world = World::with(true).await;
    let waiting = world.desk.ask(deferrable(&world, 1, 1), held(SQL)).await.unwrap();
    assert_eq!(files(&world).len(), 2);
    let plain = |file: &Vec<u8>| file.windows(11).any(|bytes| bytes == b"078-05-1120");
    assert!(!files(&world).iter().any(plain));
    // A changed byte, or a lost key, and it is withdrawn as without.
    for damage in ["sealed", "key"] {
        let copy = TempDir::new().unwrap();
        super::copy(world.dir.path(), copy.path());
        let path = copy.path().join("requests").join(format!("{}.{damage}", waiting.request));
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        let (_log, _people, desk) = open(copy.path(), &world.clock, 3, true);
        assert_eq!(desk.request(waiting.request).unwrap().state, "withdrawn", "{damage}");
        assert_eq!(fs::read_dir(copy.path().join("requests")).unwrap().count(), 0, "{damage}");
    }
    world.desk.cancel_request(waiting.request, &name("dana")).await.unwrap();
    assert!(files(&world).is_empty());
}

#[tokio::test]
async fn what_cannot_be_sent_again_or_is_ones_own_ends_with_the_gate_all_the_same() {
    let world = World::with(true).await;
    let held_only = world.ask(world.approval("dana", 1, 1)).await;
    let own = Ask { mode: Mode::HoldThenDefer, ..world.step_up("dana", 2) };
    let own = world.ask(own).await;
    let world = world.killed();
    for request in [held_only.request, own.request] {
        assert_eq!(world.desk.request(request).unwrap().state, "withdrawn");
    }
    assert!(files(&world).is_empty());
}

/// What a file system may keep of files that were removed: a second name for each.
fn undeleted(from: &Path) -> TempDir {
    let dir = TempDir::new().unwrap();
    for file in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::hard_link(file.path(), dir.path().join(file.file_name())).unwrap();
    }
    dir
}

#[tokio::test]
async fn what_was_kept_can_be_read_by_nobody_once_that_is_switched_off_not_even_where_it_is_switched_on_again()
 {
    let world = World::with(true).await;
    let waiting = world.desk.ask(deferrable(&world, 1, 1), held(SQL)).await.unwrap();
    let copy = TempDir::new().unwrap();
    super::copy(world.dir.path(), copy.path());
    let requests = copy.path().join("requests");
    let old = undeleted(&requests);
    let vault = Vault::new(&Zeroizing::new([7; 32]), Arc::new(FakeEntropy::seeded(9)));
    let is_read = || {
        let shelf = Shelf::open(old.path().to_owned(), vault.clone()).unwrap();
        shelf.find(waiting.request).is_some()
    };
    assert!(is_read(), "as long as it is kept");
    {
        let (_log, _people, desk) = open_keeping(copy.path(), &world.clock, 3, (true, false));
        assert_eq!(desk.request(waiting.request).unwrap().state, "withdrawn");
        assert_eq!(fs::read_dir(&requests).unwrap().count(), 0);
        assert!(!is_read(), "its key is written over, whoever has kept the files");
        // From then on nothing is kept.
        desk.defer(deferrable(&world, 2, 1), held(SQL)).await.unwrap();
        assert_eq!(fs::read_dir(&requests).unwrap().count(), 0);
    }
    let again = TempDir::new().unwrap();
    super::copy(copy.path(), again.path());
    let (_log, _people, desk) = open(again.path(), &world.clock, 4, true);
    assert!(desk.requests().iter().all(|request| request.state == "withdrawn"), "{:?}", desk.requests());
}

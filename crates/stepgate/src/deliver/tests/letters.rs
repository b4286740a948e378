//! Checkpoints that leave: each verifies, none is overwritten, and none leaves where nothing is new.

use std::fs;
use std::io::{BufReader, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stepgate_record::{Checkpoint, Event, Record, SignedNote};

use super::posts::{SECRET, request, secret, url};
use super::receiver::Receiver;
use super::world::{World, until};
use crate::config::{Way, WayTo, WebTarget};

fn ways(name: &str, to: WayTo, every: u64) -> Vec<Way> {
    vec![way(name, to, Duration::from_secs(every))]
}

fn way(name: &str, to: WayTo, every: Duration) -> Way {
    Way { name: name.to_owned(), to, every }
}

fn sizes(dir: &Path) -> Vec<u64> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut sizes: Vec<u64> =
        names.filter_map(|name| name.strip_suffix(".checkpoint")?.parse().ok()).collect();
    sizes.sort_unstable();
    sizes
}

/// How many records a checkpoint of this log covers, which its key has signed.
fn verified(world: &World, text: &str) -> u64 {
    let note: SignedNote = text.parse().unwrap();
    Checkpoint::verified(&note, &world.log.verifier_key()).unwrap().size
}

/// Of each record that a checkpoint has left: its number, the way, and how many records that covers.
fn signed(world: &World) -> Vec<(u64, String, u64)> {
    let mut signed = Vec::new();
    let each = &mut |seq, record: &Record| {
        if let Event::CheckpointSigned(it) = &record.event {
            signed.push((seq, it.name.clone(), it.size));
        }
    };
    world.log.replay(0, each).unwrap();
    signed
}

#[test]
fn each_checkpoint_that_leaves_is_recorded_and_two_ways_do_not_keep_each_other_going() {
    const EVERY: Duration = Duration::from_millis(50);
    let world = World::new();
    let dirs = ["one", "two"].map(|name| world.dir.path().join(name));
    dirs.iter().for_each(|dir| fs::create_dir(dir).unwrap());
    let ways = dirs.iter().zip(["one", "two"]);
    let ways = ways.map(|(dir, name)| way(name, WayTo::File(dir.clone()), EVERY)).collect();
    world.grow(5);
    let running = world.deliver(Vec::new(), ways);
    let lag = |number: usize| running.delivery.rows(true)[number]["lag"].clone();
    until("both to have all", || lag(0) == 0 && lag(1) == 0);
    let quiet = world.log.len();
    std::thread::sleep(EVERY * 20);
    assert_eq!((world.log.len(), lag(0), lag(1)), (quiet, 0.into(), 0.into()));
    let (recorded, left) = (signed(&world), dirs.map(|dir| sizes(&dir)));
    for (name, left) in ["one", "two"].iter().zip(&left) {
        let of: Vec<_> = recorded.iter().filter(|(_, way, _)| way == name).map(|(.., size)| *size).collect();
        assert_eq!((of.as_slice(), of.is_empty()), (left.as_slice(), false), "{name}");
    }
    // Each stands behind what it covers.
    assert!(recorded.iter().all(|(seq, _, size)| seq >= size));
}

#[test]
fn a_directory_gets_a_checkpoint_in_each_interval_in_which_the_log_grew() {
    const EVERY: Duration = Duration::from_millis(100);
    let world = World::new();
    let dir = world.dir.path().join("worm");
    let deliver = || world.deliver(Vec::new(), vec![way("file", WayTo::File(dir.clone()), EVERY)]);
    let running = deliver();
    running.fails_with("is it mounted?");
    fs::create_dir(&dir).unwrap();
    let mut expected = Vec::new();
    for _ in 0..3 {
        let end = world.grow(10);
        until("a checkpoint of all", || running.lag() == 0);
        // What left in the middle of that may have been recorded behind it.
        let newest = sizes(&dir).last().copied();
        assert!(newest.is_some_and(|newest| newest + 1 >= end), "{newest:?} of {end}");
        expected.extend(newest);
    }
    // Nothing grows, nothing leaves, over many intervals; and a restart sends none again. Each that leaves is also put
    // at `latest` anew.
    use std::os::unix::fs::MetadataExt as _;
    let latest = || {
        let meta = fs::metadata(dir.join("latest.checkpoint")).unwrap();
        (meta.ino(), meta.ctime(), meta.ctime_nsec())
    };
    let (told, last) = (sizes(&dir), latest());
    assert_eq!(told.last(), expected.last());
    std::thread::sleep(EVERY * 10);
    assert_eq!((sizes(&dir), latest()), (told.clone(), last));
    drop(running);
    let running = deliver();
    std::thread::sleep(EVERY * 10);
    assert_eq!((sizes(&dir), latest()), (told.clone(), last));
    assert_eq!(running.lag(), 0);
    assert!(running.delivery.metrics().contains("stepgate_checkpoint_age_seconds{way=\"file\"} 0\n"));
    for size in &told {
        let text = fs::read_to_string(dir.join(format!("{size:020}.checkpoint"))).unwrap();
        assert_eq!(verified(&world, &text), *size);
    }
    let latest = fs::read_to_string(dir.join("latest.checkpoint")).unwrap();
    assert_eq!(Some(&verified(&world, &latest)), expected.last());
}

#[test]
fn a_checkpoint_that_is_there_already_and_is_another_one_is_kept_and_told_of() {
    let world = World::new();
    let dir = world.dir.path().join("worm");
    fs::create_dir(&dir).unwrap();
    let end = world.grow(3);
    let forged = dir.join(format!("{end:020}.checkpoint"));
    fs::write(&forged, "stepgate/other\n3\nAAAA\n").unwrap();
    let running = world.deliver(Vec::new(), ways("file", WayTo::File(dir), 1));
    running.fails_with("something else");
    assert_eq!(fs::read_to_string(&forged).unwrap(), "stepgate/other\n3\nAAAA\n");
    assert!(running.lag() > 0);
}

#[test]
fn what_has_left_is_remembered_by_where_it_went_and_not_by_the_place_in_the_configuration() {
    let world = World::new();
    let (one, other) = (world.dir.path().join("one"), world.dir.path().join("other"));
    fs::create_dir(&one).unwrap();
    fs::create_dir(&other).unwrap();
    let at = |dir: &Path| WayTo::File(dir.to_owned());
    let running = world.deliver(Vec::new(), ways("file", at(&one), 3600));
    until("the first", || running.lag() == 0);
    drop(running);
    // Another one comes first now, which has nothing yet; that which has all is sent nothing.
    let latest = || fs::metadata(one.join("latest.checkpoint")).unwrap().modified().unwrap();
    let before = latest();
    let hour = Duration::from_secs(3600);
    let ways = vec![way("file", at(&other), hour), way("file-2", at(&one), hour)];
    let running = world.deliver(Vec::new(), ways);
    let lag = |number: usize| running.delivery.rows(true)[number]["lag"].clone();
    assert_eq!(lag(1), 0);
    until("the first of the other", || lag(0) == 0);
    // The record of the first has left with that.
    assert_eq!(sizes(&other)[0], sizes(&one)[0] + 1);
    assert_eq!((latest(), lag(0), lag(1)), (before, 0.into(), 0.into()));
}

#[test]
fn a_link_at_the_newest_is_replaced_and_what_it_leads_to_left_alone() {
    let world = World::new();
    let dir = world.dir.path().join("worm");
    fs::create_dir(&dir).unwrap();
    let victim = world.dir.path().join("victim");
    fs::write(&victim, "mine").unwrap();
    for name in ["latest.unfinished", "latest.checkpoint"] {
        std::os::unix::fs::symlink(&victim, dir.join(name)).unwrap();
    }
    let running = world.deliver(Vec::new(), ways("file", WayTo::File(dir.clone()), 1));
    until("a checkpoint", || running.lag() == 0);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
    let latest = dir.join("latest.checkpoint");
    assert!(fs::symlink_metadata(&latest).unwrap().is_file());
    let size = verified(&world, &fs::read_to_string(&latest).unwrap());
    assert_eq!(signed(&world), [(size, "file".to_owned(), size)]);
}

#[test]
fn an_interval_that_is_not_over_outlasts_a_restart() {
    let world = World::new();
    let dir = world.dir.path().join("worm");
    fs::create_dir(&dir).unwrap();
    let running = world.deliver(Vec::new(), ways("file", WayTo::File(dir.clone()), 3600));
    until("the first", || sizes(&dir).len() == 1);
    drop(running);
    for _ in 0..3 {
        world.grow(1);
        let running = world.deliver(Vec::new(), ways("file", WayTo::File(dir.clone()), 3600));
        std::thread::sleep(Duration::from_millis(300));
        assert!(running.lag() > 0);
    }
    assert_eq!(sizes(&dir).len(), 1);
}

#[test]
fn a_webhook_gets_the_signed_note_as_it_is_and_is_tried_again() {
    let world = World::new();
    let got = Arc::new(Mutex::new(Vec::new()));
    let receiver = {
        let got = Arc::clone(&got);
        Receiver::new(None, move |stream, number| {
            let mut stream = BufReader::new(stream);
            while let Some(request) = request(&mut stream) {
                request.assert_signed();
                let status = if number == 0 { "503 Busy" } else { "200 OK" };
                if number > 0 {
                    assert_eq!(request.header("authorization"), Some("Bearer t0ken"));
                    let size = request.header("stepgate-size").unwrap().to_owned();
                    got.lock().unwrap().push((size, String::from_utf8(request.body).unwrap()));
                }
                let _ = write!(stream.get_mut(), "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                let _ = stream.get_mut().flush();
            }
        })
    };
    let webhook = WebTarget {
        url: url(&receiver, "http"),
        secret_file: secret(world.dir.path(), "secret", SECRET),
        authorization_file: Some(secret(world.dir.path(), "token", "Bearer t0ken")),
        ca: None,
    };
    let end = world.grow(5);
    let running = world.deliver(Vec::new(), ways("webhook", WayTo::Webhook(webhook), 1));
    until("a checkpoint", || running.lag() == 0);
    let (size, text) = got.lock().unwrap()[0].clone();
    assert_eq!((size, verified(&world, &text)), (end.to_string(), end));
    assert_eq!(running.failures(), 1);
}

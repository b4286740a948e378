//! The file sink: each record exactly once, whatever ends the gate, and whatever others do to the file.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use stepgate_record::{Event, Hash, Restored};
use stepgate_store::{Cursor, CursorFile};

use super::world::{World, seq, until};
use crate::config::{FileSink, Format, Names, Rotate, Sink, To};

fn sink(path: &Path, rotate: Option<Rotate>) -> Vec<Sink> {
    let to = To::File(FileSink { path: path.to_owned(), rotate });
    vec![Sink { name: "disk".to_owned(), to, format: Format::Jsonl, names: Names::Open }]
}

/// The lines of the files from the oldest to the newest.
fn lines(path: &Path) -> Vec<Vec<u8>> {
    let aside = |number: u32| PathBuf::from(format!("{}.{number}", path.display()));
    let mut files: Vec<_> = (1..1000).map(aside).take_while(|path| path.exists()).collect();
    files.reverse();
    files.push(path.to_owned());
    let text: Vec<u8> = files.iter().flat_map(|path| fs::read(path).unwrap()).collect();
    assert!(text.is_empty() || text.ends_with(b"\n"));
    let mut lines: Vec<_> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    lines.pop();
    lines
}

fn seqs(path: &Path) -> Vec<u64> {
    lines(path).iter().map(|line| seq(line)).collect()
}

#[test]
fn a_file_has_each_record_once_and_in_order_from_when_the_sink_was_new() {
    let world = World::new();
    let path = world.dir.path().join("audit.jsonl");
    let before = world.grow(5);
    {
        let running = world.deliver(sink(&path, None), Vec::new());
        world.begun("disk");
        world.grow(1200);
        running.done();
    }
    let first = usize::try_from(before).unwrap();
    assert_eq!(lines(&path), world.records()[first..]);
    let end = world.grow(3);
    let running = world.deliver(sink(&path, None), Vec::new());
    running.done();
    assert_eq!(seqs(&path), (before..end).collect::<Vec<_>>());
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o027, 0);
}

#[test]
fn a_line_torn_by_a_kill_is_cut_off_and_written_whole_and_none_twice() {
    let world = World::new();
    let path = world.dir.path().join("audit.jsonl");
    drop(world.deliver(sink(&path, None), Vec::new()));
    let start = world.cursor("disk").unwrap();
    let end = world.grow(8);
    let cursor = world.data().join("sinks/disk.cursor");
    let (old_cursor, _) = (fs::read(&cursor).unwrap(), world.deliver(sink(&path, None), Vec::new()).done());
    let whole = fs::read(&path).unwrap();
    // The cursor is as old as it can be, and the file as long as it may be: killed anywhere in between.
    for length in (0..=whole.len()).step_by(29).chain([whole.len()]) {
        fs::write(&cursor, &old_cursor).unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(u64::try_from(length).unwrap()).unwrap();
        drop(file);
        world.deliver(sink(&path, None), Vec::new()).done();
        assert_eq!(fs::read(&path).unwrap(), whole, "cut to {length}");
    }
    // Zeros, as a power cut leaves them.
    fs::write(&cursor, &old_cursor).unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(300).unwrap();
    file.set_len(5000).unwrap();
    world.deliver(sink(&path, None), Vec::new()).done();
    assert_eq!(fs::read(&path).unwrap(), whole);
    assert_eq!(seqs(&path), (start..end).collect::<Vec<_>>());
}

#[test]
fn rotation_keeps_files_below_their_size_and_a_kill_in_the_middle_of_it_doubles_nothing() {
    let world = World::new();
    let path = world.dir.path().join("audit.jsonl");
    let rotate = Some(Rotate { bytes: 4096, keep: 900 });
    drop(world.deliver(sink(&path, rotate), Vec::new()));
    let start = world.cursor("disk").unwrap();
    let cursor = world.data().join("sinks/disk.cursor");
    let old = fs::read(&cursor).unwrap();
    let end = world.grow(700);
    world.deliver(sink(&path, rotate), Vec::new()).done();
    let all: Vec<u64> = (start..end).collect();
    assert_eq!(seqs(&path), all);
    let aside = |number: u32| PathBuf::from(format!("{}.{number}", path.display()));
    assert!(aside(20).exists());
    for number in (1..).map_while(|number| aside(number).exists().then_some(number)) {
        assert!(fs::metadata(aside(number)).unwrap().len() <= 4096);
    }
    // Killed before the cursor was written, however many files were put aside since.
    fs::write(&cursor, &old).unwrap();
    world.deliver(sink(&path, rotate), Vec::new()).done();
    assert_eq!(seqs(&path), all);
    // Killed between the renames and the new file.
    fs::write(&cursor, &old).unwrap();
    fs::remove_file(&path).unwrap();
    world.deliver(sink(&path, rotate), Vec::new()).done();
    assert_eq!(seqs(&path), all);
}

#[test]
fn only_so_many_files_are_kept() {
    let world = World::new();
    let path = world.dir.path().join("audit.jsonl");
    let rotate = Some(Rotate { bytes: 4096, keep: 2 });
    let running = world.deliver(sink(&path, rotate), Vec::new());
    world.begun("disk");
    let end = world.grow(200);
    running.done();
    assert_eq!(fs::read_dir(world.dir.path()).unwrap().count(), 4, "the data, the file, and two put aside");
    let seqs = seqs(&path);
    assert!(seqs.len() > 10 && *seqs.last().unwrap() == end - 1, "{seqs:?}");
}

#[test]
fn a_file_that_others_put_aside_or_emptied_is_begun_anew_and_no_record_is_missing() {
    let world = World::new();
    let path = world.dir.path().join("audit.jsonl");
    let moved = world.dir.path().join("moved.jsonl");
    let running = world.deliver(sink(&path, None), Vec::new());
    world.begun("disk");
    let start = world.cursor("disk").unwrap();
    world.grow(10);
    running.done();
    fs::rename(&path, &moved).unwrap();
    let middle = world.grow(10);
    running.done();
    let mut all = seqs(&moved);
    all.extend(seqs(&path));
    assert_eq!(all, (start..middle).collect::<Vec<_>>());
    OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    let end = world.grow(10);
    running.done();
    assert_eq!(seqs(&path), (middle..end).collect::<Vec<_>>());
    // Somebody's unfinished line does not swallow a record.
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"seq\":0}").unwrap();
    drop(running);
    let running = world.deliver(sink(&path, None), Vec::new());
    world.grow(1);
    running.done();
    assert_eq!(seqs(&path).last(), Some(&end));
}

#[test]
fn a_full_disk_loses_nothing_and_leaves_no_half_line() {
    // A tmpfs of 64 KiB, where the machine lets us have one.
    let world = World::new();
    let disk = world.dir.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
        .arg(&disk)
        .output();
    if !mount.is_ok_and(|output| output.status.success()) {
        stepgate_testkit::skip("tmpfs", "it cannot be mounted; a full disk of a sink");
        return;
    }
    let path = disk.join("audit.jsonl");
    let unmount = Unmount(&disk);
    let running = world.deliver(sink(&path, None), Vec::new());
    world.begun("disk");
    let start = world.cursor("disk").unwrap();
    let end = world.grow(900);
    running.fails_with("it cannot be written");
    assert!(running.lag() > 0);
    let filled = seqs_of_whole_lines(&path);
    // Room: what is there is put elsewhere.
    fs::copy(&path, world.dir.path().join("kept.jsonl")).unwrap();
    std::process::Command::new("mount").args(["-o", "remount,size=8m"]).arg(&disk).status().unwrap();
    running.done();
    assert_eq!(seqs(&path), (start..end).collect::<Vec<_>>());
    assert!(filled.len() < usize::try_from(end - start).unwrap());
    drop(running);
    drop(unmount);
}

struct Unmount<'a>(&'a Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0).status();
    }
}

fn seqs_of_whole_lines(path: &Path) -> Vec<u64> {
    let text = fs::read(path).unwrap();
    let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    text[..end].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(seq).collect()
}

#[test]
fn a_damaged_cursor_sends_all_again_and_a_reset_from_where_it_is_told() {
    let world = World::new();
    let path = world.dir.path().join("audit.jsonl");
    let running = world.deliver(sink(&path, None), Vec::new());
    world.begun("disk");
    let end = world.grow(20);
    running.done();
    assert!(running.delivery.reset(true, "disk", end + 1).is_err());
    assert!(running.delivery.reset(true, "disc", 0).is_err());
    // Nothing is skipped, whoever wants it.
    running.delivery.sinks[0].state().next = end - 5;
    assert!(running.delivery.reset(true, "disk", end - 4).unwrap_err().message.contains("would be skipped"));
    running.delivery.sinks[0].state().next = end;
    running.delivery.reset(true, "disk", 15).unwrap();
    until("the reset", || seqs(&path).ends_with(&(15..end).collect::<Vec<_>>()) && seqs(&path).len() > 20);
    drop(running);
    for which in ["cursor", "cursor-before"] {
        fs::write(world.data().join("sinks").join(format!("disk.{which}")), b"{\"next\":999}").unwrap();
    }
    let other = world.dir.path().join("other.jsonl");
    world.deliver(sink(&other, None), Vec::new()).done();
    assert_eq!(seqs(&other), (0..end).collect::<Vec<_>>());
}

#[test]
fn a_log_that_was_restored_from_a_backup_is_sent_again_from_where_it_is_another_one() {
    let world = World::new();
    let path = world.dir.path().join("audit.jsonl");
    world.grow(10);
    let restored = world.log.len();
    let event =
        Event::LogRestored(Restored { size: restored, root: Hash::ZERO, newer_size: None, newer_root: None });
    world.log.append_blocking(vec![event], Vec::new()).unwrap();
    let end = world.grow(10);
    let file = CursorFile::new(&world.data(), "disk");
    let cursor = |next: u64, hash: Option<String>| Cursor {
        log_id: world.log.id().to_owned(),
        next,
        last_hash: hash,
        place: None,
    };
    let hash = |seq: u64| world.log.read(seq, seq + 1).next().unwrap().unwrap().hash.to_string();
    let other = || Some(Hash::ZERO.to_string());
    for (case, begins) in [
        // Beyond what there is; within it, and another record there; before it, or all as it was.
        (cursor(end + 100, other()), restored),
        (cursor(end - 2, other()), restored),
        (cursor(5, Some(hash(4))), 5),
        (cursor(end - 2, Some(hash(end - 3))), end - 2),
        // Of another log.
        (Cursor { log_id: "0".repeat(32), ..cursor(5, Some(hash(4))) }, 0),
    ] {
        let _ = fs::remove_file(&path);
        file.write(&case).unwrap();
        let running = world.deliver(sink(&path, None), Vec::new());
        until("the records", || path.exists() && seqs(&path).last() == Some(&(end - 1)));
        assert_eq!(seqs(&path), (begins..end).collect::<Vec<_>>(), "{case:?}");
        drop(running);
    }
}

#[test]
fn what_is_no_file_is_not_written_to_and_two_do_not_write_one() {
    let world = World::new();
    let path = world.dir.path().join("link.jsonl");
    std::os::unix::fs::symlink("/dev/null", &path).unwrap();
    world.deliver(sink(&path, None), Vec::new()).fails_with("it cannot be opened");
    let held = world.dir.path().join("held.jsonl");
    let file = OpenOptions::new().write(true).create_new(true).open(&held).unwrap();
    file.lock().unwrap();
    world.deliver(sink(&held, None), Vec::new()).fails_with("another process writes it");
}

//! More than the gate can take: a disk that is full or slow, a server that crashes or says nothing, connections by the
//! thousand, passwords by the hundred.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod console;
mod hanging;
mod logins;
#[path = "../support/mod.rs"]
mod support;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use stepgate_testkit::{Cluster, Person, until, until_some};
use support::raw::{Answer, config, run, runtime, session};
use support::{SOON, World};
use tokio::io::AsyncWriteExt as _;

/// How much the gate may grow by whatever is done to it, in kB.
const GROWTH: u64 = 60 << 10;

/// The gate's data on a disk of a few megabytes of its own, which only the gate (and whoever enters its mount
/// namespace) sees, and which goes with it.
struct SmallDisk {
    world: World,
    dana: Person,
}

impl SmallDisk {
    fn new() -> Self {
        let mut world = World::not_serving(|text| text);
        world.gate.serve().unwrap();
        let dana = world.dana();
        assert_eq!(world.gate.terminate().unwrap(), 0);
        let data = world.gate.data();
        let data = data.display();
        let script = format!(
            "exec unshare -m sh -c 'cp -a {data} {data}.before && mount -t tmpfs -o size=6m,mode=0700 small {data} \
             && cp -a {data}.before/. {data} && exec \"$@\"' sh \"$@\""
        );
        world.gate.serve_through(&script).unwrap();
        Self { world, dana }
    }

    /// A path of the gate's data as it sees it.
    fn path(&mut self, name: &str) -> PathBuf {
        let pid = self.world.gate.serving().unwrap().pid();
        let data = self.world.gate.data();
        Path::new(&format!("/proc/{pid}/root")).join(data.strip_prefix("/").unwrap()).join(name)
    }

    fn fill(&mut self) {
        let mut file = std::fs::File::create(self.path("filler")).unwrap();
        for size in [64 << 10, 512, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn free(&mut self) {
        std::fs::remove_file(self.path("filler")).unwrap();
    }

    /// Stops the gate where it is, copies the data to where they belong, and kills it.
    fn kill(&mut self) {
        self.world.gate.serving().unwrap().signal("STOP").unwrap();
        let (from, to) = (self.path(""), self.world.gate.data());
        let copied = Command::new("cp").arg("-a").arg(from.join(".")).arg(&to).status().unwrap();
        assert!(copied.success());
        let _ = std::fs::remove_file(to.join("filler"));
        self.world.gate.kill();
    }
}

/// Whether an answer says that the log takes nothing, and what to do about it.
fn is_log_failure(answer: &Answer) -> bool {
    answer.as_ref().is_err_and(|(state, said)| state == "58000" && said.contains("audit log"))
}

#[test]
fn on_a_full_disk_nothing_passes_everybody_is_told_and_nothing_that_was_told_is_lost() {
    let mut disk = SmallDisk::new();
    let runtime = runtime();
    let how = config(&disk.world, &disk.dana);
    let mut client = runtime.block_on(session(&how)).unwrap();
    let mut other = runtime.block_on(session(&how)).unwrap();
    assert!(runtime.block_on(run(&mut client, "select 1")).is_ok());
    let before = disk.world.status("VmRSS");
    disk.fill();
    // What was written ahead is used up first.
    let mut updated = 0;
    let failure = (0..10_000).find_map(|_| {
        let answer =
            runtime.block_on(run(&mut client, "update customers set city = city || '+' where id = 1"));
        updated += usize::from(answer.is_ok());
        answer.err()
    });
    let (state, said) = failure.unwrap();
    assert!(state == "58000" && said.contains("the audit log has no space"), "{state} {said}");
    let plus = |world: &World| {
        let city = world.cluster.psql("shop", "select city from customers where id = 1").unwrap();
        city.chars().filter(|it| *it == '+').count()
    };
    assert_eq!(plus(&disk.world), updated, "what was refused did not run");
    // Sessions that have nothing under way live on, and are told again.
    for _ in 0..3 {
        assert!(is_log_failure(&runtime.block_on(run(&mut client, "select count(*) from customers"))));
        assert!(is_log_failure(&runtime.block_on(run(&mut other, "delete from customers"))));
    }
    let new = runtime.block_on(session(&how)).err().unwrap_or_default();
    assert!(new.1.contains("stepgate: "), "{new:?}");
    assert_eq!(plus(&disk.world), updated);
    assert!(disk.world.status("VmRSS") < before + GROWTH);
    assert!(disk.world.gate.serving().unwrap().exit_status(Duration::ZERO).is_none());
    disk.kill();
    disk.world.gate.serve().unwrap();
    let told = disk.world.records();
    let completed = told.iter().filter(|it| it["type"] == "statement.decided" && it["verdict"] == "forward");
    assert!(completed.count() > updated, "every statement that ran has its record");
    let verified = disk.world.gate.run(["audit", "verify"], "").unwrap().ok().unwrap();
    assert!(verified.lines().last().unwrap().starts_with("ok: "), "{verified}");
    let mut client = runtime.block_on(session(&how)).unwrap();
    assert!(runtime.block_on(run(&mut client, "select 1")).is_ok());
}

#[test]
fn once_a_full_disk_has_room_again_statements_pass_without_a_restart() {
    let mut disk = SmallDisk::new();
    let runtime = runtime();
    let how = config(&disk.world, &disk.dana);
    let mut client = runtime.block_on(session(&how)).unwrap();
    disk.fill();
    let sql = "update customers set city = city where id = 1";
    let full = (0..10_000).any(|_| is_log_failure(&runtime.block_on(run(&mut client, sql))));
    assert!(full);
    disk.free();
    until("statements to pass again", SOON, || {
        runtime.block_on(async {
            match session(&how).await {
                Ok(mut fresh) => run(&mut fresh, "select 1").await.is_ok(),
                Err(_) => false,
            }
        })
    })
    .unwrap();
    assert!(runtime.block_on(run(&mut client, "select 1")).is_ok(), "also in the session that was told");
    disk.kill();
    let verified = disk.world.gate.run(["audit", "verify"], "").unwrap().ok().unwrap();
    assert!(verified.lines().last().unwrap().starts_with("ok: "), "{verified}");
}

/// fdatasync and fsync that take as many milliseconds as a file says.
const SLOW: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static void wait_for_disk(void) {
    FILE *file = fopen(getenv("SLOW_DISK"), "r");
    int ms = 0;
    if (file) { if (fscanf(file, "%d", &ms) != 1) ms = 0; fclose(file); }
    usleep(ms * 1000);
}
int fdatasync(int fd) { wait_for_disk(); return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd); }
int fsync(int fd) { wait_for_disk(); return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd); }
"#;

#[test]
fn on_a_slow_disk_everybody_waits_a_little_and_nobody_is_turned_away() {
    let mut world = World::not_serving(|text| text);
    let [source, library, pace] = ["slow.c", "slow.so", "pace"].map(|name| world.tree.path().join(name));
    std::fs::write(&source, SLOW).unwrap();
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).arg("-ldl").status();
    assert!(built.unwrap().success());
    std::fs::write(&pace, "0").unwrap();
    let script = format!("export SLOW_DISK={} LD_PRELOAD={}; exec \"$@\"", pace.display(), library.display());
    world.gate.serve_through(&script).unwrap();
    let dana = world.dana();
    let how = config(&world, &dana);
    let before = world.status("VmRSS");
    let runtime = runtime();
    let round = |statements: usize| {
        runtime.block_on(async {
            let all = (0..30).map(|number| {
                let how = &how;
                async move {
                    let mut client = session(how).await.unwrap();
                    let mut longest = Duration::ZERO;
                    for _ in 0..statements {
                        let begun = Instant::now();
                        let sql = format!("update products set price = price where id = {number}");
                        run(&mut client, &sql).await.unwrap();
                        longest = longest.max(begun.elapsed());
                    }
                    longest
                }
            });
            let mut longest = Duration::ZERO;
            for one in join(all).await {
                longest = longest.max(one);
            }
            longest
        })
    };
    std::fs::write(&pace, "400").unwrap();
    let slow = round(3);
    assert!(slow >= Duration::from_millis(350), "{slow:?}: the disk was not slow");
    assert!(slow < Duration::from_secs(6), "{slow:?}: thirty people do not wait one after the other");
    assert!(world.status("VmRSS") < before + GROWTH);
    std::fs::write(&pace, "0").unwrap();
    let fast = round(3);
    assert!(fast < slow, "{fast:?}");
}

/// Runs futures at once.
async fn join<T: Send + 'static>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(move |context| {
        for (future, done) in all.iter_mut().filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(value) = future.as_mut().poll(context) {
                *done = Some(value);
            }
        }
        if all.iter().all(|(_, done)| done.is_some()) {
            std::task::Poll::Ready(all.drain(..).filter_map(|(_, done)| done).collect())
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}

#[test]
fn a_server_that_crashes_and_comes_back_is_used_again() {
    // As servers are that can come back: the others of the tests keep too little for that.
    let cluster = ["fsync", "synchronous_commit", "full_page_writes"]
        .into_iter()
        .fold(Cluster::builder(), |cluster, setting| cluster.setting(setting, "on"));
    let mut world = World::before(cluster.cached(true).start().unwrap(), |text| text);
    world.gate.serve().unwrap();
    let dana = world.dana();
    let runtime = runtime();
    let how = config(&world, &dana);
    let mut clients: Vec<_> = (0..5).map(|_| runtime.block_on(session(&how)).unwrap()).collect();
    let pid =
        runtime.block_on(run(&mut clients[0], "select pg_backend_pid()")).unwrap()[0][0].clone().unwrap();
    let killed = Command::new("kill").args(["-9", &pid]).status().unwrap();
    assert!(killed.success());
    for client in &mut clients {
        // It takes the server a moment to notice.
        until("the server to end all its sessions", SOON, || {
            runtime.block_on(run(client, "select 1")).is_err()
        })
        .unwrap();
    }
    let mut last = Ok(());
    let back = until("the server to be back, and used", SOON, || {
        last = runtime.block_on(async {
            let refused = |(state, said): (String, String)| {
                assert!(said.contains("stepgate: "), "{said}");
                Err((state, said))
            };
            match session(&how).await {
                Ok(mut client) => run(&mut client, "select count(*) from customers").await.map(drop),
                Err(error) => refused(error),
            }
        });
        last.is_ok()
    });
    assert!(back.is_ok(), "{last:?}");
}

/// What somebody sends who never becomes a session.
fn beginnings() -> [Vec<u8>; 5] {
    let hello = [&[22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3][..], &[7; 40]].concat();
    [
        Vec::new(),
        vec![0, 0, 0, 80, 0, 3],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        [&[0, 0, 0, 8, 4, 210, 22, 47][..], &hello].concat(),
        vec![255; 3],
    ]
}

#[test]
fn ten_thousand_who_begin_a_connection_and_no_more_cost_little_and_keep_nobody_out() {
    let mut world = World::new();
    let dana = world.dana();
    let runtime = runtime();
    let how = config(&world, &dana);
    let mut client = runtime.block_on(session(&how)).unwrap();
    let (rss, files) = (world.status("VmRSS"), world.files());
    let listen = world.gate.listen();
    let mut slowest = Duration::ZERO;
    let mut crowd = Vec::new();
    for thousand in 0..10_u32 {
        let some = async {
            for number in 0..1_000_u32 {
                let socket = tokio::net::TcpSocket::new_v4().unwrap();
                let network = u8::try_from(1 + (thousand * 1_000 + number) % 50).unwrap();
                socket.bind(([127, 0, network, 1], 0).into()).unwrap();
                let mut stream = socket.connect(listen).await.unwrap();
                let _ = stream.write_all(&beginnings()[usize::try_from(number).unwrap() % 5]).await;
                crowd.push(stream);
            }
        };
        runtime.block_on(some);
        let begun = Instant::now();
        runtime.block_on(run(&mut client, "select count(*) from customers")).unwrap();
        // Where all of a full room have only just spoken, a newcomer is told to come again.
        let connecting = || runtime.block_on(session(&how)).ok();
        let mut new = until_some("a new session", SOON, connecting).unwrap();
        runtime.block_on(run(&mut new, "select 1")).unwrap();
        slowest = slowest.max(begun.elapsed());
        let grown = world.status("VmRSS").saturating_sub(rss);
        assert!(grown < GROWTH, "{grown} kB by {} connections", crowd.len());
    }
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    drop(crowd);
    until("all of them to be gone", SOON, || world.files() < files + 20).unwrap();
    runtime.block_on(run(&mut client, "select 1")).unwrap();
}

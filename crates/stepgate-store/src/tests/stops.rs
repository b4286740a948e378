//! kill -9 at each step of sealing, deleting and backing up: nothing is lost, and the next start goes on.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::sealing::fill;
use crate::fault::STOP_AT;
use crate::testing::{open_sealing, options, wait_for_seals};
use crate::{Log, verify_dir};

const DIR: &str = "STEPGATE_TEST_STOP_DIR";
const SEGMENT: u64 = 32;

/// Fills, seals, deletes, backs up.
fn live(dir: &Path) -> Log {
    let log = open_sealing(&dir.join("data"), SEGMENT).unwrap();
    fill(&log, 150);
    wait_for_seals(&log);
    log.backup(&dir.join("backup"), None).unwrap();
    log.retention(Duration::from_secs(5), false, None).unwrap();
    log.backup(&dir.join("backup"), None).unwrap();
    log
}

/// Not a test of its own: what is killed.
#[test]
#[ignore = "is started, and kills itself, in the test below"]
fn child_stops() {
    let Ok(dir) = std::env::var(DIR) else { return };
    live(dir.as_ref());
}

#[test]
fn a_stop_at_any_step_leaves_a_log_that_goes_on() {
    for point in [
        "seal: recorded",
        "seal: finished",
        "prune: recorded",
        "prune: deleted",
        "prune: half of one deleted",
        "prune: one deleted",
        "backup: sealed copied",
        "backup: finished",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["tests::stops::child_stops", "--exact", "--ignored"])
            .env(DIR, dir.path())
            .env(STOP_AT, point)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.signal(), Some(9), "{point}: it was not reached");
        let data = dir.path().join("data");
        let verified = verify_dir(&data, None).unwrap_or_else(|failure| panic!("{point}: {failure}"));
        assert!(verified.records > SEGMENT, "{point}");
        // Twice: what was begun is finished, and it goes on from there.
        for _ in 0..2 {
            let log = live(dir.path());
            assert!(log.floor() > 0, "{point}");
            log.close().unwrap();
            drop(log);
            verify_dir(&data, None).unwrap_or_else(|failure| panic!("{point}: {failure}"));
        }
        let to = dir.path().join("restored");
        Log::restore(&dir.path().join("backup"), &to, options()).unwrap();
        verify_dir(&to, None).unwrap();
    }
}

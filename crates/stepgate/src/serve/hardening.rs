//! What the process asks of the kernel. Held statements, values and keys live in memory: no dump of it may reach a
//! disk (DESIGN §4.5). And each session is two open files.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use stepgate_proxy::{Limits, MAX_CROWD};

use crate::failure::Failure;

/// Switches core dumps off, and keeps other processes of the same user from reading this one's memory.
pub(crate) fn no_core_dumps() -> Result<(), Failure> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none)
        .and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable))
        .map_err(|error| Failure::usage(format!("core dumps cannot be switched off: {error}")))
}

/// Open files beside those of sessions and logins: the log, the API's 512 connections, catalogs, planners, cancels.
const OTHER_FILES: u64 = 2_048;

/// Raises the number of files that may be open as far as these limits need it and the operator of the machine allows.
pub(super) fn enough_files(limits: &Limits) {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    // Each admission is one, and as many again are being told that there is no room.
    let crowd = count(MAX_CROWD).saturating_mul(2);
    let need = count(limits.sessions).saturating_mul(2).saturating_add(crowd).saturating_add(OTHER_FILES);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= need) {
        return;
    }
    let raised = maximum.map_or(need, |maximum| need.min(maximum));
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }) {
        tracing::warn!(%error, "the number of open files cannot be raised");
    }
    if raised < need {
        tracing::warn!(
            allowed = raised,
            needed = need,
            "too few open files for as many sessions as are configured: raise LimitNOFILE (systemd) or ulimit -n"
        );
    }
}

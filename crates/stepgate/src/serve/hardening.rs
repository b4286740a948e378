//! Held statements, values and keys live in memory: no dump of it may reach a disk (DESIGN §4.5).

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

use crate::failure::Failure;

/// Switches core dumps off, and keeps other processes of the same user from reading this one's memory.
pub(super) fn no_core_dumps() -> Result<(), Failure> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none)
        .and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable))
        .map_err(|error| Failure::usage(format!("core dumps cannot be switched off: {error}")))
}

//! The store: one writer that makes records durable, and everything that lives beside the log.

mod beside;
mod change;
mod check;
mod checkpoints;
mod desk;
mod error;
mod export;
mod factors;
mod files;
mod frame;
mod history;
mod journal;
mod layout;
mod log;
mod migrate;
mod open;
mod pace;
mod people;
mod queue;
mod records;
mod scan;
mod scram;
mod seal;
mod space;
mod tape;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod vault;
mod wait;
mod writer;

pub use change::{Change, Entry, Side};
pub use check::verify_dir;
pub use desk::{
    Block, Deferred, Desk, DeskError, End, EnrolError, GrantInfo, Left, Need, Part, Progress, RequestInfo,
    Shown, ShownParameter, VerifyError, Waiting,
};
pub use error::{LogError, OpenError};
pub use export::{ExportError, ExportRange, ExportSummary};
pub use factors::{Factor, Factors};
pub use log::{Log, LogOptions, MAX_CHANGES, Opened, PendingRelease};
pub use people::{NewPerson, People, Person, PersonError, RECOMMENDED_PASSWORD};
pub use scram::ScramSecret;
pub use vault::{Vault, VaultError};

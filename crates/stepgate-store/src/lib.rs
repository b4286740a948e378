//! The store: one writer that makes records durable, and everything that lives beside the log.

mod desk;
mod error;
mod factors;
mod log;
mod people;
mod scram;
mod vault;

pub use desk::{
    Desk, DeskError, End, EnrolError, GrantInfo, Part, Progress, RequestInfo, Shown, ShownParameter,
    VerifyError, Waiting,
};
pub use error::{LogError, OpenError};
pub use factors::{Factor, Factors};
pub use log::{Change, Log, LogOptions, Opened, PendingRelease, Side};
pub use people::{NewPerson, People, Person, PersonError};
pub use scram::ScramSecret;
pub use vault::{Vault, VaultError};

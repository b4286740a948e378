//! The store: one writer that makes records durable, and everything that lives beside the log.

mod archive;
mod backup;
mod bell;
mod beside;
mod bundle;
mod change;
mod check;
mod check_backup;
mod check_beside;
mod check_single;
mod checkpoints;
mod choice;
mod cosigned;
mod cursor;
mod delegations;
mod desk;
mod entries;
mod error;
mod export;
mod factors;
mod fault;
mod files;
mod frame;
mod gather;
mod given;
mod history;
mod holder;
mod index;
mod journal;
mod keeper;
mod kek;
mod keys;
mod layout;
mod line;
mod log;
mod migrate;
mod open;
mod pace;
mod people;
mod profiles;
mod proofs;
mod queue;
mod ration;
mod read;
mod records;
mod release;
mod restore;
mod retention;
mod scan;
mod scram;
mod seal;
mod slim;
mod space;
mod subjects;
mod tape;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tiles;
mod timepiece;
mod vault;
mod wait;
mod writer;

pub use archive::Segment;
pub use backup::{BackedUp, BackupError};
pub use bell::Bell;
pub use bundle::{BundleRequest, BundleSummary};
pub use change::{Change, Entry, Side};
pub use check::verify_dir;
pub use check_backup::{is_backup, verify_backup};
pub use cosigned::{CosignError, Cosigned};
pub use cursor::{Cursor, CursorFile, Found as FoundCursor, Place, least_cursor, settle_cursors};
pub use delegations::Loan;
pub use desk::{
    AccountNews, Answer, AuthenticatorInfo, Awaited, Block, Caps, Challenged, Comment, Conditions, Deferred,
    Desk, DeskError, End, EndSession, Enrol, EnrolError, GlassError, GlassInfo, GlassWish, GrantInfo,
    History, Left, LoginChallenge, MethodInfo, Need, OverBudget, Part, PolicyInfo, Presented, Progress,
    RequestInfo, Shown, ShownParameter, TwoPerson, VerifyError, Waiting, WaitingChallenge, WaitsFrom,
};
pub use error::{LogError, OpenError};
pub use export::{ExportError, ExportRange, ExportSummary};
pub use factors::{FactorRules, Factors};
pub use given::SealError;
pub use index::{Finder, Search};
pub use keeper::Upkeep;
pub use keys::Rotated;
pub use log::{Log, LogOptions, MAX_CHANGES, Opened};
pub use people::{
    Account, MAX_MINTED, MAX_MINTED_LIFE, MAX_SUPPLIED, Minted, MintedInfo, NewPerson, People, Person,
    PersonError, RECOMMENDED_PASSWORD, Said, Secret, Source, Supplied,
};
pub use profiles::{ProfileOf, Profiles};
pub use ration::Ration;
pub use records::Stored;
pub use release::PendingRelease;
pub use restore::{RestoreError, RestoredLog};
pub use retention::Pruning;
pub use scram::ScramSecret;
pub use subjects::{ShredError, Shredding, Subject, Subjects};
pub use tiles::TilesHead;
pub use vault::{KeyedHash, Vault, VaultError};

//! Cancel requests.

mod forward;
mod guesses;
mod notices;
mod registry;

pub(crate) use forward::send_cancel;
pub use forward::{ServerKey, forward_cancel};
pub use registry::{CancelNotice, CancelRegistry, RegisterError, Registration};

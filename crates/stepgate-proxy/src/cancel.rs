//! Cancel requests.

mod forward;
mod guesses;
mod notices;
mod registry;

pub use forward::forward_cancel;
pub(crate) use forward::send_cancel;
pub use registry::{CancelNotice, CancelRegistry, RegisterError, Registration};

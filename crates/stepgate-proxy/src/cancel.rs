//! Cancel requests.

mod failures;
mod forward;
mod notices;
mod registry;

pub use forward::forward_cancel;
pub use registry::{CancelNotice, CancelRegistry, RegisterError, Registration};

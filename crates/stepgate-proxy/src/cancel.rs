//! Cancel requests.

mod failures;
mod forward;
mod registry;

pub use forward::forward_cancel;
pub use registry::{CancelNotice, CancelRegistry, RegisterError, Registration};

//! Where addresses are.

use std::sync::Arc;

use crate::config::Config;
use crate::failure::Failure;

/// As the user's file says it, if there is one.
pub(super) fn load(_config: &Config) -> Result<Arc<dyn stepgate_policy::Places>, Failure> {
    Ok(Arc::new(()))
}

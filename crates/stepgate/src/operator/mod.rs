//! What the operator does at the gate's own machine: through the socket of the running gate, or, when none
//! runs, on the data directory itself. Both ways end in [`execute::execute`].

mod command;
mod execute;
mod factor;
mod link;
mod socket;

pub(crate) use command::{Operator, Reply};
pub(crate) use execute::{Operations, log_error, off};
pub(crate) use link::{Link, is_served};
pub(crate) use socket::{AdminSocket, serve};

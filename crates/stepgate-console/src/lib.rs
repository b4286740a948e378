//! The gate's HTTPS API for people: log in, see requests, verify, approve, deny, cancel; and one static
//! page for those who follow the link of a notice.
//!
//! Decisions are POST with a bearer token and a fresh code; no GET changes anything (mail scanners follow
//! links), no URL carries authority, there are no cookies, so that no other site can act for anybody.
//! What a person may not see looks the same as what does not exist.

mod api;
mod grants;
mod login;
pub mod oidc;
mod page;
mod problem;
mod requests;
mod server;
mod throttle;
mod tokens;

pub use api::{Api, Observed, Parts};
pub use server::{Encryption, serve, serve_watchers};

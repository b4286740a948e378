//! The gate's HTTPS API for people and programs, and pages for people's browsers: log in, see requests, verify, approve,
//! deny, cancel.
//!
//! Decisions are POST with a fresh proof. No GET decides anything (mail scanners follow links), no URL carries
//! authority, and what a browser sends by itself is not enough: a login by cookie counts for what our own pages send,
//! with a proof that only they know. What a person may not see looks the same as what does not exist.

mod api;
mod asks;
mod break_glass;
mod caller;
mod changes;
mod codes;
mod crowd;
mod device_login;
mod devices;
mod document;
mod elsewhere;
mod entrance;
mod events;
mod factors;
mod form;
mod grants;
mod headers;
mod login;
pub mod oidc;
mod origin;
mod pages;
mod passwords;
mod policies;
mod presented;
mod problem;
mod proxies;
mod rates;
mod requests;
mod routes;
mod server;
mod throttle;
mod tokens;
mod turned_away;

pub use api::{Api, Observed, Parts};
pub use asks::{Foresee, Foreseen, Wish};
pub use changes::{KeptPolicies, PolicyTexts};
pub use document::DOCUMENT;
pub use passwords::{Entrance, Minting};
pub use proxies::{Proxies, ProxyHeader};
pub use routes::paths;
pub use server::{Encryption, serve, serve_watchers};

//! The rim against real peers: raw sockets, psql, PostgreSQL.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of the tests are tests, too"
)]

mod admission;
mod certificate;
mod door;
mod login;
mod upstream;

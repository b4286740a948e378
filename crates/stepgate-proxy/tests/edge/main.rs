//! The rim against real peers: raw sockets, psql, PostgreSQL.

mod admission;
mod certificate;
mod door;
mod login;
mod upstream;

//! Deliveries of a real log to real receivers: sockets, TLS, files.

mod files;
mod letters;
mod links;
mod notices;
mod posts;
mod receiver;
mod syslogs;
mod world;

//! Receivers that take next to nothing, and such as never stop talking.

use std::time::Duration;

use rustls::version::TLS13;

use super::super::link::Link;
use super::super::tls;
use super::receiver::{Receiver, server};
use super::world::{Certificates, until};
use crate::config::HostPort;

fn link(certificates: &Certificates, receiver: &Receiver) -> Link {
    let place = HostPort { host: "localhost".to_owned(), port: receiver.address.port() };
    Link::connect(&place, tls::config(Some(&certificates.ca), None).unwrap()).unwrap()
}

#[test]
fn who_takes_a_little_now_and_then_is_not_waited_for_until_all_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let certificates = Certificates::new(dir.path(), "siem");
    let receiver = Receiver::new(Some(server(&certificates, None, &[&TLS13])), |stream, _| {
        // Never still for long, and 256 MiB would take minutes.
        while stream.read(&mut [0; 16 * 1024]).is_ok_and(|read| read > 0) {
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let mut link = link(&certificates, &receiver);
    let trouble = link.send(&vec![b'x'; 256 * 1024 * 1024]).unwrap_err();
    assert!(trouble.why.contains("too little in too long"), "{}", trouble.why);
}

#[test]
fn who_never_stops_talking_is_not_listened_to_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let certificates = Certificates::new(dir.path(), "siem");
    let receiver = Receiver::new(Some(server(&certificates, None, &[&TLS13])), |stream, _| {
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    let mut link = link(&certificates, &receiver);
    let mut said = String::new();
    until("an end of it", || {
        said = link.look().err().map(|trouble| trouble.why).unwrap_or_default();
        !said.is_empty()
    });
    assert!(said.contains("says more than a receiver"), "{said}");
}

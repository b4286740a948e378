//! Floods of failed logins, and logins that are not bound to the channel that they come by.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::frames::frame;
use crate::support::{World, said};

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A login of dana's over TLS, up to where she is asked for a proof.
fn login(world: &World) -> Tls {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(world.gate.ca()).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let mut tcp = TcpStream::connect(world.gate.listen()).unwrap();
    tcp.write_all(&[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f]).unwrap();
    tcp.read_exact(&mut [0]).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), tcp);
    let body = b"\0\x03\0\0user\0dana\0database\0shop\0\0";
    tls.write_all(&u32::try_from(body.len() + 4).unwrap().to_be_bytes()).unwrap();
    tls.write_all(body).unwrap();
    let (tag, offered) = read(&mut tls);
    assert!(tag == b'R' && offered.windows(5).any(|it| it == b"-PLUS"), "{}", offered.escape_ascii());
    tls
}

/// One message of the gate's.
fn read(tls: &mut Tls) -> (u8, Vec<u8>) {
    let mut header = [0; 5];
    tls.read_exact(&mut header).unwrap();
    let length = u32::from_be_bytes(header[1..].try_into().unwrap());
    let mut body = vec![0; usize::try_from(length).unwrap() - 4];
    tls.read_exact(&mut body).unwrap();
    (header[0], body)
}

fn begin(tls: &mut Tls, mechanism: &str, first: &str) -> (u8, Vec<u8>) {
    let length = u32::try_from(first.len()).unwrap().to_be_bytes();
    tls.write_all(&frame(b'p', &[mechanism.as_bytes(), b"\0", &length, first.as_bytes()].concat())).unwrap();
    read(tls)
}

/// SQLSTATE, message and detail of an error.
fn told((tag, body): (u8, Vec<u8>)) -> [String; 3] {
    assert_eq!(tag, b'E', "{}", body.escape_ascii());
    b"CMD".map(|code| {
        let field = body.split(|byte| *byte == 0).find_map(|field| field.strip_prefix(&[code]));
        String::from_utf8(field.unwrap_or_default().to_vec()).unwrap()
    })
}

/// Somebody between who has the client believe that there is no channel binding, or relays a login that is bound to a
/// certificate of their own.
#[test]
fn a_login_that_is_relayed_to_another_channel_is_refused_in_postgresqls_words_and_recorded() {
    let world = World::new();
    let _dana = world.dana();
    let bare = "n=,r=bm9uY2Utb2Ytc29tZWJvZHk";
    let kept_from = told(begin(&mut login(&world), "SCRAM-SHA-256", &format!("y,,{bare}")));
    assert_eq!(
        kept_from,
        [
            "28000",
            "SCRAM channel binding negotiation error",
            "The client supports SCRAM channel binding but thinks the server does not.  \
             However, this server does support channel binding."
        ]
    );
    let mut relayed = login(&world);
    let (tag, first) = begin(&mut relayed, "SCRAM-SHA-256-PLUS", &format!("p=tls-server-end-point,,{bare}"));
    assert_eq!(tag, b'R', "{}", first.escape_ascii());
    let first = String::from_utf8(first[4..].to_vec()).unwrap();
    // `p=tls-server-end-point,,` and 32 bytes of a hash that is another certificate's.
    let bound = [&b"p=tls-server-end-point,,"[..], &[7; 32]].concat();
    let bound = data_encoding::BASE64.encode(&bound);
    let proof = data_encoding::BASE64.encode(&[7; 32]);
    let last = format!("c={bound},{},p={proof}", first.split(',').next().unwrap());
    relayed.write_all(&frame(b'p', last.as_bytes())).unwrap();
    assert_eq!(told(read(&mut relayed)), ["28000", "SCRAM channel binding check failed", ""]);
    let unknown = told(begin(&mut login(&world), "SCRAM-SHA-1", &format!("n,,{bare}")));
    assert_eq!(unknown, ["08P01", "client selected an invalid SASL authentication mechanism", ""]);
    let failed = world.records().into_iter().filter(|it| it["type"] == "session.auth_failed");
    let failed: Vec<_> =
        failed.map(|it| [&it["person"], &it["reason"], &it["method"]].map(Clone::clone)).collect();
    let expected = ["scram-sha-256", "scram-sha-256-plus"].map(|how| ["dana", "channel-binding", how]);
    assert_eq!(failed, expected.map(|one| one.map(serde_json::Value::from)));
}

#[test]
fn a_flood_of_failed_logins_is_counted_in_few_records_and_none_is_lost() {
    let mut world = World::new();
    let dana = world.dana();
    for _ in 0..35 {
        let mut command = world.gate.psql_command(&dana);
        let (is_in, text) = said(command.env("PGPASSWORD", "guess").args(["-X", "-c", "select 1"]));
        assert!(!is_in && text.contains("password authentication failed"), "{text}");
    }
    assert_eq!(world.gate.terminate().unwrap(), 0);
    let failed: Vec<_> =
        world.records().into_iter().filter(|it| it["type"] == "session.auth_failed").collect();
    let stand_for: u64 = failed.iter().map(|it| 1 + it["more"].as_u64().unwrap_or(0)).sum();
    // A minute may have begun anew meanwhile.
    assert!((11..=22).contains(&failed.len()), "{}", failed.len());
    assert_eq!(stand_for, 35);
    assert!(failed.iter().all(|it| it["person"] == "dana" && it["address"] == "127.0.0.1"));
}

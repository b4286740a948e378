//! What is said before authentication, byte by byte.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use stepgate_proxy::{AdmitError, admit};
use stepgate_wire::read::{Authentication, ErrorFields, NegotiateProtocolVersion};
use stepgate_wire::startup::{CancelKey, SSL_REQUEST_PACKET};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use crate::certificate::Certificate;
use crate::door::{Came, Door};

const GSSENC_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30];

fn startup(minor: u8, pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut body = vec![0, 3, 0, minor];
    for (name, value) in pairs {
        body.extend(format!("{name}\0{value}\0").bytes());
    }
    body.push(0);
    let len = u32::try_from(body.len() + 4).unwrap();
    [&len.to_be_bytes()[..], &body].concat()
}

/// The next frame; `None` at the end of the stream.
async fn frame(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let read = async {
        let mut frame = vec![0; 5];
        stream.read_exact(&mut frame).await.ok()?;
        let len = u32::from_be_bytes(frame[1..].try_into().unwrap());
        frame.resize(usize::try_from(len).unwrap() + 1, 0);
        stream.read_exact(&mut frame[5..]).await.ok()?;
        Some(frame)
    };
    tokio::time::timeout(Duration::from_secs(30), read).await.unwrap()
}

async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut rest = Vec::new();
    // A reset ends the stream as well.
    let _ = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut rest)).await.unwrap();
    rest
}

fn asks_for_scram(frame: Option<Vec<u8>>) -> Vec<String> {
    let frame = frame.unwrap();
    match Authentication::read(&frame) {
        Ok(Authentication::Sasl(names)) => {
            names.iter().map(|name| String::from_utf8(name.to_vec()).unwrap()).collect()
        }
        _ => panic!("{}", frame.escape_ascii()),
    }
}

fn connector(certificate: &Certificate, alpn: Option<&str>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(certificate.der.clone())).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.into_iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

async fn refused(door: &mut Door) -> String {
    match door.next().await {
        Came::NotAdmitted(why) => why,
        other => panic!("{other:?}"),
    }
}

/// CVE-2021-23214: whoever sits on the wire appends their own startup packet to the client's SSLRequest and
/// hopes that it is taken for the first thing said inside TLS.
#[tokio::test]
async fn plaintext_injected_behind_an_ssl_request_is_never_read_as_if_it_came_through_tls() {
    let certificate = Certificate::new();
    let mut door = Door::open(Some(certificate.tls()), None).await;
    let mut tcp = TcpStream::connect(door.address).await.unwrap();
    let injected = startup(0, &[("user", "dana")]);
    tcp.write_all(&[&SSL_REQUEST_PACKET[..], &injected].concat()).await.unwrap();
    assert_eq!(rest(&mut tcp).await, b"");
    assert_eq!(refused(&mut door).await, "received unencrypted data after SSL request");
}

#[tokio::test]
async fn plaintext_injected_just_after_the_answer_breaks_the_handshake() {
    let certificate = Certificate::new();
    let mut door = Door::open(Some(certificate.tls()), None).await;
    let mut tcp = TcpStream::connect(door.address).await.unwrap();
    tcp.write_all(&SSL_REQUEST_PACKET).await.unwrap();
    assert_eq!(tcp.read_u8().await.unwrap(), b'S');
    tcp.write_all(&startup(0, &[("user", "dana")])).await.unwrap();
    // A TLS alert at most (record type 21), and never an Authentication message.
    assert!(matches!(rest(&mut tcp).await.first(), None | Some(21)));
    assert!(refused(&mut door).await.starts_with("connection failed"));
}

#[tokio::test]
async fn a_startup_packet_and_what_follows_it_are_not_read_beyond_its_end() {
    let door = Door::open(None, None).await;
    let mut tcp = TcpStream::connect(door.address).await.unwrap();
    // The SASL response comes in the same segment; it must reach authentication untouched.
    let early = b"p\0\0\0\x05x";
    tcp.write_all(&[&startup(0, &[("user", "dana")])[..], early].concat()).await.unwrap();
    assert_eq!(asks_for_scram(frame(&mut tcp).await), ["SCRAM-SHA-256"]);
    let frame = frame(&mut tcp).await.unwrap();
    assert_eq!(ErrorFields::read(&frame).unwrap().sqlstate(), Some("08P01"));
}

#[tokio::test]
async fn plus_is_offered_inside_tls_only() {
    let certificate = Certificate::new();
    let door = Door::open(Some(certificate.tls()), None).await;
    let mut plain = TcpStream::connect(door.address).await.unwrap();
    plain.write_all(&startup(0, &[("user", "dana")])).await.unwrap();
    assert_eq!(asks_for_scram(frame(&mut plain).await), ["SCRAM-SHA-256"]);

    let mut tcp = TcpStream::connect(door.address).await.unwrap();
    tcp.write_all(&SSL_REQUEST_PACKET).await.unwrap();
    assert_eq!(tcp.read_u8().await.unwrap(), b'S');
    let mut tls = connector(&certificate, None).connect(localhost(), tcp).await.unwrap();
    tls.write_all(&startup(0, &[("user", "dana")])).await.unwrap();
    assert_eq!(asks_for_scram(frame(&mut tls).await), ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]);
}

#[tokio::test]
async fn direct_tls_works_with_alpn_and_is_refused_without() {
    let certificate = Certificate::new();
    let mut door = Door::open(Some(certificate.tls()), None).await;
    let tcp = TcpStream::connect(door.address).await.unwrap();
    let mut tls = connector(&certificate, Some("postgresql")).connect(localhost(), tcp).await.unwrap();
    tls.write_all(&startup(2, &[("user", "dana")])).await.unwrap();
    assert_eq!(asks_for_scram(frame(&mut tls).await).len(), 2);
    drop(tls);
    assert!(matches!(door.next().await, Came::NotAuthenticated(_)));

    let tcp = TcpStream::connect(door.address).await.unwrap();
    let mut tls = connector(&certificate, None).connect(localhost(), tcp).await.unwrap();
    assert_eq!(rest(&mut tls).await, b"");
    assert_eq!(refused(&mut door).await, "direct TLS without ALPN");

    let tcp = TcpStream::connect(door.address).await.unwrap();
    assert!(connector(&certificate, Some("http/1.1")).connect(localhost(), tcp).await.is_err());
}

#[tokio::test]
async fn without_a_certificate_tls_is_declined_and_the_client_may_go_on() {
    let door = Door::open(None, None).await;
    let mut tcp = TcpStream::connect(door.address).await.unwrap();
    for request in [GSSENC_REQUEST, SSL_REQUEST_PACKET] {
        tcp.write_all(&request).await.unwrap();
        assert_eq!(tcp.read_u8().await.unwrap(), b'N');
    }
    tcp.write_all(&startup(0, &[("user", "dana")])).await.unwrap();
    assert_eq!(asks_for_scram(frame(&mut tcp).await), ["SCRAM-SHA-256"]);
}

#[tokio::test]
async fn asking_for_encryption_again_and_again_ends_the_connection() {
    let certificate = Certificate::new();
    let mut door = Door::open(None, None).await;
    for request in [GSSENC_REQUEST, SSL_REQUEST_PACKET] {
        let mut tcp = TcpStream::connect(door.address).await.unwrap();
        tcp.write_all(&request).await.unwrap();
        assert_eq!(tcp.read_u8().await.unwrap(), b'N');
        tcp.write_all(&request).await.unwrap();
        assert_eq!(rest(&mut tcp).await, b"");
        assert_eq!(refused(&mut door).await, "encryption asked for again");
    }

    let mut door = Door::open(Some(certificate.tls()), None).await;
    let mut tcp = TcpStream::connect(door.address).await.unwrap();
    tcp.write_all(&SSL_REQUEST_PACKET).await.unwrap();
    assert_eq!(tcp.read_u8().await.unwrap(), b'S');
    let mut tls = connector(&certificate, None).connect(localhost(), tcp).await.unwrap();
    tls.write_all(&SSL_REQUEST_PACKET).await.unwrap();
    assert_eq!(rest(&mut tls).await, b"");
    assert_eq!(refused(&mut door).await, "encryption asked for again");
}

#[tokio::test]
async fn cancel_requests_are_recognised_in_the_clear_and_inside_tls() {
    let certificate = Certificate::new();
    let afar = "192.0.2.7:5555".parse().unwrap();
    let mut door = Door::open(Some(certificate.tls()), Some(afar)).await;
    let key = CancelKey { pid: 42, secret: vec![7; 32].into() };

    let mut tcp = TcpStream::connect(door.address).await.unwrap();
    tcp.write_all(&key.request()).await.unwrap();
    assert_eq!(rest(&mut tcp).await, b"");
    assert!(matches!(door.next().await, Came::Cancel(seen) if seen == key));

    let mut tcp = TcpStream::connect(door.address).await.unwrap();
    tcp.write_all(&SSL_REQUEST_PACKET).await.unwrap();
    assert_eq!(tcp.read_u8().await.unwrap(), b'S');
    let mut tls = connector(&certificate, None).connect(localhost(), tcp).await.unwrap();
    tls.write_all(&key.request()).await.unwrap();
    // The end comes with close_notify: without it, this would be an error.
    assert_eq!(tls.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(matches!(door.next().await, Came::Cancel(seen) if seen == key));
}

#[tokio::test]
async fn newer_protocols_are_negotiated_before_authentication() {
    let door = Door::open(None, None).await;
    let mut tcp = TcpStream::connect(door.address).await.unwrap();
    tcp.write_all(&startup(99, &[("user", "dana"), ("_pq_.magic", "on")])).await.unwrap();
    let negotiate = frame(&mut tcp).await.unwrap();
    assert_eq!(NegotiateProtocolVersion::read(&negotiate).unwrap().version, 0x0003_0002);
    assert_eq!(asks_for_scram(frame(&mut tcp).await), ["SCRAM-SHA-256"]);
}

#[tokio::test]
async fn strangers_and_broken_packets_are_turned_away() {
    let mut door = Door::open(None, None).await;
    let say = async |bytes: &[u8]| {
        let mut tcp = TcpStream::connect(door.address).await.unwrap();
        tcp.write_all(bytes).await.unwrap();
        tcp.shutdown().await.unwrap();
        rest(&mut tcp).await
    };
    let state = |answer: &[u8]| {
        ErrorFields::read(answer)
            .ok()
            .and_then(|fields| fields.sqlstate().map(str::to_owned))
            .unwrap_or_default()
    };
    // No certificate, no TLS: a ClientHello is as foreign as HTTP.
    for silent in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x02\x00", b"", b"\0\0", b"\0\0\0\x08\0\x03"]
    {
        assert_eq!(say(silent).await, b"", "{}", silent.escape_ascii());
    }
    assert_eq!(state(&say(b"\0\0\0\x08\0\x02\0\0").await), "0A000");
    assert_eq!(state(&say(b"\0\0\0\x0c\0\x03\0\0user").await), "08P01");
    assert_eq!(state(&say(&startup(0, &[("user", "dana"), ("user", "root")])).await), "08P01");
    assert_eq!(state(&say(&startup(0, &[("database", "shop")])).await), "28000");
    for _ in 0..9 {
        refused(&mut door).await;
    }
}

/// A name of bytes that are no text would otherwise be looked for, and end up in logs.
#[tokio::test]
async fn startup_packets_that_are_no_text_are_refused_and_none_of_their_bytes_repeated() {
    let mut door = Door::open(None, None).await;
    for (body, said) in [
        (&b"\0\x03\0\0user\0d\xffna\0\0"[..], "stepgate: the user name is not valid UTF-8"),
        (b"\0\x03\0\0user\0dana\0database\0\xfeshop\0\0", "stepgate: the database name is not valid UTF-8"),
    ] {
        let len = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        let mut tcp = TcpStream::connect(door.address).await.unwrap();
        tcp.write_all(&[&len[..], body].concat()).await.unwrap();
        let answer = frame(&mut tcp).await.unwrap();
        let fields = ErrorFields::read(&answer).unwrap();
        assert_eq!(fields.sqlstate(), Some("22021"));
        assert!(answer.windows(said.len()).any(|it| it == said.as_bytes()), "{}", answer.escape_ascii());
        assert!(!answer.contains(&0xff) && !answer.contains(&0xfe), "{}", answer.escape_ascii());
        assert_eq!(refused(&mut door).await, "refused: 22021");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_dawdles_is_dropped() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut slow = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (tcp, peer) = listener.accept().await.unwrap();
    slow.write_all(b"\0\0\0").await.unwrap();
    assert!(matches!(admit(tcp, peer, None).await, Err(AdmitError::Timeout)));
}

//! Real PostgreSQL behind.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use stepgate_proxy::{
    Credentials, PassPerson, Role, SslMode, Upstream, UpstreamConfig, UpstreamError, connect, forward_cancel,
    simple_query,
};
use stepgate_testkit::Cluster;
use stepgate_types::SqlState;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::certificate::Certificate;

fn config(port: u16, sslmode: SslMode, ca: Option<PathBuf>) -> UpstreamConfig {
    let credentials = Arc::new(Credentials { user: "analyst".into(), password: "s3cret".to_owned().into() });
    UpstreamConfig {
        name: "shop".into(),
        host: "localhost".into(),
        port,
        dbname: "shop".into(),
        sslmode,
        ca,
        catalog: credentials.clone(),
        roles: vec![Role::of_everybody(credentials)],
        allow_untested: false,
        ask_planner: true,
        pass_person: PassPerson::Never,
    }
}

fn shop(builder: stepgate_testkit::ClusterBuilder) -> Cluster {
    let cluster = builder.cached(true).start().unwrap();
    cluster.create_database("shop").unwrap();
    cluster.create_role("analyst", "s3cret").unwrap();
    cluster
}

async fn open(config: &UpstreamConfig) -> Result<Upstream, UpstreamError> {
    connect(config, &config.catalog, &[]).await
}

async fn one(upstream: &mut Upstream, sql: &str) -> String {
    simple_query(upstream, sql).await.unwrap().remove(0).remove(0).unwrap()
}

#[tokio::test]
async fn scram_in_the_clear_settings_queries_and_errors() {
    let cluster = shop(Cluster::builder());
    let config = config(cluster.port(), SslMode::Disable, None);
    let settings = [("application_name".to_owned(), "dana@gate".to_owned())];
    let mut upstream = connect(&config, &config.catalog, &settings).await.unwrap();
    assert_eq!(upstream.status, b'I');
    assert_eq!(upstream.param("application_name"), Some("dana@gate"));
    assert_eq!(upstream.param("client_encoding"), Some("UTF8"));
    assert_eq!(one(&mut upstream, "select pg_backend_pid()").await, upstream.pid.to_string());

    let rows = simple_query(&mut upstream, "values ('a', null), ('', 'é')").await.unwrap();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(rows, [vec![text("a"), None], vec![text(""), text("é")]]);

    let failed = simple_query(&mut upstream, "begin; select 1/0").await;
    assert!(matches!(failed, Err(UpstreamError::Server { state, .. }) if state == "22012"));
    assert_eq!(upstream.status, b'E');
    simple_query(&mut upstream, "rollback; set application_name to 'other'").await.unwrap();
    assert_eq!((upstream.status, upstream.param("application_name")), (b'I', Some("other")));
    assert!(!format!("{upstream:?} {config:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_wrong_password_and_a_missing_database_tell_the_client_only_the_sqlstate() {
    let cluster = shop(Cluster::builder());
    let good = config(cluster.port(), SslMode::Disable, None);
    let wrong = Credentials { user: "analyst".into(), password: "guess".to_owned().into() };
    let error = connect(&good, &wrong, &[]).await.unwrap_err();
    assert!(matches!(&error, UpstreamError::Server { state, .. } if state == "28P01"), "{error}");
    let problem = error.problem("shop");
    assert_eq!(problem.state, SqlState::CONNECTION_FAILURE);
    assert!(!format!("{problem:?}").contains("analyst"));

    let mut missing = good.clone();
    missing.dbname = "nowhere".into();
    let error = open(&missing).await.unwrap_err();
    assert_eq!(error.problem("shop").state, SqlState::UNDEFINED_DATABASE);
    assert!(!format!("{:?}", error.problem("shop")).contains("nowhere"));

    let tls = config(cluster.port(), SslMode::Require, None);
    assert!(matches!(open(&tls).await, Err(UpstreamError::Tls(why)) if why.contains("switched off")));
}

#[tokio::test]
async fn tls_verifies_name_and_issuer_and_binds_the_login() {
    let (certificate, other) = (Certificate::for_names(&["localhost"]), Certificate::new());
    let cluster = shop(Cluster::builder().tls(&certificate.cert, &certificate.key));
    for (sslmode, ca) in [(SslMode::VerifyFull, Some(certificate.cert.clone())), (SslMode::Require, None)] {
        let mut upstream = open(&config(cluster.port(), sslmode, ca)).await.unwrap();
        let ssl = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
        assert_eq!(one(&mut upstream, ssl).await, "t");
    }
    let untrusted = config(cluster.port(), SslMode::VerifyFull, Some(other.cert.clone()));
    assert!(matches!(open(&untrusted).await, Err(UpstreamError::Tls(_))));
    let mut misnamed = config(cluster.port(), SslMode::VerifyFull, Some(certificate.cert.clone()));
    misnamed.host = "127.0.0.1".into();
    assert!(matches!(open(&misnamed).await, Err(UpstreamError::Tls(_))));
}

#[tokio::test]
async fn a_cancel_reaches_the_statement_where_it_runs_over_plain_and_encrypted_connections() {
    let certificate = Certificate::new();
    let cluster = shop(Cluster::builder().tls(&certificate.cert, &certificate.key));
    for sslmode in [SslMode::Disable, SslMode::VerifyFull] {
        let config = config(cluster.port(), sslmode, Some(certificate.cert.clone()));
        let mut sleeper = open(&config).await.unwrap();
        let (key, pid) = (sleeper.key(), sleeper.pid);
        let asleep = tokio::spawn(async move { simple_query(&mut sleeper, "select pg_sleep(60)").await });
        let mut watcher = open(&config).await.unwrap();
        let active =
            format!("select count(*) from pg_stat_activity where pid = {pid} and wait_event = 'PgSleep'");
        while one(&mut watcher, &active).await == "0" {}
        // A host may have several addresses: to the one that the session is connected to, whichever is the first.
        let elsewhere = UpstreamConfig { port: nobody_listens(), ..config };
        forward_cancel(&elsewhere, &key).await.unwrap();
        let cancelled = asleep.await.unwrap();
        assert!(matches!(cancelled, Err(UpstreamError::Server { state, .. }) if state == "57014"));
    }
}

/// A port at which nobody listens.
fn nobody_listens() -> u16 {
    stepgate_testkit::free_port().unwrap()
}

#[tokio::test]
async fn nobody_listening_and_no_such_host_are_told_apart() {
    let port = nobody_listens();
    let error = open(&config(port, SslMode::Disable, None)).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Refused { .. }), "{error}");
    let mut nowhere = config(port, SslMode::Disable, None);
    nowhere.host = "no-such-host.invalid".into();
    assert!(matches!(open(&nowhere).await, Err(UpstreamError::Dns { .. })));
}

/// A server that says these bytes, whatever it is told, and then listens on.
async fn impostor(sayings: &'static [&'static [u8]]) -> (u16, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        for saying in sayings {
            tcp.read_buf(&mut heard).await.unwrap();
            tcp.write_all(saying).await.unwrap();
        }
        // Whatever else it has to say, until it goes.
        let _ = tokio::time::timeout(Duration::from_secs(30), tcp.read_to_end(&mut heard)).await;
        heard
    });
    (port, heard)
}

#[tokio::test]
async fn an_impostor_gets_no_password_and_no_md5_of_it() {
    const CLEARTEXT: &[u8] = b"R\0\0\0\x08\0\0\0\x03";
    const MD5: &[u8] = b"R\0\0\0\x0c\0\0\0\x05salt";
    for asked in [&[CLEARTEXT] as &[&[u8]], &[MD5]] {
        let (port, heard) = impostor(asked).await;
        assert!(matches!(open(&config(port, SslMode::Disable, None)).await, Err(UpstreamError::Auth(_))));
        let heard = heard.await.unwrap();
        assert!(!heard.windows(6).any(|window| window == b"s3cret"));
        assert!(!heard.contains(&b'p') || !heard.windows(3).any(|window| window == b"md5"));
    }
}

/// A server that wants the password in the clear, inside TLS; what it is told after that.
async fn wants_cleartext(certificate: &Certificate) -> (u16, tokio::task::JoinHandle<Vec<u8>>) {
    let chain = vec![CertificateDer::from_pem_file(&certificate.cert).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&certificate.key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let told = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.read_exact(&mut [0; 8]).await.unwrap();
        tcp.write_all(b"S").await.unwrap();
        let mut tls = acceptor.accept(tcp).await.unwrap();
        let len = tls.read_u32().await.unwrap();
        tls.read_exact(&mut vec![0; usize::try_from(len).unwrap() - 4]).await.unwrap();
        tls.write_all(b"R\0\0\0\x08\0\0\0\x03").await.unwrap();
        let mut told = Vec::new();
        // Goes away with or without close_notify.
        let _ = tls.read_buf(&mut told).await;
        told
    });
    (port, told)
}

#[tokio::test]
async fn the_password_itself_is_given_only_to_a_server_that_has_shown_whose_it_is() {
    let certificate = Certificate::for_names(&["localhost"]);
    let (port, told) = wants_cleartext(&certificate).await;
    let verified = config(port, SslMode::VerifyFull, Some(certificate.cert.clone()));
    assert!(open(&verified).await.is_err());
    assert_eq!(told.await.unwrap(), b"p\0\0\0\x0bs3cret\0");

    let (port, told) = wants_cleartext(&certificate).await;
    let unverified = config(port, SslMode::Require, None);
    assert!(matches!(open(&unverified).await, Err(UpstreamError::Auth(_))));
    assert_eq!(told.await.unwrap(), b"");
}

/// CVE-2021-23222, the client's side: bytes behind the server's `S` must not be taken for the first thing said
/// inside TLS. And an error in the place of the answer is nobody's in particular (CVE-2024-10977).
#[tokio::test]
async fn what_is_said_before_tls_is_not_believed() {
    const TRUST: &[u8] = b"SR\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
    const ERROR: &[u8] = b"E\0\0\0\x14SFATAL\0Mgo away\0\0";
    for sayings in [&[TRUST] as &[&[u8]], &[ERROR], &[b"N"]] {
        let (port, _heard) = impostor(sayings).await;
        let error = open(&config(port, SslMode::Require, None)).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Tls(_)), "{error}");
        assert!(!error.to_string().contains("go away"));
    }
}

#[tokio::test]
async fn a_server_that_skips_its_proof_or_is_too_new_is_refused() {
    const SASL: &[u8] = b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0";
    const OK: &[u8] = b"R\0\0\0\x08\0\0\0\0";
    let (port, _heard) = impostor(&[SASL, OK]).await;
    assert!(matches!(open(&config(port, SslMode::Disable, None)).await, Err(UpstreamError::Protocol(_))));

    const NEW: &[u8] = b"R\0\0\0\x08\0\0\0\0S\0\0\0\x18server_version\x0099.1\0\
        K\0\0\0\x0c\0\0\0\x01abcdZ\0\0\0\x05I";
    let (port, _heard) = impostor(&[NEW]).await;
    let error = open(&config(port, SslMode::Disable, None)).await.unwrap_err();
    assert!(matches!(&error, UpstreamError::Version(version) if version == "99.1"), "{error}");
    let (port, _heard) = impostor(&[NEW]).await;
    let mut lenient = config(port, SslMode::Disable, None);
    lenient.allow_untested = true;
    assert_eq!(open(&lenient).await.unwrap().secret, b"abcd");
}

#[tokio::test]
async fn the_catalog_is_read_and_its_fingerprint_moves_with_ddl() {
    let cluster = shop(Cluster::builder());
    cluster.psql("shop", "create table public.customers (id int primary key, ssn text)").unwrap();
    let config = config(cluster.port(), SslMode::Disable, None);
    let catalog = stepgate_proxy::load(&config).await.unwrap();
    let mut upstream = stepgate_proxy::connect_for_catalog(&config).await.unwrap();
    let again = stepgate_proxy::load_from(&mut upstream, None, None).await.unwrap();
    assert_eq!(upstream.status, b'I');
    drop((catalog, again));
    let before = stepgate_proxy::fingerprint(&mut upstream).await.unwrap();
    assert_eq!(stepgate_proxy::fingerprint(&mut upstream).await.unwrap(), before);
    cluster.psql("shop", "alter table public.customers add column email text").unwrap();
    assert_ne!(stepgate_proxy::fingerprint(&mut upstream).await.unwrap(), before);
}

/// To read some thousands of functions is most of what reading the catalog costs.
#[tokio::test]
async fn functions_are_read_again_only_when_one_of_them_has_changed() {
    let cluster = shop(Cluster::builder());
    let mut upstream =
        stepgate_proxy::connect_for_catalog(&config(cluster.port(), SslMode::Disable, None)).await.unwrap();
    let first = stepgate_proxy::load_from(&mut upstream, None, None).await.unwrap();
    assert!(first.is_servers_alone("lower") && !first.is_servers_alone("made"));
    let query = stepgate_sql::CATALOG_QUERIES.iter().find(|query| query.name == "functions").unwrap();
    let changes = [
        ("create table public.t (id int)", false),
        ("create function public.lower(bytea) returns int language sql return 1", true),
        ("alter function public.lower(bytea) rename to made", true),
        ("alter function pg_catalog.upper(text) volatile", true),
        ("drop function public.made", true),
    ];
    let mut known = Arc::new(first);
    for (change, of_functions) in changes {
        cluster.psql("shop", change).unwrap();
        let answer =
            stepgate_proxy::simple_query(&mut upstream, &query.sql_after(Some(&known))).await.unwrap();
        assert_eq!(answer.len() > 1_000, of_functions, "{change}: {} rows", answer.len());
        let by_known =
            stepgate_proxy::load_from(&mut upstream, None, Some(Arc::clone(&known))).await.unwrap();
        let anew = stepgate_proxy::load_from(&mut upstream, None, None).await.unwrap();
        for name in ["lower", "upper", "made", "length"] {
            assert_eq!(by_known.is_servers_alone(name), anew.is_servers_alone(name), "{change}: {name}");
        }
        assert_eq!(by_known.function_of(870), anew.function_of(870), "{change}");
        known = Arc::new(by_known);
    }
    assert!(known.is_servers_alone("lower") && known.function_of(870) == Some(("pg_catalog", "lower")));
}

/// Relays to a server, and counts what it says.
async fn counted(port: u16) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (here, said) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counts = Arc::clone(&said);
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
            counts.fetch_add(read, Ordering::SeqCst);
            to_client.write_all(&buffer[..read]).await.unwrap();
        }
    });
    (here, said)
}

#[tokio::test]
async fn what_is_known_of_functions_is_much_of_a_catalog_and_not_read_again() {
    let cluster = shop(Cluster::builder());
    let (port, said) = counted(cluster.port()).await;
    let mut upstream =
        stepgate_proxy::connect_for_catalog(&config(port, SslMode::Disable, None)).await.unwrap();
    let mut read = Vec::new();
    let mut known = None;
    for _ in 0..3 {
        let before = said.load(Ordering::SeqCst);
        known = Some(Arc::new(stepgate_proxy::load_from(&mut upstream, None, known).await.unwrap()));
        read.push(said.load(Ordering::SeqCst) - before);
    }
    assert!(read[1] * 10 < read[0] * 6, "bytes read: {read:?}");
    // The same again, give or take the transaction's numbers in it.
    assert!(read[1].abs_diff(read[2]) < 100, "bytes read: {read:?}");
}

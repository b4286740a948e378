//! Who opens connections and says nothing keeps nobody out; whose connection nobody has logged in by is not kept for long.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod world;

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use world::World;

const PATIENCE: Duration = Duration::from_secs(20);

/// Asks on a connection that stays open, until this is answered.
async fn ask(stream: &mut TcpStream, path: &str, token: &str, until: &str) {
    let login = if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: gate\r\n{login}\r\n").as_bytes()).await.unwrap();
    let mut text = String::new();
    while !text.contains(until) {
        let mut chunk = [0; 1024];
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut chunk)).await.unwrap().unwrap();
        assert!(read > 0, "it was closed: {text}");
        text += std::str::from_utf8(chunk.get(..read).unwrap()).unwrap();
    }
}

async fn ends_within(stream: &mut TcpStream, patience: Duration) -> bool {
    let mut chunk = [0; 1024];
    loop {
        match tokio::time::timeout(patience, stream.read(&mut chunk)).await {
            Ok(Ok(0) | Err(_)) => return true,
            Ok(Ok(_)) => {}
            Err(_) => return false,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_by_the_hundred_keep_nobody_out_and_close_none_of_whoever_is_logged_in() {
    let world = World::new().await;
    let token = world.login("dana").await;
    let mut watching = TcpStream::connect(world.address).await.unwrap();
    ask(&mut watching, "/api/v1/events", &token, "retry: 5000").await;
    let mut flood = Vec::new();
    for _ in 0..700 {
        flood.push(TcpStream::connect(world.address).await.unwrap());
    }
    let asked = format!("GET /healthz HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", world.address);
    for from in [[127, 0, 0, 2], [127, 0, 3, 1]] {
        let answer = tokio::time::timeout(PATIENCE, world.raw_from(from, &asked)).await.unwrap();
        assert_eq!(answer.status, 200, "{from:?}");
    }
    // As long as a handshake may take, nobody of one address gives way to others of it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    tokio::time::timeout(PATIENCE, world.login("omar")).await.unwrap();
    assert!(!ends_within(&mut watching, Duration::from_millis(100)).await);
    ask(&mut TcpStream::connect(world.address).await.unwrap(), "/api/v1/me", &token, "\"dana\"").await;
    drop(flood);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_by_which_nobody_has_logged_in_is_closed_soon_and_another_is_kept() {
    let world = World::new().await;
    let token = world.login("dana").await;
    let connected = || async { TcpStream::connect(world.address).await.unwrap() };
    let (mut silent, mut half, mut asking, mut known) =
        (connected().await, connected().await, connected().await, connected().await);
    half.write_all(b"GET /heal").await.unwrap();
    ask(&mut asking, "/healthz", "", "\"ok\"").await;
    ask(&mut known, "/api/v1/me", &token, "\"dana\"").await;
    for (name, stream) in [("silent", &mut silent), ("asking", &mut asking)] {
        assert!(ends_within(stream, Duration::from_secs(12)).await, "{name}");
    }
    assert!(!ends_within(&mut known, Duration::from_secs(3)).await);
    ask(&mut known, "/api/v1/me", &token, "\"dana\"").await;
    assert!(ends_within(&mut half, Duration::from_secs(12)).await);
}

//! Messages that are large: they pass, they are bounded over all sessions, and nobody else is hurt by them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use stepgate_proxy::Upstream;
use stepgate_testkit::until;
use support::raw::{config, run, runtime, session};
use support::{EVERYTHING, NOTHING_LABELLED, SOON, World, connects_as, repository, said};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const MIB: usize = 1 << 20;

/// Of a gate that lets messages of 8 MiB through, and has twice as much memory for all of them.
const LIMITS: &str = "limits: {message: 8MiB, message_memory: 16MiB, per_person: 100}";

/// The most that a gate grows by what is no message, in kB: sixty sessions, their buffers, their TLS.
const BESIDE: u64 = 12 << 10;

#[test]
fn a_parameter_of_twenty_megabytes_passes_and_what_is_too_long_fails_alone() {
    let world = World::new();
    let dana = world.dana();
    let mut client = Command::new("python3");
    client.arg(repository().join("tests/clients/large_messages.py"));
    let psycopg = repository().join(".work/psycopg");
    if psycopg.exists() {
        client.env("PYTHONPATH", psycopg);
    }
    let (passed, text) = said(connects_as(&mut client, &world, &dana));
    assert!(passed && text.lines().any(|line| line == "ok"), "{text}");
    assert!(world.recorded("statement.parse_failed", "54000"), "what was not kept is recorded");
}

/// A figure of the gate's.
fn figure(address: SocketAddr, name: &str) -> u64 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: gate\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
    line.unwrap().trim().parse().unwrap()
}

/// The header of a Query, and the beginning of its text.
fn begun(announced: usize, sent: usize) -> Vec<u8> {
    let mut frame = vec![b'Q'];
    frame.extend(u32::try_from(announced + 4).unwrap().to_be_bytes());
    frame.resize(5 + sent, b' ');
    frame
}

/// SQLSTATE of the error that comes next, if one does before the server is ready again.
async fn answer(session: &mut Upstream) -> Option<String> {
    let mut state = None;
    loop {
        let mut header = [0; 5];
        session.stream.read_exact(&mut header).await.unwrap();
        let length = u32::from_be_bytes(header[1..].try_into().unwrap());
        let mut body = vec![0; usize::try_from(length).unwrap() - 4];
        session.stream.read_exact(&mut body).await.unwrap();
        match header[0] {
            b'E' => {
                let mut fields = body.split(|byte| *byte == 0);
                state =
                    fields.find_map(|it| Some(String::from_utf8_lossy(it.strip_prefix(b"C")?).into_owned()));
            }
            b'Z' => return state,
            _ => {}
        }
    }
}

#[test]
fn sessions_that_announce_huge_messages_and_send_parts_of_them_do_not_fill_memory_nor_hurt_others() {
    let metrics = stepgate_testkit::free_address().unwrap();
    let mut world = World::not_serving(|_| EVERYTHING.to_owned());
    world.gate.policies(NOTHING_LABELLED, EVERYTHING).unwrap();
    world.configure(&format!("{LIMITS}\nmetrics: {{listen: {metrics}}}"));
    world.gate.serve().unwrap();
    let (dana, olga) = (world.dana(), world.olga());
    let runtime = runtime();
    runtime.block_on(async {
        let (how, others) = (config(&world, &dana), config(&world, &olga));
        let mut ordinary = session(&others).await.unwrap();
        let mut sessions = Vec::new();
        for _ in 0..50 {
            sessions.push(session(&how).await.unwrap());
        }
        let before = world.status("VmRSS");
        let all = sessions.into_iter().map(|mut session| {
            tokio::spawn(async move {
                session.stream.write_all(&begun(8 * MIB - 5, 4 * MIB)).await.unwrap();
                session.stream.flush().await.unwrap();
                session
            })
        });
        let all: Vec<_> = all.collect();
        // Fifty times four megabytes come, of which the gate keeps no more than one person may have.
        let (mut sent, mut most) = (Vec::new(), 0);
        for (number, one) in all.into_iter().enumerate() {
            let rows = run(&mut ordinary, "select count(*) from products").await.unwrap();
            assert_eq!(rows[0][0].as_deref(), Some("200"), "{number}");
            most = most.max(world.status("VmRSS"));
            sent.push(one.await.unwrap());
        }
        let grown = most.max(world.status("VmRSS")).saturating_sub(before);
        assert!(grown < (16 << 10) + BESIDE, "{grown} kB for 200 MiB that were sent");
        // Another person's large message passes beside them.
        let mut large = begun(4 * MIB, 4 * MIB);
        large.splice(5..13, *b"select 1");
        large[5 + 4 * MIB - 1] = 0;
        ordinary.stream.write_all(&large).await.unwrap();
        assert_eq!(answer(&mut ordinary).await, None);
        // Whoever was let go hears of it once the message has come to its end, and goes on.
        let (mut refused, mut judged) = (0, 0);
        for mut session in sent {
            let mut rest = vec![b' '; 4 * MIB - 5];
            *rest.last_mut().unwrap() = 0;
            session.stream.write_all(&rest).await.unwrap();
            match answer(&mut session).await.as_deref() {
                Some("53200") => refused += 1,
                None => judged += 1,
                other => panic!("{other:?}"),
            }
            assert!(run(&mut session, "select 1").await.is_ok());
        }
        assert!(refused >= 48 && judged <= 2, "{refused} were refused, {judged} not");
    });
    let figures = |name: &str| figure(metrics, name);
    assert!(figures("stepgate_messages_refused_total") >= 48);
    until("the memory to be free again", SOON, || figures("stepgate_message_memory_bytes") == 0).unwrap();
}

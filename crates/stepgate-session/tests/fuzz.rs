//! Whole sessions under attack from both sides: mutilated frames of the client's and of the server's, startup packets,
//! verdicts in any order. `make fuzz SECONDS=600` runs it for longer.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test"
)]

mod support;

use std::time::{Duration, Instant};

use stepgate_record::Seal as _;
use stepgate_session::{Action, Pass, Session, Setup};
use stepgate_types::SqlState;
use stepgate_wire::startup::{First, Opening, packet_len, parse as parse_startup};
use stepgate_wire::{Cutter, Piece, Problem};
use support::{
    ID, Sealed, bind, catalog, close_statement, complete, description, error, execute, find, frame,
    names_row, parse, query, ready, statement, sync,
};

/// How long one target runs where nothing else is said, in seconds.
const SECONDS: u64 = 2;

/// How long one session may take in a debug build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);

struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % count.max(1) as u64).unwrap()
    }

    fn mutilate(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        match self.below(12) {
            0 if !bytes.is_empty() => {
                let at = self.below(bytes.len());
                bytes[at] ^= 1 << self.below(8);
            }
            1 => bytes.truncate(self.below(bytes.len() + 1)),
            2 => bytes.insert(self.below(bytes.len() + 1), u8::try_from(self.below(256)).unwrap()),
            3 if bytes.len() > 5 => {
                // The frame is whole, its contents are not.
                let at = 5 + self.below(bytes.len() - 5);
                bytes[at] = u8::try_from(self.below(256)).unwrap();
            }
            _ => {}
        }
        bytes
    }
}

fn fuzz(target: impl Fn(&mut Random)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|it| it.parse().ok());
    let budget = Duration::from_secs(number("STEPGATE_FUZZ_SECONDS").unwrap_or(SECONDS));
    let first = number("STEPGATE_FUZZ_SEED").unwrap_or_else(|| u64::from(std::process::id()) << 20 | 0x9e37);
    let (begun, mut seed) = (Instant::now(), first);
    while begun.elapsed() < budget {
        let one = Instant::now();
        let guard = Tells(seed);
        target(&mut Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1));
        std::mem::forget(guard);
        assert!(one.elapsed() < PATIENCE, "STEPGATE_FUZZ_SEED={seed} took {:?}", one.elapsed());
        seed += 1;
    }
    println!("{} rounds from STEPGATE_FUZZ_SEED={first}", seed - first);
    assert!(seed - first > 20);
}

/// Tells the seed of a round that panicked.
struct Tells(u64);

impl Drop for Tells {
    fn drop(&mut self) {
        eprintln!("STEPGATE_FUZZ_SEED={}", self.0);
    }
}

fn of_client(random: &mut Random) -> Vec<u8> {
    let texts = [
        "select a from t",
        "select late('x')",
        "select 'x",
        "begin",
        "commit",
        "copy t from stdin",
        "copy t from stdin; copy t from stdin",
        "prepare s as select a from t",
        "execute s",
        "declare c cursor for select a from t",
        "fetch c",
        "create temp table x as select a from t",
        "set client_encoding = latin1",
        "do $$ begin end $$",
        "",
    ];
    let names = ["", "s", "c", "other", "sg_names_0000000000000001", "sg_denied_0000000000000001_1"];
    let (text, name, other) = (texts[random.below(15)], names[random.below(6)], names[random.below(6)]);
    match random.below(16) {
        0..=2 => query(text),
        3 | 4 => parse(name, text),
        5 | 6 => bind(name, other),
        7 | 8 => execute(name),
        9 => close_statement(name),
        10 => frame(b'D', format!("P{name}\0").as_bytes()),
        11 => frame(b'd', &vec![b'x'; random.below(300)]),
        12 => frame(b"cfHFXp"[random.below(6)], b""),
        13 => frame(u8::try_from(random.below(256)).unwrap(), &vec![0; random.below(30)]),
        _ => sync(),
    }
}

/// What a server might say next, whether that makes sense or not; after what it was sent, mostly it does.
fn of_server(random: &mut Random, asked: u8) -> Vec<Vec<u8>> {
    let status = ready(b"ITE"[random.below(3)]);
    let row = frame(b'D', b"\0\x01\0\0\0\x01x");
    if random.below(4) > 0 {
        return match asked {
            b'Q' => vec![description(&[(16_400, 1)]), row, complete(), status],
            b'P' => vec![frame(b'1', b"")],
            b'B' => vec![frame(b'2', b"")],
            b'C' => vec![frame(b'3', b"")],
            b'D' => vec![description(&[])],
            b'E' => vec![complete()],
            b'S' => vec![status],
            b'N' => vec![names_row(&["s"]), complete()],
            _ => Vec::new(),
        };
    }
    let odd = [
        error("22012", "division by zero"),
        error("26000", "sg_denied_0000000000000001_1"),
        frame(b'G', b"\0\0\0"),
        frame(b'H', b"\0\0\0"),
        frame(b's', b""),
        frame(b'I', b""),
        frame(b'n', b""),
        frame(b't', b"\0\0"),
        frame(b'N', b"SNOTICE\0Mx\0\0"),
        frame(b'A', b"\0\0\0\x01x\0\0"),
        frame(b'S', b"client_encoding\0LATIN1\0"),
        frame(b'S', b"standard_conforming_strings\0off\0"),
        frame(b'E', b"SFATAL\0VFATAL\0C57P01\0Mend\0\0"),
        frame(b'V', b"\xff\xff\xff\xff"),
        row,
        status,
        complete(),
    ];
    vec![odd[random.below(odd.len())].clone()]
}

#[test]
fn no_session_panics_sends_what_was_not_let_through_or_grows_without_bounds() {
    fuzz(|random| {
        let mut session = Session::new(Setup {
            pid: 4_711,
            id: ID,
            catalog: catalog(),
            parameters: vec![("client_encoding".to_owned(), "UTF8".to_owned())],
            settings: Vec::new(),
            secret: [1; 32],
        });
        let (mut client, mut server) = (Cutter::client(), Cutter::server());
        let mut sent = Cutter::client();
        let (mut passed, mut run, mut waits) = (0, 0, None);
        let (mut releases, mut loads, mut shown) = (Vec::new(), Vec::new(), Vec::new());
        let (mut client_ended, mut server_ended, mut ended) = (false, false, false);
        for _ in 0..60 + random.below(200) {
            match random.below(8) {
                0..=2 if !client_ended => {
                    let bytes = of_client(random);
                    let bytes = random.mutilate(bytes);
                    client.push(&bytes);
                }
                3 => {
                    if let Some(number) = waits.take() {
                        match random.below(4) {
                            0 => {
                                waits = Some(number);
                                session.hold(&Problem::notice("held"));
                                session.keep_alive();
                                session.judge_again();
                            }
                            1 => session.refuse(&Problem::error(SqlState::INSUFFICIENT_PRIVILEGE, "no")),
                            how => {
                                passed += 1;
                                let pass = if how == 2 {
                                    Pass::Permit(Sealed.permit(statement(number), 0).unwrap())
                                } else {
                                    releases.push(number);
                                    Pass::Ticket(Sealed.ticket(statement(number), 0).unwrap())
                                };
                                let _ = session.pass(pass);
                            }
                        }
                    }
                }
                4 if !releases.is_empty() => {
                    let number = releases.remove(0);
                    let _ = session.release(Sealed.release(statement(number), 0).unwrap());
                }
                5 => {
                    if let Some(change) = loads.pop() {
                        session.catalog_loaded(change, catalog());
                    }
                    if let Some(number) = shown.pop() {
                        session.may_show(number);
                    }
                }
                6 if !server_ended => {
                    for bytes in of_server(random, 0) {
                        let bytes = random.mutilate(bytes);
                        server.push(&bytes);
                    }
                }
                _ => {}
            }
            while session.wants_client() && !client_ended {
                match client.next() {
                    Ok(Some(piece)) => session.on_client(piece),
                    Ok(None) => break,
                    Err(_) => client_ended = true,
                }
            }
            while session.wants_server() && !server_ended {
                match server.next() {
                    Ok(Some(piece)) => session.on_server(&piece),
                    Ok(None) => break,
                    Err(_) => server_ended = true,
                }
            }
            while let Some(action) = session.action() {
                match action {
                    Action::Decide(pending) => {
                        assert!(!ended, "nothing is decided after the end");
                        waits = Some(pending.number);
                    }
                    Action::Withdraw { number } => {
                        assert_eq!(waits.take(), Some(number), "withdrawn, and did not wait");
                    }
                    Action::LoadCatalog { change } => loads.push(change),
                    Action::ShowsMore { number, .. } => shown.push(number),
                    Action::End(_) | Action::Goodbye => ended = true,
                    _ => {}
                }
            }
            let queue = session.to_server().split();
            assert!(queue.len() < 4 << 20);
            sent.push(&queue);
            while let Some(piece) = sent.next().expect("the server could not read on") {
                // The rest of a CopyData is anything.
                let Piece::Whole { bytes: frame, .. } = &piece else { continue };
                let own = [&b"sg_names_"[..], b"sg_check_", b"sg_denied_"].iter().any(|it| find(frame, it));
                run += usize::from(!own && matches!(frame[0], b'Q' | b'B'));
                assert!(run <= passed, "{} was not let through", frame.escape_ascii());
                let asked = if frame[0] == b'E' && find(frame, b"sg_names_") { b'N' } else { frame[0] };
                for bytes in of_server(random, asked) {
                    server.push(&bytes);
                }
            }
            session.to_client().clear();
        }
    });
}

#[test]
fn no_startup_packet_panics_or_names_nobody() {
    fuzz(|random| {
        for _ in 0..200 {
            let words = [
                "user",
                "dana",
                "database",
                "shop",
                "options",
                "-c",
                "-cx=y",
                "replication",
                "true",
                "_pq_.x",
                "client_encoding",
                "SJIS",
                "application_name",
                "",
                "search_path",
                "=",
                "\\",
                " ",
            ];
            let mut body: Vec<u8> = Vec::new();
            for _ in 0..random.below(10) {
                body.extend(words[random.below(words.len())].as_bytes());
                body.push(0);
            }
            body.push(0);
            let code: u32 =
                [3 << 16, (3 << 16) | 2, 80_877_102, 80_877_103, 80_877_104, 2 << 16][random.below(6)];
            let packet = [&code.to_be_bytes()[..], &body].concat();
            let length = u32::try_from(packet.len() + 4).unwrap().to_be_bytes();
            let packet = random.mutilate([&length[..], &packet].concat());
            if let Some(length) = packet.first_chunk::<4>() {
                let _ = packet_len(*length);
            }
            if let Ok(First::Startup(startup)) = parse_startup(&packet)
                && let Ok(opening) = Opening::judge(startup)
            {
                assert!(!opening.user.is_empty() && !opening.database.is_empty());
            }
        }
    });
}

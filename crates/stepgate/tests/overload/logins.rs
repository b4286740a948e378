//! Passwords tried by the hundred from one address: they cost the gate little, and nobody else waits for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::GROWTH;
use super::support::World;
use super::support::frames::frame;
use super::support::raw::{config, run, runtime, session};

/// How many try at once, and for how long.
const GUESSERS: usize = 300;
const AT_IT: Duration = Duration::from_secs(6);

/// A proof as it looks, of 32 bytes.
const PROOF: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

/// What became of tries: refused for the password, or before it was looked at.
#[derive(Default)]
struct Told {
    wrong: AtomicUsize,
    crowded: AtomicUsize,
    otherwise: AtomicUsize,
}

/// One message of the gate's: its tag and body.
async fn read(stream: &mut TcpStream) -> std::io::Result<(u8, Vec<u8>)> {
    let tag = stream.read_u8().await?;
    let mut body = vec![0; usize::try_from(stream.read_u32().await?.saturating_sub(4)).unwrap()];
    stream.read_exact(&mut body).await?;
    Ok((tag, body))
}

/// A login as that person up to the proof, which is a guess: it costs whoever guesses nothing.
async fn guess(world: std::net::SocketAddr, user: &str) -> std::io::Result<(u8, Vec<u8>)> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 9, 1], 0).into())?;
    let mut stream = socket.connect(world).await?;
    let body = [&[0, 3, 0, 0][..], b"user\0", user.as_bytes(), b"\0database\0shop\0\0"].concat();
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    stream.write_all(&[&length[..], &body].concat()).await?;
    let (tag, asked) = read(&mut stream).await?;
    if tag == b'E' {
        return Ok((tag, asked));
    }
    let first = b"n,,n=,r=bm9uY2Utb2YtYS1ndWVzc2Vy";
    let length = u32::try_from(first.len()).unwrap().to_be_bytes();
    stream.write_all(&frame(b'p', &[b"SCRAM-SHA-256\0", &length[..], first].concat())).await?;
    let (tag, challenge) = read(&mut stream).await?;
    if tag == b'E' {
        return Ok((tag, challenge));
    }
    let challenge = String::from_utf8(challenge[4..].to_vec()).unwrap();
    let nonce = challenge.split(',').next().unwrap();
    stream.write_all(&frame(b'p', format!("c=biws,{nonce},p={PROOF}").as_bytes())).await?;
    read(&mut stream).await
}

/// Seconds of both cores that the gate has had.
fn cpu(world: &mut World) -> f64 {
    let pid = world.gate.serving().unwrap().pid();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u32 = [11, 12].map(|at: usize| fields[at].parse::<u32>().unwrap()).iter().sum();
    f64::from(ticks) / 100.0
}

#[test]
fn hundreds_who_try_passwords_at_once_cost_little_and_everybody_else_gets_in() {
    let mut world = World::new();
    let (dana, olga) = (world.dana(), world.olga());
    let runtime = runtime();
    let how = config(&world, &olga);
    let mut early = runtime.block_on(session(&config(&world, &dana))).unwrap();
    assert!(runtime.block_on(run(&mut early, "select 1")).is_ok());
    let (rss, spent, listen) = (world.status("VmRSS"), cpu(&mut world), world.gate.listen());
    let (told, over) = (Arc::new(Told::default()), Arc::new(AtomicBool::new(false)));
    // They are at it beside this thread, which is somebody else.
    let guessing = {
        let (told, over) = (Arc::clone(&told), Arc::clone(&over));
        std::thread::spawn(move || {
            let runtime = super::support::raw::runtime();
            runtime.block_on(super::join((0..GUESSERS).map(|number| {
                let (told, over) = (Arc::clone(&told), Arc::clone(&over));
                async move {
                    // Whom there is, and whom there is not.
                    let user = if number % 2 == 0 { "dana" } else { "nobody" };
                    while !over.load(Ordering::Relaxed) {
                        let count = match guess(listen, user).await {
                            Ok((b'E', said)) => {
                                let said = String::from_utf8_lossy(&said).into_owned();
                                match () {
                                    () if said.contains("C28P01\0") => &told.wrong,
                                    () if said.contains("C53300\0") => &told.crowded,
                                    () => &told.otherwise,
                                }
                            }
                            // Closed without a word, or reset behind it: there was no room at all.
                            Err(_) => &told.crowded,
                            Ok(_) => &told.otherwise,
                        };
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })));
        })
    };
    let (begun, mut took) = (Instant::now(), Vec::new());
    while begun.elapsed() < AT_IT {
        let login = Instant::now();
        let mut new = runtime.block_on(session(&how)).unwrap();
        assert!(runtime.block_on(run(&mut new, "select count(*) from products")).is_ok());
        assert!(runtime.block_on(run(&mut early, "select count(*) from products")).is_ok());
        took.push(login.elapsed());
        std::thread::sleep(Duration::from_millis(50));
    }
    let grown = world.status("VmRSS").saturating_sub(rss);
    over.store(true, Ordering::Relaxed);
    guessing.join().unwrap();
    let spent = cpu(&mut world) - spent;
    let [wrong, crowded, otherwise] =
        [&told.wrong, &told.crowded, &told.otherwise].map(|count| count.load(Ordering::Relaxed));
    took.sort_unstable();
    let (usual, slowest) = (took[took.len() / 2], took[took.len() - 1]);
    println!(
        "{wrong} wrong, {crowded} crowded out, {spent:.1} s; {} logins, {usual:?} to {slowest:?}",
        took.len()
    );
    assert!(wrong >= GUESSERS, "{wrong}: they were no flood");
    assert_eq!(otherwise, 0);
    // With the guessers themselves on the same cores.
    assert!(usual < Duration::from_secs(2) && slowest < Duration::from_secs(5), "{usual:?} to {slowest:?}");
    assert!(grown < GROWTH, "{grown} kB");
    // A debug build's: a tenth of that otherwise.
    assert!(spent / f64::from(u32::try_from(wrong + crowded).unwrap()) < 0.01, "{spent} s");
    // Whose name they tried is not shut out for it, and what they did is written down, once for many.
    assert!(runtime.block_on(session(&config(&world, &dana))).is_ok());
    let records = world.records();
    let failures = records.iter().filter(|it| it["type"] == "session.auth_failed").count();
    assert!((1..200).contains(&failures), "{failures} records of {wrong} tries");
}

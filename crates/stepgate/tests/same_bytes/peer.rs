//! A connection on which raw frames are sent, and what came back, less what two servers may say differently.

use std::collections::HashMap;
use std::time::Duration;

use stepgate_proxy::Upstream;
use stepgate_testkit::until_some;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Runtime;

use crate::program::{ENDING, Frame, Random};
use crate::support::raw::{how, session};

/// How long nothing may come before a session is stuck.
const PATIENCE: Duration = Duration::from_secs(10);

/// OIDs below are PostgreSQL's own (`FirstNormalObjectId`).
const FIRST_OF_OURS: u32 = 16_384;

/// What is done about a request that somebody is asked about, by the session of which the cancel key is.
pub(crate) type Held<'h> = dyn FnMut(&str, (i32, &[u8])) + 'h;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    Closed,
    Stuck,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) frames: Vec<Frame>,
    pub(crate) end: End,
}

impl Reply {
    pub(crate) fn tags(&self) -> String {
        self.frames.iter().map(|frame| char::from(frame[0])).collect()
    }
}

pub(crate) struct Peer<'a> {
    runtime: &'a Runtime,
    upstream: Upstream,
    /// What was read and is not a whole frame yet.
    unread: Vec<u8>,
    /// OIDs of relations, in the order in which they were seen.
    oids: HashMap<u32, u32>,
}

impl<'a> Peer<'a> {
    pub(crate) fn connect(runtime: &'a Runtime, port: u16, user: &str, password: &str, dbname: &str) -> Self {
        let how = how(port, user, password, dbname);
        let connecting = || runtime.block_on(session(&how)).ok();
        let mut upstream = until_some("a connection", PATIENCE, connecting).unwrap();
        let leftover = std::mem::take(&mut upstream.leftover);
        Self { runtime, upstream, unread: leftover.to_vec(), oids: HashMap::new() }
    }

    /// Sends frames, cut at random if told so, and reads all that comes back up to the program's ending. `held`
    /// is called with each request that somebody is asked about.
    pub(crate) fn play(
        &mut self,
        frames: &[Frame],
        mut cuts: Option<&mut Random>,
        held: &mut Held<'_>,
    ) -> Reply {
        let bytes = frames.concat();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let part = |random: &mut Random| {
                if random.one_in(2) { 1 + random.below(rest.len().min(60)) } else { rest.len() }
            };
            let at = cuts.as_deref_mut().map_or(rest.len(), part);
            let (now, later) = rest.split_at(at);
            rest = later;
            let pause = cuts.as_deref_mut().is_some_and(|random| random.one_in(4));
            let written = self.runtime.block_on(async {
                self.upstream.stream.write_all(now).await?;
                self.upstream.stream.flush().await?;
                if pause {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Ok::<(), std::io::Error>(())
            });
            if written.is_err() {
                break;
            }
        }
        self.read(held)
    }

    /// Whether nothing more comes but the end of the connection.
    pub(crate) fn is_closed(&mut self) -> bool {
        let closes = self.upstream.stream.read_buf(&mut self.unread);
        let closes = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, closes).await });
        matches!(closes, Ok(Ok(0) | Err(_))) && self.unread.is_empty()
    }

    fn read(&mut self, held: &mut Held<'_>) -> Reply {
        let mut reply = Reply { frames: Vec::new(), end: End::Done };
        loop {
            while let Some(frame) = self.next() {
                if let Some(notice) = notice_of_the_gate(&frame) {
                    if let Some((_, id)) = notice.rsplit_once('(') {
                        held(id.split_once(')').unwrap().0, (self.upstream.pid, &self.upstream.secret));
                    }
                    continue;
                }
                if frame[0] == b'S' && frame[5..].starts_with(b"application_name\0") {
                    continue;
                }
                reply.frames.push(self.comparable(frame));
            }
            let tail = reply.frames.iter().rev().take(ENDING.len()).map(|frame| frame[0]);
            if tail.eq(ENDING.iter().rev().copied()) {
                return reply;
            }
            let came = self.runtime.block_on(async {
                tokio::time::timeout(PATIENCE, self.upstream.stream.read_buf(&mut self.unread)).await
            });
            match came {
                Ok(Ok(1..)) => {}
                Ok(_) => {
                    reply.end = End::Closed;
                    return reply;
                }
                Err(_) => {
                    reply.end = End::Stuck;
                    return reply;
                }
            }
        }
    }

    /// The next whole frame.
    fn next(&mut self) -> Option<Frame> {
        let length = u32::from_be_bytes(self.unread.get(1..5)?.try_into().unwrap());
        let total = usize::try_from(length).unwrap() + 1;
        (self.unread.len() >= total).then(|| self.unread.drain(..total).collect())
    }

    /// The frame without process ids, and with OIDs of relations counted.
    fn comparable(&mut self, mut frame: Frame) -> Frame {
        match frame[0] {
            b'A' => frame[5..9].fill(0),
            b'T' => {
                let mut at = 7;
                while at < frame.len() {
                    at += frame[at..].iter().position(|byte| *byte == 0).unwrap() + 1;
                    let oid = u32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
                    if oid >= FIRST_OF_OURS {
                        let next = u32::try_from(self.oids.len()).unwrap();
                        let known = *self.oids.entry(oid).or_insert(next);
                        frame[at..at + 4].copy_from_slice(&known.to_be_bytes());
                    }
                    at += 18;
                }
            }
            _ => {}
        }
        frame
    }
}

fn field(frame: &[u8], code: u8) -> Option<String> {
    frame.get(5..)?.split(|byte| *byte == 0).find_map(|field| {
        let (first, text) = field.split_first()?;
        (*first == code).then(|| String::from_utf8_lossy(text).into_owned())
    })
}

fn notice_of_the_gate(frame: &[u8]) -> Option<String> {
    let message = field(frame, b'M').filter(|_| frame[0] == b'N')?;
    message.starts_with("stepgate: ").then_some(message)
}

/// Whether it is an error by which the gate refuses a statement.
pub(crate) fn refuses(frame: &[u8]) -> bool {
    frame[0] == b'E' && field(frame, b'M').is_some_and(|message| message.starts_with("stepgate: "))
}

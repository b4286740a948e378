//! Messages of the protocol, byte by byte, for what no driver sends.
#![allow(clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use stepgate_proxy::Upstream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::{SOON, World};

/// One message, or its tag and body.
pub(crate) fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[tag][..], &length, body].concat()
}

pub(crate) fn query(sql: &str) -> Vec<u8> {
    frame(b'Q', &[sql.as_bytes(), b"\0"].concat())
}

/// Parse of the unnamed statement.
pub(crate) fn parse(sql: &str) -> Vec<u8> {
    frame(b'P', &[&b"\0"[..], sql.as_bytes(), b"\0\0\0"].concat())
}

/// Describe of the unnamed statement.
pub(crate) fn describe() -> Vec<u8> {
    frame(b'D', b"S\0")
}

/// Bind and Execute of it, all rows as text.
pub(crate) fn execute() -> Vec<u8> {
    [frame(b'B', &[0; 8]), frame(b'E', &[0; 5])].concat()
}

pub(crate) fn sync() -> Vec<u8> {
    frame(b'S', b"")
}

/// All of one statement, up to Sync.
pub(crate) fn extended(sql: &str) -> Vec<u8> {
    [parse(sql), execute(), sync()].concat()
}

/// FunctionCall of the function with that OID, values as text.
pub(crate) fn call(oid: u32, values: &[&str]) -> Vec<u8> {
    let count = u16::try_from(values.len()).unwrap().to_be_bytes();
    let mut body = [&oid.to_be_bytes()[..], &[0; 2], &count].concat();
    for value in values {
        body.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
        body.extend(value.as_bytes());
    }
    body.extend([0; 2]);
    frame(b'F', &body)
}

pub(crate) fn send(runtime: &Runtime, session: &mut Upstream, bytes: &[u8]) {
    runtime.block_on(async {
        session.stream.write_all(bytes).await.unwrap();
        session.stream.flush().await.unwrap();
    });
}

/// What comes of a session: messages, as tag and body.
pub(crate) type Message = (u8, Vec<u8>);

/// The next message, if one comes in time; nothing is lost if not.
pub(crate) fn next(runtime: &Runtime, session: &mut Upstream, patience: Duration) -> Option<Message> {
    let Upstream { stream, leftover, .. } = session;
    let whole = async {
        loop {
            if let Some(length) = leftover.get(1..5) {
                let length = usize::try_from(u32::from_be_bytes(length.try_into().unwrap())).unwrap();
                if leftover.len() > length {
                    let message = leftover.split_to(length + 1);
                    return (message[0], message[5..].to_vec());
                }
            }
            assert!(stream.read_buf(leftover).await.unwrap() > 0, "the gate closed the connection");
        }
    };
    runtime.block_on(async { tokio::time::timeout(patience, whole).await.ok() })
}

/// Messages up to one with that tag, without the keep-alives of a hold.
pub(crate) fn until_tag(runtime: &Runtime, session: &mut Upstream, tag: u8) -> Vec<Message> {
    let mut all = Vec::new();
    loop {
        let message =
            next(runtime, session, SOON).unwrap_or_else(|| panic!("no {} behind {all:?}", char::from(tag)));
        if is_keep_alive(&message) {
            continue;
        }
        let last = message.0 == tag;
        all.push(message);
        if last {
            return all;
        }
    }
}

pub(crate) fn is_keep_alive((tag, body): &Message) -> bool {
    *tag == b'S' && body.starts_with(b"application_name\0")
}

/// The request of the gate's NOTICE that something is held.
pub(crate) fn held(runtime: &Runtime, session: &mut Upstream) -> String {
    let notice = until_tag(runtime, session, b'N').pop().unwrap().1;
    let mut fields = notice.split(|byte| *byte == 0);
    let message = fields.find_map(|field| field.strip_prefix(b"Mstepgate: ")).unwrap();
    let message = String::from_utf8(message.to_vec()).unwrap();
    message.rsplit_once('(').unwrap().1.strip_suffix(')').unwrap().to_owned()
}

/// SQLSTATE and message of an ErrorResponse among them.
pub(crate) fn error(messages: &[Message]) -> Option<(String, String)> {
    let (_, body) = messages.iter().find(|(tag, _)| *tag == b'E')?;
    let field = |code: u8| {
        let field = body.split(|byte| *byte == 0).find_map(|field| field.strip_prefix(&[code]));
        String::from_utf8(field.unwrap_or_default().to_vec()).unwrap()
    };
    Some((field(b'C'), field(b'M')))
}

/// Sends a CancelRequest, and waits until it is dealt with.
pub(crate) fn cancel(runtime: &Runtime, world: &World, pid: i32, secret: &[u8]) {
    let length = u32::try_from(12 + secret.len()).unwrap().to_be_bytes();
    let packet = [&length[..], &80_877_102_u32.to_be_bytes(), &pid.to_be_bytes(), secret].concat();
    runtime.block_on(async {
        let mut stream = TcpStream::connect(world.gate.listen()).await.unwrap();
        stream.write_all(&packet).await.unwrap();
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    });
}

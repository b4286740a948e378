use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use stepgate_sql::Rows;
use stepgate_wire::read::{DataRow, ReadyForQuery};
use stepgate_wire::{Cutter, Piece, Side};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout, timeout_at};

use super::login::{parameter, server_error};
use super::{Upstream, UpstreamError};

/// How long a query of the gate's own may take.
const QUERY_LIMIT: Duration = Duration::from_secs(60);
/// Bytes of notifications that are read at once.
const NOTIFICATIONS: usize = 64 << 10;
/// The most bytes of its reply: the catalog of a database with some million columns.
const MAX_REPLY: usize = 256 << 20;

/// Runs a query of the gate's own, on a connection with nothing under way, and returns its rows as text.
/// After an error other than [`UpstreamError::Server`] the connection is of no use.
///
/// # Errors
/// See [`UpstreamError`].
pub async fn simple_query(
    upstream: &mut Upstream,
    sql: &str,
) -> Result<Vec<Vec<Option<String>>>, UpstreamError> {
    texts(upstream, &query(sql)?).await
}

/// Runs one statement of the gate's own, in which text of somebody else's may stand: the server refuses it if it is
/// more than one. Otherwise as [`simple_query`].
///
/// # Errors
/// See [`UpstreamError`].
pub(crate) async fn single_statement(
    upstream: &mut Upstream,
    sql: &str,
) -> Result<Vec<Vec<Option<String>>>, UpstreamError> {
    texts(upstream, &extended(sql)?).await
}

async fn texts(upstream: &mut Upstream, frames: &[u8]) -> Result<Vec<Vec<Option<String>>>, UpstreamError> {
    let mut rows = Vec::new();
    run(upstream, frames, 1, |_, row| {
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| malformed());
        rows.push(row.values.into_iter().map(|value| value.map(text).transpose()).collect::<Result<_, _>>()?);
        Ok(())
    })
    .await?;
    Ok(rows)
}

/// As [`simple_query`], with several that are sent together: one round trip. The first error counts.
///
/// # Errors
/// See [`UpstreamError`].
pub(crate) async fn simple_queries(
    upstream: &mut Upstream,
    sql: &[&str],
) -> Result<Vec<Rows>, UpstreamError> {
    let mut frames = BytesMut::new();
    for sql in sql {
        frames.unsplit(query(sql)?);
    }
    let mut answers = vec![Rows::default(); sql.len()];
    run(upstream, &frames, sql.len(), |query, row| {
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| malformed());
        let row: Vec<_> =
            row.values.into_iter().map(|value| value.map(text).transpose()).collect::<Result<_, _>>()?;
        answers.get_mut(query).ok_or(malformed())?.push(row);
        Ok(())
    })
    .await?;
    Ok(answers)
}

/// Sends this and reads all up to that many ReadyForQuery. Gives each row to `take`, with the number of those before it.
async fn run(
    upstream: &mut Upstream,
    frames: &[u8],
    replies: usize,
    take: impl FnMut(usize, DataRow<'_>) -> Result<(), UpstreamError>,
) -> Result<(), UpstreamError> {
    timeout(QUERY_LIMIT, exchange(upstream, frames, replies, take))
        .await
        .map_err(|_| UpstreamError::Timeout(QUERY_LIMIT.as_secs()))?
}

async fn exchange(
    upstream: &mut Upstream,
    frames: &[u8],
    replies: usize,
    mut take: impl FnMut(usize, DataRow<'_>) -> Result<(), UpstreamError>,
) -> Result<(), UpstreamError> {
    upstream.stream.write_all(frames).await?;
    upstream.stream.flush().await?;
    let mut cutter = Cutter::new(Side::Server, b"").with(std::mem::take(&mut upstream.leftover));
    let mut failure = None;
    let mut heard = 0_usize;
    let mut answered = 0;
    while answered < replies {
        let (tag, frame) = receive(upstream, &mut cutter).await?;
        heard = heard.saturating_add(frame.len());
        if heard > MAX_REPLY {
            return Err(UpstreamError::TooLarge(MAX_REPLY));
        }
        match tag {
            b'D' => take(answered, DataRow::read(&frame).map_err(|_| malformed())?)?,
            // What follows it in a transaction fails by it.
            b'E' => _ = failure.get_or_insert(server_error(&frame)),
            b'S' => upstream.learn(parameter(&frame)?),
            // ParseComplete, BindComplete and what tells nothing of rows.
            b'1' | b'2' | b'T' | b'C' | b'I' | b'N' | b'A' => {}
            b'Z' => {
                upstream.status = ReadyForQuery::read(&frame).map_err(|_| malformed())?.status;
                answered += 1;
            }
            _ => return Err(UpstreamError::Protocol("unexpected message")),
        }
    }
    upstream.leftover = std::mem::take(cutter.buffer());
    failure.map_or(Ok(()), Err)
}

/// Waits until the server tells of something that this connection LISTENs to, or reads for that `long` whatever it
/// tells. Says whether it told of anything, however often. If the future is dropped the connection is of no use.
///
/// # Errors
/// See [`UpstreamError`].
pub(crate) async fn notified(upstream: &mut Upstream, long: Option<Duration>) -> Result<bool, UpstreamError> {
    let mut cutter = Cutter::new(Side::Server, b"").with(std::mem::take(&mut upstream.leftover));
    let until = long.map(|long| Instant::now() + long);
    let mut told = false;
    loop {
        match cutter.next().map_err(|_| UpstreamError::Protocol("unreadable message"))? {
            Some(Piece::Whole { tag: b'A', .. }) => told = true,
            Some(Piece::Whole { tag: b'E', bytes }) => return Err(server_error(&bytes)),
            Some(Piece::Whole { tag: b'S' | b'N', .. }) => {}
            Some(_) => return Err(UpstreamError::Protocol("unexpected message")),
            None => {
                let enough = until.map_or(told, |until| Instant::now() >= until);
                // Who is told much reads much: what a listener leaves unread, the server keeps for all.
                cutter.buffer().reserve(NOTIFICATIONS);
                let more = upstream.stream.read_buf(cutter.buffer());
                let read = match until {
                    _ if enough => None,
                    Some(until) => timeout_at(until, more).await.ok(),
                    None => Some(more.await),
                };
                match read.transpose()? {
                    Some(0) => return Err(UpstreamError::Protocol("the server closed the connection")),
                    Some(_) => {}
                    None => {
                        upstream.leftover = std::mem::take(cutter.buffer());
                        return Ok(told);
                    }
                }
            }
        }
    }
}

fn query(sql: &str) -> Result<BytesMut, UpstreamError> {
    let mut frames = BytesMut::with_capacity(sql.len().saturating_add(6));
    put_text(&mut frames, b'Q', b"", sql, b"")?;
    Ok(frames)
}

/// Parse, Bind, Execute and Sync, all without names and parameters; rows come as text.
fn extended(sql: &str) -> Result<BytesMut, UpstreamError> {
    let mut frames = BytesMut::with_capacity(sql.len().saturating_add(64));
    put_text(&mut frames, b'P', b"\0", sql, &[0; 2])?;
    frames.put_slice(b"B\0\0\0\x0c\0\0\0\0\0\0\0\0");
    frames.put_slice(b"E\0\0\0\x09\0\0\0\0\0");
    frames.put_slice(b"S\0\0\0\x04");
    Ok(frames)
}

/// A frame around a text, with what stands before it and after its NUL.
fn put_text(
    frames: &mut BytesMut,
    tag: u8,
    before: &[u8],
    text: &str,
    after: &[u8],
) -> Result<(), UpstreamError> {
    if text.contains('\0') {
        return Err(UpstreamError::Protocol("NUL in a query"));
    }
    let len = text.len().saturating_add(before.len()).saturating_add(after.len()).saturating_add(5);
    frames.put_u8(tag);
    frames.put_u32(u32::try_from(len).map_err(|_| malformed())?);
    frames.put_slice(before);
    frames.put_slice(text.as_bytes());
    frames.put_u8(0);
    frames.put_slice(after);
    Ok(())
}

async fn receive(upstream: &mut Upstream, cutter: &mut Cutter) -> Result<(u8, Bytes), UpstreamError> {
    loop {
        match cutter.next().map_err(|_| UpstreamError::Protocol("unreadable message"))? {
            Some(Piece::Whole { tag, bytes }) => return Ok((tag, bytes)),
            Some(Piece::Part { .. } | Piece::Dropped { .. }) => {
                return Err(UpstreamError::Protocol("unexpected message"));
            }
            None => {}
        }
        if upstream.stream.read_buf(cutter.buffer()).await? == 0 {
            return Err(UpstreamError::Protocol("the server closed the connection"));
        }
    }
}

const fn malformed() -> UpstreamError {
    UpstreamError::Protocol("malformed message")
}

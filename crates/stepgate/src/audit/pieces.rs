//! Text on its way to whoever asked, in pieces that are each a line of the operator's socket.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde_json::json;
use tokio::sync::mpsc;

use crate::operator::Reply;

/// Bytes of a piece.
const PIECE: usize = 64 * 1024;

/// Sends one text, or several files, each piece of whole lines; before each piece of another file, a row that names
/// it, also where there is nothing in it. Blocks the thread.
pub(super) struct Pieces {
    out: mpsc::Sender<Reply>,
    /// What was sent last; empty for a text that is no file's.
    current: &'static str,
    named: BTreeSet<&'static str>,
    waiting: BTreeMap<&'static str, Vec<u8>>,
}

impl Pieces {
    pub(super) fn new(out: mpsc::Sender<Reply>) -> Self {
        Self { out, current: "", named: BTreeSet::new(), waiting: BTreeMap::new() }
    }

    /// More of a file.
    pub(super) fn add(&mut self, file: &'static str, bytes: &[u8]) -> io::Result<()> {
        let piece = self.waiting.entry(file).or_default();
        piece.extend_from_slice(bytes);
        if piece.len() >= PIECE { self.send(file) } else { Ok(()) }
    }

    /// All that is left, also where it does not end a line.
    pub(super) fn finish(mut self) -> io::Result<()> {
        for (file, rest) in std::mem::take(&mut self.waiting) {
            self.say(file, rest)?;
        }
        Ok(())
    }

    /// The whole lines of a file; what follows the last line feed waits.
    fn send(&mut self, file: &'static str) -> io::Result<()> {
        let Some(piece) = self.waiting.get_mut(file) else { return Ok(()) };
        let end = piece.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let rest = piece.split_off(end);
        let lines = std::mem::replace(piece, rest);
        self.say(file, lines)
    }

    fn say(&mut self, file: &'static str, bytes: Vec<u8>) -> io::Result<()> {
        let text = String::from_utf8(bytes).map_err(io::Error::other)?;
        let send = |reply| self.out.blocking_send(reply).map_err(|_| io::ErrorKind::BrokenPipe);
        // A file that is empty is there all the same; a text that is no file's has no name.
        let is_new = !file.is_empty() && self.named.insert(file);
        if is_new || (self.current != file && !text.is_empty()) {
            send(Reply::Row(json!({ "file": file })))?;
            self.current = file;
        }
        if !text.is_empty() {
            send(Reply::Text(text))?;
        }
        Ok(())
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.add("", bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_whole_lines_and_each_of_another_file_is_named_first() {
        let (out, mut replies) = mpsc::channel(100);
        let mut pieces = Pieces::new(out);
        let line = [&[b'x'; 40_000][..], b"\n"].concat();
        pieces.add("a", &line).unwrap();
        pieces.add("b", b"1\n").unwrap();
        pieces.add("a", &line[..30_000]).unwrap();
        pieces.add("a", &line[30_000..]).unwrap();
        pieces.add("b", b"2").unwrap();
        pieces.finish().unwrap();
        let mut said = Vec::new();
        while let Some(reply) = replies.blocking_recv() {
            said.push(match reply {
                Reply::Row(row) => format!("file {}", row["file"].as_str().unwrap()),
                Reply::Text(text) if text.starts_with('x') => format!("{} lines", text.matches('\n').count()),
                Reply::Text(text) => text,
                _ => "something else".to_owned(),
            });
        }
        assert_eq!(said, ["file a", "1 lines", "1 lines", "file b", "1\n2"]);
    }

    #[test]
    fn a_file_with_nothing_in_it_is_named_once_so_that_it_is_there() {
        let (out, mut replies) = mpsc::channel(100);
        let mut pieces = Pieces::new(out);
        pieces.add("empty", b"").unwrap();
        pieces.add("full", b"1\n").unwrap();
        pieces.add("empty", b"").unwrap();
        pieces.finish().unwrap();
        let mut said = Vec::new();
        while let Some(reply) = replies.blocking_recv() {
            said.push(match reply {
                Reply::Row(row) => row["file"].as_str().unwrap().to_owned(),
                Reply::Text(text) => text,
                _ => "something else".to_owned(),
            });
        }
        assert_eq!(said, ["empty", "full", "1\n"]);
    }

    #[test]
    fn a_text_of_no_file_has_no_rows_in_it() {
        let (out, mut replies) = mpsc::channel(100);
        let mut pieces = Pieces::new(out);
        pieces.write_all(b"one\ntw").unwrap();
        pieces.flush().unwrap();
        pieces.write_all(b"o\n").unwrap();
        pieces.flush().unwrap();
        drop(pieces);
        for expected in ["one\n", "two\n"] {
            assert!(matches!(replies.blocking_recv(), Some(Reply::Text(text)) if text == expected));
        }
        assert!(replies.blocking_recv().is_none());
    }
}

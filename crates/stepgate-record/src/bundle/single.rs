//! The proof of one record (C2SP tlog-proof): the record itself, the key, the path to the root, the checkpoint.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::verify::{Anchor, Failure, Outcome, Verified};
use crate::{Checkpoint, Hash, Record, SignedNote, VerifierKeys, inclusion_holds};

const HEAD: &str = "c2sp.org/tlog-proof@v1";

/// The longest file that is read, in bytes: a record and the keys in base64, 64 hashes, a checkpoint with cosignatures.
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// Whether a file begins as a proof does.
#[must_use]
pub fn is_proof(begin: &[u8]) -> bool {
    begin.starts_with(HEAD.as_bytes())
}

/// The file's text. `extra` are the key's line and the record's: what the specification leaves to the application.
/// Where the key was replaced, its line is the list of all keys. A record of before that is proven in the tree at which
/// the next key took over, which both have signed: else the new key alone could prove what never was.
#[must_use]
pub fn proof_text(
    record: &[u8],
    keys: &VerifierKeys,
    index: u64,
    path: &[Hash],
    note: &SignedNote,
) -> String {
    let extra = [key_line(keys).as_bytes(), b"\n", record, b"\n"].concat();
    let mut text = format!("{HEAD}\nextra {}\nindex {index}\n", STANDARD.encode(extra));
    for hash in path {
        text.push_str(&hash.to_base64());
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&note.to_string());
    text
}

fn key_line(keys: &VerifierKeys) -> String {
    if keys.count() == 1 { keys.first().to_string() } else { keys.to_string() }
}

fn read_keys(line: &[u8]) -> Option<VerifierKeys> {
    let line = std::str::from_utf8(line).ok()?;
    if line.starts_with('{') {
        return line.parse().ok();
    }
    line.parse::<crate::VerifierKey>().ok().map(VerifierKeys::from)
}

/// Verifies a proof of one record.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify_proof(text: &[u8], anchor: Option<&Anchor>) -> Outcome {
    let malformed = || Failure::header("it is no proof as `audit prove` writes it");
    let text = (text.len() <= MAX_BYTES).then_some(text).ok_or_else(malformed)?;
    let text = std::str::from_utf8(text).map_err(|_| malformed())?;
    let (head, note) = text.split_once("\n\n").ok_or_else(malformed)?;
    let note: SignedNote =
        note.parse().map_err(|error: crate::NoteError| Failure::checkpoint(error.to_string()))?;
    let mut lines = head.lines();
    let extra = lines.nth(1).and_then(|line| line.strip_prefix("extra ")).ok_or_else(malformed)?;
    let extra = STANDARD.decode(extra).map_err(|_| malformed())?;
    let index =
        lines.next().and_then(|line| line.strip_prefix("index ")?.parse().ok()).ok_or_else(malformed)?;
    let path = lines.map(|line| <[u8; 32]>::try_from(STANDARD.decode(line).ok()?).ok().map(Hash::from_bytes));
    let path = path.collect::<Option<Vec<Hash>>>().ok_or_else(malformed)?;
    let mut parts = extra.splitn(2, |byte| *byte == b'\n');
    let keys = parts.next().and_then(read_keys).ok_or_else(malformed)?;
    let bytes = parts.next().and_then(|rest| rest.strip_suffix(b"\n")).ok_or_else(malformed)?;
    if proof_text(bytes, &keys, index, &path, &note) != text {
        return Err(malformed());
    }
    let record = Record::decode(bytes).map_err(|error| Failure::record(index, error.to_string()))?;
    if record.seq != index || Checkpoint::origin(&record.log_id) != keys.name() {
        return Err(Failure::record(index, "the record is not the one that the proof is about"));
    }
    let checkpoint = keys.verified_among(&note).map_err(|error| Failure::checkpoint(error.to_string()))?;
    note.cosigned_by(keys.name(), anchor.map(Anchor::witnesses).unwrap_or_default())
        .map_err(|error| Failure::checkpoint(error.to_string()))?;
    if keys.next_after(index).is_some_and(|next| *next.tree() != checkpoint) {
        let why = "it is from before the key was replaced, and must be proven in the tree at which that was";
        return Err(Failure::checkpoint(why));
    }
    if !inclusion_holds(&Hash::leaf(bytes), index, checkpoint.size, &path, &checkpoint.root) {
        let why = "it is not in the tree that the checkpoint signs: it, or the proof, was altered";
        return Err(Failure::record(index, why));
    }
    let given =
        anchor.map(|anchor| anchor.check(&keys, checkpoint.size)).transpose().map_err(Failure::checkpoint)?;
    let given = given.unwrap_or_default();
    if let Some(replaced) = given.replaced.first().filter(|replaced| replaced.size < checkpoint.size) {
        return Err(Failure::checkpoint(crate::NoteError::Replaced(replaced.size).to_string()));
    }
    let later = given.later.map(|given| Failure::later(given, checkpoint.size));
    let given = given.checkpoint;
    if given.as_ref().is_some_and(|given| given.size == checkpoint.size && given.root != checkpoint.root) {
        let why = "the checkpoint given has another root over as many records: the log was rewritten";
        return Err(Failure::checkpoint(why));
    }
    let witnessed =
        anchor.map(|anchor| anchor.witnessed([&note])).transpose().map_err(Failure::checkpoint)?;
    if given.is_some_and(|given| given.size != checkpoint.size) {
        let why = "the checkpoint given is another than the proof's, and one record cannot tell whether both are of one \
                   history; verify an export, or give the verifier key";
        return Err(Failure::uncompared(why));
    }
    if let Some(why) = later {
        return Err(Failure::uncompared(why));
    }
    let mut notes = vec![format!("proof: record {index} of {}, {}", checkpoint.size, record.at)];
    if anchor.is_none() {
        notes.push(
            "checked against the key inside the file, which proves that it is consistent, not that it is your gate's; \
             give --checkpoint FILE with the verifier key obtained elsewhere"
                .to_owned(),
        );
    }
    notes.extend(witnessed.into_iter().flatten());
    Ok(Verified {
        records: 1,
        tree_size: checkpoint.size,
        root: checkpoint.root,
        notes,
        policies: Vec::new(),
    })
}

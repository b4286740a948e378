//! The proof of one record (C2SP tlog-proof): the record itself, the key, the path to the root, the checkpoint.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::verify::{Anchor, Failure, Outcome, Verified};
use crate::{Checkpoint, Hash, Record, SignedNote, VerifierKey, inclusion_holds};

const HEAD: &str = "c2sp.org/tlog-proof@v1";

/// The longest file that is read, in bytes: a record in base64, 64 hashes, a checkpoint with cosignatures.
const MAX_BYTES: usize = 64 * 1024;

/// Whether a file begins as a proof does.
#[must_use]
pub fn is_proof(begin: &[u8]) -> bool {
    begin.starts_with(HEAD.as_bytes())
}

/// The file's text. `extra` are the key's line and the record's: what the specification leaves to the application.
#[must_use]
pub fn proof_text(record: &[u8], key: &VerifierKey, index: u64, path: &[Hash], note: &SignedNote) -> String {
    let extra = [format!("{key}\n").as_bytes(), record, b"\n"].concat();
    let mut text = format!("{HEAD}\nextra {}\nindex {index}\n", STANDARD.encode(extra));
    for hash in path {
        text.push_str(&hash.to_base64());
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&note.to_string());
    text
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
    let key = parts.next().and_then(|key| std::str::from_utf8(key).ok()?.parse::<VerifierKey>().ok());
    let key = key.ok_or_else(malformed)?;
    let bytes = parts.next().and_then(|rest| rest.strip_suffix(b"\n")).ok_or_else(malformed)?;
    if proof_text(bytes, &key, index, &path, &note) != text {
        return Err(malformed());
    }
    let record = Record::decode(bytes).map_err(|error| Failure::record(index, error.to_string()))?;
    if record.seq != index || Checkpoint::origin(&record.log_id) != key.name() {
        return Err(Failure::record(index, "the record is not the one that the proof is about"));
    }
    let checkpoint =
        Checkpoint::verified(&note, &key).map_err(|error| Failure::checkpoint(error.to_string()))?;
    if !inclusion_holds(&Hash::leaf(bytes), index, checkpoint.size, &path, &checkpoint.root) {
        let why = "it is not in the tree that the checkpoint signs: it, or the proof, was altered";
        return Err(Failure::record(index, why));
    }
    let given = anchor.map(|anchor| anchor.check(&key)).transpose().map_err(Failure::checkpoint)?.flatten();
    if let Some(given) = given
        && (given.size, given.root) != (checkpoint.size, checkpoint.root)
    {
        let why = "the checkpoint given is another than the proof's, and one record cannot tell whether both are of one \
                   history; verify an export, or give the verifier key";
        return Err(Failure::checkpoint(why));
    }
    let mut notes = vec![format!("proof: record {index} of {}, {}", checkpoint.size, record.at)];
    if anchor.is_none() {
        notes.push(
            "checked against the key inside the file, which proves that it is consistent, not that it is your gate's; \
             give --checkpoint FILE with the verifier key obtained elsewhere"
                .to_owned(),
        );
    }
    Ok(Verified { records: 1, tree_size: checkpoint.size, root: checkpoint.root, notes })
}

//! A gate's part, in memory.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use sha2::{Digest as _, Sha256};
use stepgate_record::bundle::{
    FileInfo, Files, Format, Opening, ProofLine, examine, files, keys_text, note_text,
};
use stepgate_record::{
    Checkpoint, Event, Export, Filter, Fitted, Frontier, Hash, NoteSigner, Record, SessionOpened, commitment,
};
use stepgate_types::{SessionId, SubjectKind, Who};

pub(crate) const LOG: &str = "00112233445566778899aabbccddeeff";

#[derive(Clone, Default)]
pub(crate) struct Memory(pub(crate) BTreeMap<String, Vec<u8>>);

impl Files for Memory {
    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    fn open(&self, name: &str) -> io::Result<Option<Box<dyn BufRead + '_>>> {
        Ok(self.0.get(name).map(|file| Box::new(&file[..]) as Box<dyn BufRead>))
    }
}

pub(crate) fn signer(seed: u8) -> NoteSigner {
    NoteSigner::new(&Checkpoint::origin(LOG), &[seed; 32]).unwrap()
}

pub(crate) fn opening(kind: SubjectKind, value: &str) -> Opening {
    let mut key = [7; 32];
    key.iter_mut().zip(value.bytes()).for_each(|(key, byte)| *key = byte);
    let commit = commitment(kind, value, &key);
    Opening { commit, kind, value: value.to_owned(), key: Hash::from_bytes(key).to_string() }
}

/// Records of sessions of dana (every third) and lee; then one of the export of what `keep` keeps.
pub(crate) struct Gate {
    pub(crate) records: Vec<Vec<u8>>,
    pub(crate) openings: Vec<Opening>,
    seed: u8,
}

impl Gate {
    pub(crate) fn new(n: u64, seed: u8) -> Self {
        let openings = vec![
            opening(SubjectKind::Person, "dana"),
            opening(SubjectKind::Person, "lee"),
            opening(SubjectKind::Address, "192.0.2.7"),
            opening(SubjectKind::Operator, "uid:1000"),
        ];
        let mut gate = Self { records: Vec::new(), openings, seed };
        (0..n).for_each(|seq| gate.append_session(seq));
        gate
    }

    /// A session of dana, or of lee.
    pub(crate) fn append_session(&mut self, seq: u64) {
        let gate = self;
        let person = gate.openings[usize::from(!seq.is_multiple_of(3))].commit;
        gate.append(&Event::SessionOpened(Box::new(SessionOpened {
            session: SessionId::from_bytes([u8::try_from(seq % 200).unwrap(); 16]),
            person: Who::Commit(person),
            database: "app".to_owned(),
            db_user: "app_rw".to_owned(),
            address: Who::Commit(gate.openings[2].commit),
            client: "psql".into(),
            tls: true,
            method: None,
            certificate_sha256: None,
            password: None,
            startup: None,
            hello: None,
        })));
    }

    pub(crate) fn append(&mut self, event: &Event) {
        let prev = self.records.last().map_or(Hash::ZERO, |last| Hash::leaf(last));
        let seq = self.records.len() as u64;
        let record = Fitted::new(event).unwrap().record(LOG, seq, 1_000_000 * seq as i64, &prev).unwrap();
        self.records.push(record);
    }

    pub(crate) fn checkpoint(&self, size: usize) -> Checkpoint {
        let mut frontier = Frontier::default();
        self.records[..size].iter().for_each(|record| frontier.push(Hash::leaf(record)));
        Checkpoint { origin: Checkpoint::origin(LOG), size: size as u64, root: frontier.root().unwrap() }
    }

    /// What the gate hands out: all but cover, manifest and what is derived.
    pub(crate) fn export(&mut self, filter: &Filter, format: Format, redacted: bool) -> Memory {
        let kept: Vec<_> = self
            .records
            .iter()
            .enumerate()
            .filter(|(_, record)| filter.matches(&Record::decode(record).unwrap()))
            .map(|(seq, _)| seq)
            .collect();
        self.export_of(filter, &kept, format, redacted)
    }

    /// The records of these numbers, as what the filter gave.
    pub(crate) fn export_of(
        &mut self,
        filter: &Filter,
        kept: &[usize],
        format: Format,
        redacted: bool,
    ) -> Memory {
        let end = self.records.len();
        let operator = Some(Who::Commit(self.openings[3].commit));
        let export = Export {
            id: "ab".repeat(16),
            filter: filter.for_record(),
            format: format.as_str().to_owned(),
            redacted,
            first: Some(0),
            end: Some(end as u64),
            selected: Some(selected(kept.iter().map(|seq| Hash::leaf(&self.records[*seq])))),
        };
        self.append(&Event::AuditExported { records: kept.len() as u64, export: Some(export), operator });
        self.append(&Event::LogStopped {});
        self.laid_out(kept, end, redacted)
    }

    /// The records of these numbers as those that the record `end` exported.
    pub(crate) fn laid_out(&self, kept: &[usize], end: usize, redacted: bool) -> Memory {
        let mut out = Memory::default();
        let (mut proof, mut records, mut gap) = (Vec::new(), Vec::new(), None::<(u64, Frontier)>);
        for (seq, record) in self.records.iter().enumerate() {
            let (at, hash) = (seq as u64, Hash::leaf(record));
            let here = kept.contains(&seq) || seq == end;
            if !here {
                gap.get_or_insert_with(|| (at, Frontier::starting_at(at))).1.push(hash);
                continue;
            }
            proof.extend(gap.take().map(|(begin, over)| ProofLine::gap(begin, &over)));
            if seq == end {
                out.put(files::EXPORTED, &[record, &b"\n"[..]].concat());
                proof.push(ProofLine::exported(at, &hash));
            } else {
                proof.push(ProofLine::record(at, &hash));
                records.extend_from_slice(record);
                records.push(b'\n');
            }
        }
        proof.extend(gap.take().map(|(begin, over)| ProofLine::gap(begin, &over)));
        out.put(files::RECORDS, &records);
        let lines = |lines: Vec<Vec<u8>>| lines.into_iter().flat_map(|line| [line, b"\n".to_vec()].concat());
        out.put(files::PROOF, &lines(proof.iter().map(ProofLine::line).collect()).collect::<Vec<_>>());
        let note = self.checkpoint(self.records.len()).sign(&signer(self.seed));
        out.put(files::CHECKPOINT, note.to_string().as_bytes());
        out.put(files::KEYS, &keys_text(&signer(self.seed).verifier_key().into()));
        if !redacted {
            let text = String::from_utf8(records).unwrap()
                + &String::from_utf8(out.0[files::EXPORTED].clone()).unwrap();
            let mut used = self.openings.clone();
            used.retain(|opening| text.contains(&opening.commit.to_string()));
            used.sort_by_key(|opening| opening.commit);
            out.put(files::SUBJECTS, &lines(used.iter().map(Opening::line).collect()).collect::<Vec<_>>());
        }
        out
    }

    pub(crate) fn bundle(&mut self, filter: &Filter, format: Format, redacted: bool, signed: bool) -> Memory {
        let mut files = self.export(filter, format, redacted);
        pack(&mut files, signed.then(|| signer(self.seed)));
        files
    }
}

/// SHA-256 over leaf hashes.
pub(crate) fn selected(hashes: impl Iterator<Item = Hash>) -> String {
    let mut sha256 = Sha256::new();
    hashes.for_each(|hash| sha256.update(hash.bytes()));
    Hash::from_bytes(sha256.finalize().into()).to_string()
}

/// What `audit export` adds.
pub(crate) fn pack(files: &mut Memory, signer: Option<NoteSigner>) {
    let mut derived = Vec::new();
    let examined = examine(files, None, &mut derived).unwrap();
    if let Some(name) = examined.format().file() {
        files.put(name, &derived);
    }
    files.put(files::COVER, examined.cover(signer.is_some()).as_bytes());
    let infos = files.0.iter().map(|(name, file)| (name.clone(), FileInfo::of(&mut &file[..]).unwrap()));
    let manifest = examined.manifest(infos.collect(), signer.is_some());
    files.put(files::MANIFEST, &manifest.bytes());
    if let Some(signer) = signer {
        let text = note_text(&manifest.origin, &manifest.sha256());
        files.put(files::NOTE, signer.sign(&text).to_string().as_bytes());
    }
}

impl Memory {
    pub(crate) fn put(&mut self, name: &str, bytes: &[u8]) {
        self.0.insert(name.to_owned(), bytes.to_vec());
    }

    pub(crate) fn lines(&self, name: &str) -> Vec<Vec<u8>> {
        self.0[name].split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    }
}

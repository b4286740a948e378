//! Keys that are replaced, and checkpoints that witnesses have cosigned, in a real directory.

use std::fs;
use std::path::Path;

use stepgate_record::bundle::{Files, Format, examine, proof_text, verify_proof};
use stepgate_record::verify::{Anchor, Place, report, verify_export};
use stepgate_record::{Checkpoint, Cosigner, Event, Filter, SignedNote, Tree, VerifierKey};

use super::damage::{copy, refused};
use super::log::event;
use crate::testing::{open, options, vault};
use crate::{BundleRequest, CosignError, ExportRange, Log, LogOptions, OpenError, verify_dir};

fn export(log: &Log, range: ExportRange) -> Vec<u8> {
    let mut bytes = Vec::new();
    log.export(&mut bytes, range, None).unwrap();
    bytes
}

fn anchor(text: &str) -> Anchor {
    text.parse().unwrap()
}

/// A log whose key was replaced twice, with what was signed and exported on the way.
struct Made {
    dir: tempfile::TempDir,
    keys: Vec<VerifierKey>,
    /// Signed by each of the keys.
    checkpoints: Vec<String>,
    /// Exported while each signed.
    exports: Vec<Vec<u8>>,
    list: String,
}

fn made() -> Made {
    let dir = tempfile::tempdir().unwrap();
    let (mut keys, mut checkpoints, mut exports) = (vec![], vec![], vec![]);
    let log = open(dir.path()).unwrap();
    for n in 0..3 {
        if n > 0 {
            let rotated = log.rotate_key().unwrap();
            assert_eq!(rotated.key, log.verifier_key());
            let named = log.read(rotated.record, rotated.record + 1).next().unwrap().unwrap();
            assert!(String::from_utf8(named.bytes).unwrap().contains("key.rotated"));
        }
        log.append_blocking((0..5).map(event).collect(), vec![]).unwrap();
        keys.push(log.verifier_key());
        checkpoints.push(log.checkpoint().unwrap());
        exports.push(export(&log, ExportRange::default()));
    }
    let list = log.keys().to_string();
    log.close().unwrap();
    Made { dir, keys, checkpoints, exports, list }
}

#[test]
fn whatever_verifies_follows_a_key_that_was_replaced() {
    let made = made();
    let dir = made.dir.path();
    let anchors: Vec<String> = made
        .keys
        .iter()
        .map(ToString::to_string)
        .chain(made.checkpoints.clone())
        .chain([made.list.clone()])
        .collect();
    for text in &anchors {
        let outcome = verify_dir(dir, Some(&anchor(text)));
        assert!(outcome.is_ok(), "{text}: {outcome:?}");
    }
    // Every export, also those of before, by the first key, by all of them, and by itself.
    for (n, bytes) in made.exports.iter().enumerate() {
        for text in
            [None, Some(made.keys[0].to_string()), Some(made.list.clone()), Some(made.checkpoints[n].clone())]
        {
            let anchor = text.as_deref().map(anchor);
            let outcome = verify_export(&mut &bytes[..], anchor.as_ref());
            assert!(outcome.is_ok(), "{n} {text:?}: {outcome:?}");
        }
    }
    // The gate goes on by the newest key, and can replace it again.
    let log = open(dir).unwrap();
    assert_eq!(log.verifier_key(), made.keys[2]);
    assert!(log.verify(Some(&anchor(&made.keys[0].to_string()))).is_ok());
    assert_eq!(log.keys().count(), 3);
    log.rotate_key().unwrap();
    assert!(log.verify(Some(&anchor(&made.list))).is_ok());
    log.close().unwrap();
    drop(log);
    assert!(verify_dir(dir, Some(&anchor(&made.checkpoints[0]))).is_ok());
    assert!(open(dir).is_ok());
}

#[test]
fn parts_of_a_log_are_exported_across_its_keys() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let first = log.verifier_key().to_string();
    for _ in 0..3 {
        appends(&log, 4);
        log.rotate_key().unwrap();
    }
    let times: Vec<_> = log.tail(100).unwrap().iter().map(|record| record.at).collect();
    for since in 0..times.len() {
        for until in (since..times.len()).step_by(3) {
            let range = ExportRange { since: Some(times[since]), until: Some(times[until]) };
            let bytes = export(&log, range);
            let verified = verify_export(&mut &bytes[..], Some(&anchor(&first)));
            assert!(
                verified.as_ref().is_ok_and(|verified| verified.records >= 1),
                "{since} {until} {verified:?}"
            );
        }
    }
}

#[test]
fn records_that_come_while_the_key_is_replaced_are_all_covered() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let first = log.verifier_key().to_string();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3).map(|_| scope.spawn(|| appends(&log, 200))).collect();
        for _ in 0..5 {
            log.rotate_key().unwrap();
            let bytes = export(&log, ExportRange::default());
            assert!(verify_export(&mut &bytes[..], Some(&anchor(&first))).is_ok());
        }
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    });
    log.close().unwrap();
    drop(log);
    assert_eq!(verify_dir(dir.path(), Some(&anchor(&first))).unwrap().records, 200 * 3 + 5 + 5 + 2);
}

#[test]
fn no_byte_of_the_list_of_keys_may_change_nor_may_it_go() {
    let made = made();
    let path = made.dir.path().join("keys.json");
    let good = fs::read(&path).unwrap();
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, &bad).unwrap();
        assert!(verify_dir(made.dir.path(), None).is_err(), "byte {at}");
        assert!(
            matches!(open(made.dir.path()), Err(OpenError::Damaged { .. } | OpenError::Io { .. })),
            "byte {at}"
        );
    }
    fs::remove_file(&path).unwrap();
    assert!(verify_dir(made.dir.path(), None).is_err());
    assert!(refused(made.dir.path()).contains("not signed by"));
    fs::write(&path, &good).unwrap();
    assert!(open(made.dir.path()).is_ok());
}

#[test]
fn another_master_key_is_told_apart_from_damage_after_the_key_was_replaced() {
    let made = made();
    let other = LogOptions { vault: vault(2), ..options() };
    assert!(matches!(Log::open(made.dir.path(), other), Err(OpenError::WrongKey { .. })));
}

#[test]
fn a_directory_of_before_a_replaced_key_is_found_by_the_list_of_keys() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    log.append_blocking(vec![event(1)], vec![]).unwrap();
    log.close().unwrap();
    drop(log);
    let earlier = copy(dir.path());
    let log = open(dir.path()).unwrap();
    log.rotate_key().unwrap();
    let list = log.keys().to_string();
    log.close().unwrap();
    drop(log);
    assert!(verify_dir(dir.path(), Some(&anchor(&list))).is_ok());
    let rolled_back = verify_dir(earlier.path(), Some(&anchor(&list)));
    assert_eq!(rolled_back.as_ref().unwrap_err().place, Place::Record(3), "{rolled_back:?}");
    // And one that goes on by the old key as if it had not been replaced, which only who stole it can do.
    let log = open(earlier.path()).unwrap();
    log.append_blocking((0..9).map(event).collect(), vec![]).unwrap();
    log.close().unwrap();
    drop(log);
    assert!(verify_dir(earlier.path(), None).is_ok(), "consistent in itself");
    assert!(verify_dir(earlier.path(), Some(&anchor(&list))).is_err());
}

#[test]
fn a_new_key_that_never_took_over_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let old = log.verifier_key().to_string();
    log.append_blocking(vec![Event::KeyRotated { old, new: "x".to_owned(), n: 1 }], vec![]).unwrap();
    let said = report(&log.verify(None));
    assert!(said.contains("record 1 names a new key that never took over"), "{said}");
    log.rotate_key().unwrap();
    assert!(log.verify(None).is_ok());
}

fn appends(log: &Log, records: u64) {
    for n in 0..records {
        log.append_blocking(vec![event(n)], vec![]).unwrap();
    }
}

fn note(text: &str) -> SignedNote {
    text.parse().unwrap()
}

fn cosigned_files(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(dir.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "cosigned")).collect()
}

#[test]
fn cosignatures_of_known_witnesses_are_kept_and_recorded_once_and_others_refused() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let (one, two) = (Cosigner::new("one", &[5; 32]).unwrap(), Cosigner::new("two", &[6; 32]).unwrap());
    let known = [one.key(), two.key()];
    let plain = note(&log.checkpoint().unwrap());
    assert!(matches!(log.cosign(&plain, &known), Err(CosignError::Refused(_))), "nobody cosigned it");
    let stranger = Cosigner::new("three", &[7; 32]).unwrap().cosign(&plain, 5);
    assert!(matches!(log.cosign(&stranger, &known), Err(CosignError::Refused(_))));
    let forged = Cosigner::new("one", &[7; 32]).unwrap().cosign(&plain, 5);
    assert!(matches!(log.cosign(&forged, &known), Err(CosignError::Refused(_))));
    assert!(matches!(log.cosign(&one.cosign(&stranger, 5), &known), Err(CosignError::Refused(_))));
    assert!(cosigned_files(dir.path()).is_empty());

    let cosigned = log.cosign(&one.cosign(&plain, 10), &known).unwrap();
    assert_eq!(cosigned.witnesses, [one.key()]);
    assert!(log.cosign(&one.cosign(&plain, 11), &known).unwrap().witnesses.is_empty(), "it had before");
    assert_eq!(log.cosign(&two.cosign(&plain, 12), &known).unwrap().witnesses, [two.key()]);
    let events = log.tail(2).unwrap();
    let said: Vec<_> = events.iter().map(|record| record.event.clone()).collect();
    let Checkpoint { size, root, .. } = cosigned.checkpoint;
    let of = |witness: &Cosigner| Event::WitnessCosigned { witness: witness.key().to_string(), size, root };
    assert_eq!(said, [of(&one), of(&two)]);
    assert_eq!(cosigned_files(dir.path()).len(), 1);
    assert_eq!(log.cosigned().len(), 1);

    // Demanded, live and from the directory.
    let demand =
        |who: &[&Cosigner]| Anchor::default().with_witnesses(who.iter().map(|one| one.key()).collect());
    let said = report(&log.verify(Some(&demand(&[&one, &two]))));
    assert!(said.contains("witness one has cosigned the first 1 records"), "{said}");
    log.close().unwrap();
    drop(log);
    assert!(verify_dir(dir.path(), Some(&demand(&[&two]))).is_ok());
    let three = Cosigner::new("three", &[7; 32]).unwrap();
    assert_eq!(verify_dir(dir.path(), Some(&demand(&[&three]))).unwrap_err().place, Place::Checkpoint);
}

/// Whoever has the log's key can sign another history, and a witness that has never seen ours takes it.
#[test]
fn a_cosigned_fork_by_the_logs_own_key_is_refused_and_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    appends(&log, 20);
    let witness = Cosigner::new("one", &[5; 32]).unwrap();
    let ours = note(&log.checkpoint().unwrap());
    let Checkpoint { origin, size, root } = Checkpoint::of(&ours).unwrap();
    let other = log.frontier_at(size - 1).unwrap().root().unwrap();
    let signer = crate::keys::signer(&log.shared().vault, &origin, 0).unwrap();
    let (mut failed, forks) = (Vec::new(), [size, size - 7, 1]);
    for size in forks {
        let fork = Checkpoint { origin: origin.clone(), size, root: other }.sign(&signer);
        let taken = log.cosign(&witness.cosign(&fork, 10), &[witness.key()]);
        assert!(
            matches!(&taken, Err(CosignError::NotOurs(why)) if why.contains("another history")),
            "{taken:?}"
        );
        let Event::IntegrityFailed(record) = log.tail(1).unwrap()[0].event.clone() else { panic!() };
        failed.push((record.first, record.end));
    }
    assert_eq!(failed, forks.map(|size| (0, size)));
    assert!(cosigned_files(dir.path()).is_empty());
    // More than there is is refused as before, and what is ours is taken, also of before.
    let longer = Checkpoint { origin: origin.clone(), size: 1_000, root }.sign(&signer);
    let taken = log.cosign(&witness.cosign(&longer, 10), &[witness.key()]);
    assert!(matches!(&taken, Err(CosignError::NotOurs(why)) if why.contains("1000 records")), "{taken:?}");
    assert_eq!(log.cosign(&witness.cosign(&ours, 10), &[witness.key()]).unwrap().checkpoint.root, root);
}

#[test]
fn a_cosigned_checkpoint_never_keeps_the_gate_from_starting_and_a_bad_one_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let witness = Cosigner::new("one", &[5; 32]).unwrap();
    let cosigned = witness.cosign(&note(&log.checkpoint().unwrap()), 10);
    log.cosign(&cosigned, &[witness.key()]).unwrap();
    log.close().unwrap();
    let latest = witness.cosign(
        &note(&log.checkpoint().unwrap_or_else(|_| {
            fs::read_to_string(dir.path().join("checkpoints/latest.checkpoint")).unwrap()
        })),
        11,
    );
    drop(log);
    // Put there by somebody instead of the gate's own.
    fs::write(dir.path().join("checkpoints/latest.checkpoint"), latest.to_string()).unwrap();
    assert!(verify_dir(dir.path(), None).is_ok());
    let file = cosigned_files(dir.path()).remove(0);
    let good = fs::read(&file).unwrap();
    let own_line = good.len() - cosigned.to_string().lines().last().unwrap().len() - 1;
    let demand = Anchor::default().with_witnesses(vec![witness.key()]);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&file, &bad).unwrap();
        // Without the witness's key its own line cannot be judged.
        let outcome = verify_dir(dir.path(), (at >= own_line).then_some(&demand));
        assert!(outcome.is_err(), "byte {at}");
        if at % 40 == 0 {
            assert!(open(dir.path()).is_ok(), "byte {at}");
        }
    }
    fs::write(&file, &good).unwrap();
    assert!(verify_dir(dir.path(), Some(&demand)).is_ok());
}

#[derive(Default)]
struct Memory(std::collections::BTreeMap<String, Vec<u8>>);

impl Files for Memory {
    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    fn open(&self, name: &str) -> std::io::Result<Option<Box<dyn std::io::BufRead + '_>>> {
        Ok(self.0.get(name).map(|file| Box::new(&file[..]) as Box<dyn std::io::BufRead>))
    }
}

fn bundle(log: &Log, filter: Filter) -> Memory {
    let request = BundleRequest {
        id: "ab".repeat(16),
        filter,
        format: Format::Jsonl,
        redacted: false,
        meet: std::collections::BTreeSet::new(),
        operator: None,
    };
    let mut files = Memory::default();
    let mut out = |name: &'static str, piece: &[u8]| {
        files.0.entry(name.to_owned()).or_default().extend_from_slice(piece);
        Ok(())
    };
    log.bundle(request, &mut out).unwrap();
    files
}

#[test]
fn bundles_and_proofs_of_single_records_follow_the_keys() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let first = log.verifier_key().to_string();
    for _ in 0..2 {
        appends(&log, 5);
        log.rotate_key().unwrap();
    }
    appends(&log, 5);
    let list = log.keys().to_string();
    let only = Filter { kind: vec!["key.rotated".to_owned()], ..Filter::default() };
    for filter in [Filter::default(), only] {
        let files = bundle(&log, filter);
        for text in [first.clone(), log.verifier_key().to_string(), list.clone()] {
            let examined = examine(&files, Some(&anchor(&text)), &mut std::io::sink());
            assert!(examined.is_ok(), "{text}: {:?}", examined.err());
        }
        // Without the hashes of where a key took over nothing says that the old key signed the past, too.
        let joined = files.0["keys.json"].clone();
        for at in (0..joined.len()).step_by(11) {
            let mut bad = Memory(files.0.clone());
            bad.0.get_mut("keys.json").unwrap()[at] ^= 1;
            assert!(examine(&bad, None, &mut std::io::sink()).is_err(), "byte {at}");
        }
    }
    let newest = note(&log.checkpoint().unwrap());
    let size = Checkpoint::of(&newest).unwrap().size;
    let mut tree = Tree::new();
    log.read(0, size).for_each(|stored| tree.push(stored.unwrap().hash));
    let took_over = log.keys().handovers().last().unwrap().tree().size;
    for seq in 0..size {
        let proof = log.prove(seq, None).unwrap().unwrap();
        for text in [&first, &list] {
            let outcome = verify_proof(proof.as_bytes(), Some(&anchor(text)));
            assert!(outcome.is_ok(), "{seq}: {outcome:?}");
        }
        // By the newest key alone, only what came since it took over.
        let bytes = log.read(seq, seq + 1).next().unwrap().unwrap().bytes;
        let path = tree.inclusion_proof(seq, size).unwrap();
        let alone = proof_text(&bytes, &log.keys(), seq, &path, &newest);
        assert_eq!(verify_proof(alone.as_bytes(), None).is_ok(), seq >= took_over, "{seq}");
    }
}

#[test]
fn bundles_hold_the_newest_checkpoint_that_was_cosigned() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    appends(&log, 5);
    let witness = Cosigner::new("one", &[5; 32]).unwrap();
    log.cosign(&witness.cosign(&note(&log.checkpoint().unwrap()), 10), &[witness.key()]).unwrap();
    appends(&log, 5);
    let demand = Anchor::default().with_witnesses(vec![witness.key()]);
    let stranger = Cosigner::new("two", &[5; 32]).unwrap();
    let other = Anchor::default().with_witnesses(vec![stranger.key()]);
    let only = Filter { kind: vec!["log.started".to_owned()], ..Filter::default() };
    for filter in [Filter::default(), only] {
        let files = bundle(&log, filter);
        assert!(examine(&files, Some(&demand), &mut std::io::sink()).is_ok());
        assert!(examine(&files, Some(&other), &mut std::io::sink()).is_err());
        let mut without = Memory(files.0.clone());
        without.0.remove("cosigned").unwrap();
        assert!(examine(&without, Some(&demand), &mut std::io::sink()).is_err());
        for at in 0..files.0["cosigned"].len() {
            let mut bad = Memory(files.0.clone());
            bad.0.get_mut("cosigned").unwrap()[at] ^= 1;
            assert!(examine(&bad, Some(&demand), &mut std::io::sink()).is_err(), "byte {at}");
        }
    }
}

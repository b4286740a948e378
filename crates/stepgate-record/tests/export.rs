//! Exports: every alteration is found and named.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of the tests are tests, too")]

use stepgate_record::verify::{
    Anchor, Failure, Header, Outcome, Place, checkpoint_line, report, verify_export,
};
use stepgate_record::{Checkpoint, Event, Fitted, Frontier, Hash, NoteSigner, Started, Statement};
use stepgate_types::SessionId;

const LOG: &str = "00112233445566778899aabbccddeeff";

fn signer(seed: u8) -> NoteSigner {
    NoteSigner::new(&Checkpoint::origin(LOG), &[seed; 32]).unwrap()
}

/// The canonical bytes of a log of `n` records.
fn log(n: u64) -> Vec<Vec<u8>> {
    log_of((0..n).map(|seq| {
        let session = SessionId::from_bytes([u8::try_from(seq % 200).unwrap(); 16]);
        Event::SessionClosed { session, reason: "terminate".to_owned() }
    }))
}

/// The canonical bytes of a log of these.
fn log_of(events: impl IntoIterator<Item = Event>) -> Vec<Vec<u8>> {
    let mut prev = Hash::ZERO;
    (0..)
        .zip(events)
        .map(|(seq, event)| {
            let bytes = Fitted::new(&event).unwrap().record(LOG, seq, 1000 + seq as i64, &prev).unwrap();
            prev = Hash::leaf(&bytes);
            bytes
        })
        .collect()
}

fn frontier(begin: usize, records: &[Vec<u8>]) -> Frontier {
    let mut frontier = Frontier::starting_at(begin as u64);
    records.iter().for_each(|record| frontier.push(Hash::leaf(record)));
    frontier
}

fn checkpoint(records: &[Vec<u8>]) -> Checkpoint {
    let root = frontier(0, records).root().unwrap();
    Checkpoint { origin: Checkpoint::origin(LOG), size: records.len() as u64, root }
}

fn export(records: &[Vec<u8>], first: usize, end: usize, seed: u8) -> Vec<u8> {
    let hex = |frontier: &Frontier| frontier.hashes().iter().map(ToString::to_string).collect();
    let header = Header {
        format: Header::FORMAT.to_owned(),
        version: Header::VERSION,
        log_id: LOG.to_owned(),
        origin: Checkpoint::origin(LOG),
        verifier_key: signer(seed).verifier_key().to_string(),
        keys: None,
        first: first as u64,
        records: (end - first) as u64,
        last_hash: if end == first { String::new() } else { Hash::leaf(&records[end - 1]).to_string() },
        tree_size: records.len() as u64,
        before: hex(&frontier(0, &records[..first])),
        after: hex(&frontier(end, &records[end..])),
    };
    let mut lines = vec![header.line().unwrap()];
    lines.extend_from_slice(&records[first..end]);
    lines.push(checkpoint_line(&checkpoint(records).sign(&signer(seed))));
    lines.into_iter().flat_map(|line| [line, b"\n".to_vec()].concat()).collect()
}

fn verify(bytes: &[u8]) -> Outcome {
    verify_export(&mut &bytes[..], None)
}

fn anchored(bytes: &[u8], anchor: &str) -> Outcome {
    verify_export(&mut &bytes[..], Some(&anchor.parse::<Anchor>().unwrap()))
}

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

fn place(outcome: &Outcome) -> Place {
    outcome.as_ref().unwrap_err().place
}

#[test]
fn an_export_verifies_and_says_what_that_proves() {
    let bytes = export(&log(5), 0, 5, 7);
    let report = report(&verify(&bytes));
    let root = checkpoint(&log(5)).root.to_base64();
    assert!(report.starts_with("note: checked against the key and checkpoint inside the file"), "{report}");
    assert_eq!(report.lines().last().unwrap(), format!("ok: 5 records, tree size 5, root {root}"));
    assert_eq!(verify(&export(&[], 0, 0, 7)).unwrap().records, 0);
}

#[test]
fn what_was_in_force_and_who_approved_it_is_told_also_by_a_part_of_a_log() {
    let [old, new] = ["ab", "cd"].map(|of| of.repeat(32));
    let loaded = |of: &String| Event::PolicyLoaded {
        policy_sha256: of.clone(),
        rules: 1,
        columns: 1,
        map_sha256: None,
        policy_file_sha256: None,
    };
    let voted = |of: &String, person: &str| Event::PolicyVoted {
        policy_sha256: of.clone(),
        person: person.into(),
        strength: None,
    };
    let proposed = |of: &String| Event::PolicyProposed { policy_sha256: of.clone() };
    let mut decided = Statement::blank(SessionId::from_bytes([7; 16]), 1, "dana".into());
    decided.policy_sha256.clone_from(&old);
    let records = log_of([
        loaded(&old),
        // What somebody says of an earlier proposal is not said of the later one.
        proposed(&new),
        voted(&new, "eve"),
        Event::StatementDecided(Box::new(decided)),
        proposed(&new),
        voted(&new, "olga"),
        voted(&new, "olga"),
        voted(&new, "omar"),
        Event::PolicyApproved { policy_sha256: new.clone() },
        loaded(&new),
        // A restart is no change.
        loaded(&new),
        loaded(&old),
    ]);
    let told = |first: usize, end: usize| {
        let policies = verify(&export(&records, first, end, 7)).unwrap().policies;
        policies.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let at = |micros: i64| stepgate_types::Timestamp::from_micros(1000 + micros).to_string();
    let all = [
        format!("{old} in force from record 0, {}", at(0)),
        format!("{new} in force from record 9, {}, approved by olga and omar", at(9)),
        format!("{old} in force from record 11, {}", at(11)),
    ];
    assert_eq!(told(0, 12), all);
    assert_eq!(told(0, 9), all[..1]);
    // One that begins later tells by what was decided first in it.
    assert_eq!(told(3, 11), [format!("{old} in force by record 3, {}", at(3)), all[1].clone()]);
    assert_eq!(told(4, 9), Vec::<String>::new());
    let lines = report(&verify(&export(&records, 0, 12, 7)));
    assert!(lines.contains(&format!("\npolicy: {}\npolicy: {}\n", all[1], all[2])), "{lines}");
}

#[test]
fn nobody_is_said_to_have_approved_what_came_into_force_without_it() {
    let [old, new] = ["ab", "cd"].map(|of| of.repeat(32));
    let loaded = |of: &String| Event::PolicyLoaded {
        policy_sha256: of.clone(),
        rules: 1,
        columns: 1,
        map_sha256: None,
        policy_file_sha256: None,
    };
    let proposed = Event::PolicyProposed { policy_sha256: new.clone() };
    let voted = Event::PolicyVoted { policy_sha256: new.clone(), person: "olga".into(), strength: None };
    let approved = Event::PolicyApproved { policy_sha256: new.clone() };
    let released = Event::PolicyReleased { policy_sha256: old.clone() };
    for (between, by_olga) in [
        (vec![proposed.clone(), voted.clone(), approved.clone()], true),
        // One vote of two, and then two people are no longer asked for.
        (vec![proposed.clone(), voted.clone(), released.clone()], false),
        // What was approved once is put back when nobody is asked any more.
        (vec![proposed, voted, approved, released], false),
    ] {
        let events: Vec<_> = [vec![loaded(&old)], between, vec![loaded(&new)]].concat();
        let records = log_of(events);
        let policies = verify(&export(&records, 0, records.len(), 7)).unwrap().policies;
        assert_eq!(
            policies.last().unwrap().to_string().ends_with("approved by olga"),
            by_olga,
            "{policies:?}"
        );
    }
}

#[test]
fn every_part_of_a_log_verifies_by_itself() {
    let records = log(13);
    for first in 0..=13 {
        for end in first..=13 {
            let verified = verify(&export(&records, first, end, 7)).unwrap();
            assert_eq!((verified.records, verified.tree_size), ((end - first) as u64, 13));
        }
    }
}

#[test]
fn no_flipped_bit_anywhere_in_an_export_is_accepted() {
    let records = log(6);
    for (first, end) in [(0, 6), (2, 5), (3, 3)] {
        let good = export(&records, first, end, 7);
        assert!(verify(&good).is_ok());
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(verify(&bad).is_err(), "byte {at} bit {bit} of {first}..{end}");
            }
        }
    }
}

#[test]
fn a_changed_byte_in_a_record_names_that_record() {
    let good = export(&log(6), 0, 6, 7);
    let lines = lines(&good);
    for seq in 0..6_usize {
        let start: usize = lines[..=seq].iter().map(Vec::len).sum();
        // All but the newline, whose loss joins two records.
        for at in start..start + lines[seq + 1].len() - 1 {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(
                place(&verify(&bad)),
                Place::Record(seq as u64),
                "byte {} of record {seq}",
                at - start
            );
        }
    }
}

#[test]
fn lines_cannot_be_removed_added_moved_or_repeated() {
    let lines = lines(&export(&log(6), 0, 6, 7));
    // What is named is the first line that is not in its place.
    let named = |changed: &[Vec<u8>], what: &str| {
        let at = (0..).find(|at| changed.get(*at) != lines.get(*at)).unwrap();
        let expected = match at {
            0 => Place::Header,
            1..=6 => Place::Record(at as u64 - 1),
            7 if !changed.get(7).is_some_and(|line| lines[1..7].contains(line)) => Place::Checkpoint,
            _ => Place::Record(6),
        };
        assert_eq!(place(&verify(&changed.concat())), expected, "{what}");
    };
    for at in 0..lines.len() {
        let mut removed = lines.clone();
        let line = removed.remove(at);
        named(&removed, &format!("without line {at}"));
        for to in 0..=removed.len() {
            let mut moved = removed.clone();
            moved.insert(to, line.clone());
            if moved == lines {
                assert!(verify(&moved.concat()).is_ok());
            } else {
                named(&moved, &format!("line {at} to {to}"));
            }
            let mut repeated = lines.clone();
            repeated.insert(to, line.clone());
            named(&repeated, &format!("line {at} again at {to}"));
        }
    }
}

#[test]
fn a_file_cut_short_anywhere_is_found() {
    let good = export(&log(4), 0, 4, 7);
    for end in 0..good.len() {
        assert!(verify(&good[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn a_history_rewritten_with_another_key_is_found_by_key_and_by_checkpoint() {
    let rewritten = export(&log(6), 0, 6, 8);
    assert!(verify(&rewritten).is_ok(), "consistent in itself");
    let key = signer(7).verifier_key().to_string();
    assert_eq!(place(&anchored(&rewritten, &key)), Place::Checkpoint);
    let early = checkpoint(&log(3)).sign(&signer(7)).to_string();
    assert_eq!(place(&anchored(&rewritten, &early)), Place::Checkpoint);
}

#[test]
fn a_log_rewritten_or_cut_by_whoever_holds_the_key_is_found_by_an_old_checkpoint() {
    let records = log(6);
    let early = checkpoint(&records[..4]).sign(&signer(7)).to_string();
    let good = export(&records, 0, 6, 7);
    assert!(anchored(&good, &early).is_ok());
    assert!(anchored(&good, &format!("{}\n{early}", signer(7).verifier_key())).is_ok());

    let cut = export(&records[..3], 0, 3, 7);
    assert!(verify(&cut).is_ok(), "consistent in itself");
    // That it is short is told; whether it was cut off, or made before the checkpoint, is not in it.
    let failure = anchored(&cut, &early).unwrap_err();
    assert_eq!(failure.place, Place::Uncompared);
    assert!(
        failure.why.contains("covers 4 records, this export 3") && failure.why.contains("from 3 on"),
        "{failure}"
    );
    assert!(!failure.is_finding() && !failure.to_string().contains("FAILED"), "{failure}");
    // What is wrong with it by itself comes first.
    let mut altered = cut;
    let byte = altered.iter().position(|byte| *byte == b'\n').unwrap() + 40;
    altered[byte] ^= 1;
    assert_eq!(place(&anchored(&altered, &early)), Place::Record(0));

    let mut prev = Hash::ZERO;
    let rewritten: Vec<Vec<u8>> = (0..6)
        .map(|seq| {
            let event = Event::LogStarted(Started::new("other"));
            let bytes = Fitted::new(&event).unwrap().record(LOG, seq, 1000, &prev).unwrap();
            prev = Hash::leaf(&bytes);
            bytes
        })
        .collect();
    let rewritten = export(&rewritten, 0, 6, 7);
    assert!(verify(&rewritten).is_ok(), "consistent in itself");
    let Failure { place, why } = anchored(&rewritten, &early).unwrap_err();
    assert_eq!(place, Place::Record(0));
    assert!(why.contains("records 0 to 3"), "{why}");
}

#[test]
fn records_linked_anew_after_an_alteration_do_not_meet_the_signed_root() {
    let mut records = log(6);
    let signed = checkpoint(&records).sign(&signer(7));
    let mut prev = Hash::leaf(&records[1]);
    for (seq, record) in records.iter_mut().enumerate().skip(2) {
        let event = Event::LogStarted(Started::new("forged"));
        *record = Fitted::new(&event).unwrap().record(LOG, seq as u64, 1000, &prev).unwrap();
        prev = Hash::leaf(record);
    }
    let mut lines = lines(&export(&records, 0, 6, 7));
    lines.pop();
    lines.push([checkpoint_line(&signed), b"\n".to_vec()].concat());
    let failure = verify(&lines.concat()).unwrap_err();
    assert_eq!(failure.place, Place::Record(0));
    assert!(failure.why.contains("the links were made anew"), "{failure}");
}

#[test]
fn a_checkpoint_that_cannot_be_compared_is_not_taken_for_a_good_one() {
    let records = log(6);
    let early = checkpoint(&records[..2]).sign(&signer(7)).to_string();
    assert_eq!(place(&anchored(&export(&records, 3, 6, 7), &early)), Place::Uncompared);
    let middle = checkpoint(&records[..5]).sign(&signer(7)).to_string();
    assert_eq!(place(&anchored(&export(&records, 0, 4, 7), &middle)), Place::Uncompared);
}

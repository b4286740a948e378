//! The log: verified, then damaged (in copies), and the damage found.

use std::path::Path;

use stepgate_testkit::{Error, Outcome};

use super::show::Show;
use super::stage::Stage;

/// How a record says that Olga said no, and what somebody makes of it.
const DENIED: &[u8] = br#""outcome":"denied""#;
const AGREED: &[u8] = br#""outcome":"agreed""#;

/// The last scenes: the log holds what happened, and a changed byte does not go unnoticed.
pub(super) fn audit(stage: &mut Stage, show: &mut Show) -> Result<(), Error> {
    let (export, checkpoint) = verified(stage, show)?;
    changed_export(stage, show, &export, &checkpoint)?;
    changed_log(stage, show, &checkpoint)
}

fn verified(stage: &Stage, show: &mut Show) -> Result<(std::path::PathBuf, std::path::PathBuf), Error> {
    let (export, checkpoint) =
        (stage.tree.path().join("audit.jsonl"), stage.tree.path().join("checkpoint.json"));
    show.scene("Everything was recorded before it happened, and can be proven");
    let signed = stage.gate.run(["audit", "checkpoint"], "")?.ok()?;
    std::fs::write(&checkpoint, signed).map_err(Error::doing("keeping a checkpoint"))?;
    show.command("you", "stepgate audit checkpoint > checkpoint.json    (kept elsewhere)");
    show.command("you", "stepgate audit verify --checkpoint checkpoint.json");
    let kept = checkpoint.to_string_lossy().into_owned();
    let outcome = stage.gate.run(["audit", "verify", "--checkpoint", &kept], "")?;
    show.printed(&outcome.text().lines().collect::<Vec<_>>());
    show.check(
        outcome.status == 0 && last_line(&outcome).starts_with("ok: "),
        "the log agrees with its signed tree head",
    );

    show.command("you", "stepgate audit export --format jsonl --out audit.jsonl");
    let out = export.to_string_lossy().into_owned();
    stage.gate.run(["audit", "export", "--format", "jsonl", "--out", &out], "")?.ok()?;
    let text = read(&export)?;
    let text = String::from_utf8_lossy(&text);
    for what in ["statement.decided", "stepup.requested"] {
        if !text.contains(what) {
            show.check(false, &format!("the export holds {what}"));
        }
    }
    // Of the first row of customers, and of what Dana typed.
    let leaked =
        ["@example.test", "901-00-0001", "Amir", "'kitchen'"].iter().find(|value| text.contains(*value));
    show.check(
        leaked.is_none(),
        "it holds when, which tables and which rule, and who by a commitment, but no value and no row",
    );
    Ok((export, checkpoint))
}

fn changed_export(stage: &Stage, show: &mut Show, export: &Path, checkpoint: &Path) -> Result<(), Error> {
    show.scene("One word changed in a copy of the export");
    let copy = stage.tree.path().join("changed.jsonl");
    let mut bytes = read(export)?;
    let sound = verify(stage, export, checkpoint)?;
    show.check(sound.status == 0, "the export itself verifies offline, without keys");
    change(&mut bytes, DENIED, AGREED).ok_or_else(|| Error::new("the export holds no denial"))?;
    std::fs::write(&copy, bytes).map_err(Error::doing("writing the copy"))?;
    show.say("Somebody would rather that Olga had agreed.");
    show.command("you", "stepgate audit verify changed.jsonl --offline --checkpoint checkpoint.json");
    found(show, &verify(stage, &copy, checkpoint)?);
    Ok(())
}

fn changed_log(stage: &mut Stage, show: &mut Show, checkpoint: &Path) -> Result<(), Error> {
    show.scene("One word changed in a copy of the log itself");
    let copy = stage.tree.path().join("changed-data");
    copy_directory(&stage.gate.data(), &copy)?;
    let sound = verify(stage, &copy, checkpoint)?;
    show.check(sound.status == 0, "the copy verifies as long as it is untouched");
    let file = change_in_directory(&copy, DENIED, AGREED)?;
    show.say(&format!("Changed in {file}: again, Olga has agreed."));
    show.command("you", "stepgate audit verify changed-data --offline --checkpoint checkpoint.json");
    found(show, &verify(stage, &copy, checkpoint)?);
    Ok(())
}

fn verify(stage: &Stage, what: &Path, checkpoint: &Path) -> Result<Outcome, Error> {
    let (what, checkpoint) = (what.to_string_lossy().into_owned(), checkpoint.to_string_lossy().into_owned());
    stage.gate.run(["audit", "verify", &what, "--offline", "--checkpoint", &checkpoint], "")
}

fn found(show: &mut Show, outcome: &Outcome) {
    show.printed(&outcome.text().lines().collect::<Vec<_>>());
    let named = outcome.text().lines().any(|line| line.starts_with("FAILED: "));
    show.check(outcome.status == 1 && named, "found and named (exit status 1)");
}

fn last_line(outcome: &Outcome) -> String {
    outcome.stdout.lines().last().unwrap_or_default().to_owned()
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(Error::doing(format_args!("{}", path.display())))
}

/// Replaces the first occurrence of `old` by `new`, of the same length.
fn change(bytes: &mut [u8], old: &[u8], new: &[u8]) -> Option<()> {
    let at = bytes.windows(old.len()).position(|window| window == old)?;
    let place = bytes.get_mut(at..at + new.len())?;
    place.copy_from_slice(new);
    Some(())
}

/// Changes the first file of the directory's records that holds `old`; its name.
fn change_in_directory(directory: &Path, old: &[u8], new: &[u8]) -> Result<String, Error> {
    let mut files = Vec::new();
    walk(&directory.join("records"), &mut files)?;
    for file in files {
        let mut bytes = read(&file)?;
        if change(&mut bytes, old, new).is_some() {
            std::fs::write(&file, bytes).map_err(Error::doing("changing the copy"))?;
            return Ok(file.strip_prefix(directory).unwrap_or(&file).display().to_string());
        }
    }
    Err(Error::new("no file of the log names dana"))
}

/// Regular files below a directory, in the order of their names.
fn walk(directory: &Path, files: &mut Vec<std::path::PathBuf>) -> Result<(), Error> {
    let entries =
        std::fs::read_dir(directory).map_err(Error::doing(format_args!("{}", directory.display())))?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            walk(&path, files)?;
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

/// Regular files only: the admin socket of the serving gate is not part of the log.
fn copy_directory(from: &Path, to: &Path) -> Result<(), Error> {
    let mut files = Vec::new();
    walk(from, &mut files)?;
    for file in files {
        let target = to.join(file.strip_prefix(from).map_err(Error::doing("copying the log"))?);
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent).map_err(Error::doing("copying the log"))?;
        }
        std::fs::copy(&file, &target).map_err(Error::doing("copying the log"))?;
    }
    Ok(())
}

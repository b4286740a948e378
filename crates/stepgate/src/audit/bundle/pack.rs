//! This side's part: what the gate gave out is checked, rendered, described and packed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, StatxAttributes, StatxFlags};
use serde_json::Value;
use stepgate_record::Filter;
use stepgate_record::bundle::{Examined, FileInfo, Files as _, Format, Manifest, TarWriter, examine, files};
use stepgate_types::Entropy as _;

use super::{BundleDir, Spool, create, sync_parent};
use crate::audit::AuditOperator;
use crate::failure::Failure;
use crate::operator::{Link, Operator, Reply};
use crate::output;
use crate::system::SystemEntropy;

/// What the gate gives out.
const GIVEN: [&str; 7] = [
    files::RECORDS,
    files::PROOF,
    files::CHECKPOINT,
    files::COSIGNED,
    files::KEYS,
    files::EXPORTED,
    files::SUBJECTS,
];

/// Where an export goes.
pub(crate) enum Target {
    /// The records alone, as lines, to a file or to standard output.
    Lines,
    /// A bundle.
    Tar(PathBuf),
    /// A bundle.
    Dir(PathBuf),
}

/// By the name: `.tar` is an archive, no ending or an existing directory a directory, `.jsonl` the records alone. Of any
/// other ending nobody can tell what is meant.
pub(crate) fn target(out: Option<&Path>) -> Result<Target, Failure> {
    let Some(path) = out else { return Ok(Target::Lines) };
    if path.is_dir() || path.to_string_lossy().ends_with('/') {
        return Ok(Target::Dir(path.to_owned()));
    }
    let ending = path.extension().map(|ending| ending.to_string_lossy());
    match ending.as_deref() {
        Some("tar") => Ok(Target::Tar(path.to_owned())),
        None => Ok(Target::Dir(path.to_owned())),
        Some("jsonl") => Ok(Target::Lines),
        Some("csv" | "parquet" | "cef" | "gz" | "zip") => {
            Err(Failure::usage(format!("{} is no name for an export", path.display())).hint(
                "a bundle holds the records, what proves them and the form asked for: write --out NAME.tar, or --out \
                 DIRECTORY",
            ))
        }
        Some(ending) => {
            let name = path.display();
            Err(Failure::usage(format!("{name} is no name for an export: what is .{ending}?")).hint(format!(
                "write --out {name}.tar for an archive, --out {name}/ for a directory, or --out NAME.jsonl for the \
                 records alone"
            )))
        }
    }
}

/// What is to be exported.
pub(crate) struct Wanted {
    pub(crate) filter: Filter,
    pub(crate) format: Format,
    pub(crate) sign: bool,
    pub(crate) redact: bool,
    pub(crate) meet: BTreeSet<u64>,
}

/// Writes a bundle. It appears once it is whole.
pub(crate) fn pack(link: &Link, wanted: Wanted, target: &Target) -> Result<(), Failure> {
    let path = match target {
        Target::Tar(path) => {
            free_file(path)?;
            path
        }
        Target::Dir(path) => {
            free_dir(path)?;
            path
        }
        Target::Lines => return Err(Failure::usage("a bundle needs --out NAME.tar, or --out DIRECTORY")),
    };
    let trouble = |error: &io::Error| Failure::file("write", path, error);
    let spool = Spool::beside(path)?;
    let (sign, id) = (wanted.sign, new_id()?);
    let format = wanted.format;
    fetch(link, wanted, &id, spool.path()).map_err(|error| error.either(&trouble))?;
    let (examined, manifest) = make(spool.path(), format, sign)?;
    seal(link, &manifest, spool.path()).map_err(|error| error.either(&trouble))?;
    let order = order(format, &manifest);
    match target {
        Target::Tar(_) => archive(spool.path(), &order, path).map_err(|error| trouble(&error))?,
        _ => move_to(&spool, path).map_err(|error| trouble(&error))?,
    }
    output::print_line(&format!(
        "wrote {}: {} records, tree size {}; see COVER.txt in it",
        path.display(),
        examined.records(),
        manifest.tree_size
    ))
}

/// A file that is to be written must not be there yet: what was exported before is never written over.
pub(crate) fn free_file(path: &Path) -> Result<(), Failure> {
    let refused = |what: &str, hint: &str| {
        Err(Failure::usage(format!("{} {what}", path.display())).hint(hint.to_owned()))
    };
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_symlink() => {
            refused("is a symbolic link", "name what it leads to, or another file that is not there yet")
        }
        Ok(there) if there.is_file() || there.is_dir() => {
            refused("exists already", "name a file that is not there yet, or remove that one")
        }
        Ok(_) => refused(
            "is no file, but a device, pipe or socket",
            "name a file that is not there yet; without --out, lines and reports go to standard output",
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::file("write", path, &error)),
    }
}

/// A directory that is to be written must be empty, or not there yet.
fn free_dir(path: &Path) -> Result<(), Failure> {
    if !fs::symlink_metadata(path).is_ok_and(|there| there.is_dir()) {
        return free_file(path);
    }
    match fs::read_dir(path) {
        Ok(mut entries) => match entries.next() {
            None => replaceable(path),
            Some(_) => Err(Failure::usage(format!("{} is not empty", path.display()))
                .hint("name a directory that is not there yet; an export is never mixed with another")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::file("write", path, &error)),
    }
}

/// An export takes the place of an empty directory, which not every one lets itself be.
fn replaceable(path: &Path) -> Result<(), Failure> {
    let refused = |what: &str| {
        Err(Failure::usage(format!("{} {what}, which no export can take the place of", path.display()))
            .hint(format!("name a directory in it: --out {}", path.join("export").display())))
    };
    // `.` and `..` are no names.
    if path.file_name().is_none() {
        return refused("is the directory itself");
    }
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    match rustix::fs::statx(rustix::fs::CWD, path, flags, StatxFlags::BASIC_STATS) {
        Ok(there) if there.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) => {
            refused("is a mount point")
        }
        // Where the system does not tell, renaming will.
        _ => Ok(()),
    }
}

/// A name for an export.
pub(crate) fn new_id() -> Result<String, Failure> {
    let mut id = [0; 16];
    SystemEntropy
        .fill(&mut id)
        .map_err(|error| Failure::usage(format!("the operating system gave no randomness: {error}")))?;
    Ok(data_encoding::HEXLOWER.encode(&id))
}

/// A failure of the gate, or of writing here.
enum Trouble {
    Gate(Failure),
    Io(io::Error),
}

impl Trouble {
    fn either(self, io: &dyn Fn(&io::Error) -> Failure) -> Failure {
        match self {
            Self::Gate(failure) => failure,
            Self::Io(error) => io(&error),
        }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Gate(failure)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Has the gate give out its part, into files.
fn fetch(link: &Link, wanted: Wanted, id: &str, dir: &Path) -> Result<(), Trouble> {
    let command = Operator::audit(AuditOperator::Bundle {
        id: id.to_owned(),
        filter: wanted.filter,
        format: wanted.format.as_str().to_owned(),
        redact: wanted.redact,
        meet: wanted.meet,
    });
    let mut open: BTreeMap<&'static str, BufWriter<File>> = BTreeMap::new();
    let mut current = None;
    let mut failed = None;
    let mut each = |reply| {
        let wrong = || Failure::unreachable("the gate gave an answer that is not understood");
        match reply {
            Reply::Row(row) => {
                let name = row.get("file").and_then(Value::as_str);
                let name = GIVEN.into_iter().find(|given| Some(*given) == name).ok_or_else(wrong)?;
                if !open.contains_key(name) {
                    let file = create(&dir.join(name)).map_err(|error| {
                        failed = Some(error);
                        Failure::told()
                    })?;
                    open.insert(name, BufWriter::new(file));
                }
                current = Some(name);
            }
            Reply::Text(text) => {
                let file = current.and_then(|name| open.get_mut(name)).ok_or_else(wrong)?;
                file.write_all(text.as_bytes()).map_err(|error| {
                    failed = Some(error);
                    Failure::told()
                })?;
            }
            _ => {}
        }
        Ok(())
    };
    let done = link.send(command, &mut each);
    if let Some(error) = failed {
        return Err(error.into());
    }
    done?;
    open.values_mut().try_for_each(Write::flush)?;
    Ok(())
}

/// Checks what was given out, and writes what is made of it: the derived file, the cover, the manifest.
fn make(dir: &Path, format: Format, sign: bool) -> Result<(Examined, Manifest), Failure> {
    let there = BundleDir::new(dir);
    let trouble = |error: io::Error| Failure::usage(format!("the export cannot be written: {error}"));
    let examined = match format.file() {
        None => examine(&there, None, &mut io::sink()),
        Some(name) => {
            let mut derived = BufWriter::new(create(&dir.join(name)).map_err(trouble)?);
            let examined = examine(&there, None, &mut derived);
            derived.flush().map_err(trouble)?;
            examined
        }
    };
    let examined = examined.map_err(|failure| {
        Failure::usage(format!("there is no such export: {}: {}", failure.place, failure.why))
    })?;
    write(dir, files::COVER, examined.cover(sign).as_bytes()).map_err(trouble)?;
    let mut infos = BTreeMap::new();
    for name in there.names() {
        let file = there.open(&name).map_err(trouble)?;
        if let Some(mut file) = file {
            infos.insert(name, FileInfo::of(&mut *file).map_err(trouble)?);
        }
    }
    let manifest = examined.manifest(infos, sign);
    write(dir, files::MANIFEST, &manifest.bytes()).map_err(trouble)?;
    Ok((examined, manifest))
}

/// Has the gate record the manifest, and sign it.
fn seal(link: &Link, manifest: &Manifest, dir: &Path) -> Result<(), Trouble> {
    let command = Operator::audit(AuditOperator::BundleSeal { manifest: Box::new(manifest.clone()) });
    let mut note = String::new();
    link.send(command, &mut |reply| {
        if let Reply::Text(text) = reply {
            note.push_str(&text);
        }
        Ok(())
    })?;
    if manifest.signed {
        write(dir, files::NOTE, note.as_bytes())?;
    }
    Ok(())
}

/// The order of an archive: what people look at comes first.
fn order(format: Format, manifest: &Manifest) -> Vec<&'static str> {
    let mut order = vec![files::COVER, files::MANIFEST];
    order.extend(manifest.signed.then_some(files::NOTE));
    order.extend([files::RECORDS, files::PROOF, files::CHECKPOINT, files::KEYS, files::EXPORTED]);
    order.extend(manifest.files.contains_key(files::COSIGNED).then_some(files::COSIGNED));
    order.extend((!manifest.redacted).then_some(files::SUBJECTS));
    order.extend(format.file());
    order
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    create(&dir.join(name))?.write_all(bytes)
}

fn archive(dir: &Path, order: &[&str], path: &Path) -> io::Result<()> {
    let whole = tempfile::NamedTempFile::new_in(dir)?;
    let mut tar = TarWriter::new(BufWriter::new(whole.as_file()));
    for name in order {
        let file = File::open(dir.join(name))?;
        let size = file.metadata()?.len();
        tar.file(name, size, &mut BufReader::new(file))?;
    }
    tar.finish()?.flush()?;
    whole.as_file().sync_all()?;
    whole.persist_noclobber(path).map_err(|error| error.error)?;
    sync_parent(path)
}

fn move_to(spool: &Spool, path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(spool.path())? {
        File::open(entry?.path())?.sync_all()?;
    }
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    File::open(spool.path())?.sync_all()?;
    fs::rename(spool.path(), path)?;
    sync_parent(path)
}

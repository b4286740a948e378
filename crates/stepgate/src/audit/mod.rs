//! `stepgate audit …`: reading, proving and keeping the log.

mod bundle;
mod filter;
mod keep;
mod keys;
mod list;
mod live;
mod operator;
mod pieces;
mod report;
mod search;
mod shown;
mod shred;
mod tail;
#[cfg(test)]
mod tests;
mod tiles;
mod verify;

pub(crate) use filter::time;
pub(crate) use operator::{AuditOperator, execute};
pub(crate) use report::html::{STYLE, escaped};
pub(crate) use shown::{settle, told};

use std::io::Write;
use std::path::Path;

use stepgate_record::Filter;
use stepgate_record::bundle::Format;
use stepgate_types::Clock as _;

use crate::args::{AuditCommand, ExportFormat};
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::{Link, Operator, Reply};
use crate::output;
use crate::system::SystemClock;

/// Runs one of them.
pub(crate) fn run(config: &Path, command: &AuditCommand) -> Result<(), Failure> {
    match command {
        AuditCommand::Tail { lines, follow, filter, output } => {
            let filter = filter::filter(filter, SystemClock.now())?;
            let config = Config::load(config)?;
            let link = if *follow { Link::to_gate(&config)? } else { Link::open(&config)? };
            list::tail(&link, (*lines, *follow), filter, *output)
        }
        AuditCommand::Search { filter, limit, reverse, scan, output } => {
            let filter = filter::filter(filter, SystemClock.now())?;
            let search = AuditOperator::Search { filter, limit: *limit, reverse: *reverse, scan: *scan };
            list::search(&Link::open(&Config::load(config)?)?, search, *output)
        }
        AuditCommand::Verify(args) => verify::verify(config, args),
        AuditCommand::Export { filter, format, sign, redact, meet, out } => {
            let now = stepgate_types::Clock::now(&crate::system::SystemClock);
            let filter = filter::filter(filter, now)?;
            let wanted = bundle::Wanted {
                filter,
                format: (*format).into(),
                sign: *sign,
                redact: *redact,
                meet: verify::sizes(meet)?,
            };
            export(config, wanted, out.as_deref())
        }
        AuditCommand::Tiles { dir } => tiles::write(&Link::open(&Config::load(config)?)?, dir),
        AuditCommand::Prove { record } => {
            let command = Operator::audit(AuditOperator::Prove { record: *record });
            write_text(&Link::open(&Config::load(config)?)?, command, None)
        }
        AuditCommand::Checkpoint => {
            let command = Operator::audit(AuditOperator::Checkpoint {});
            write_text(&Link::open(&Config::load(config)?)?, command, None)
        }
        AuditCommand::Backup { dir } => keep::backup(config, dir),
        AuditCommand::Restore { dir, to } => keep::restore(config, dir, to),
        AuditCommand::Retention { dry_run } => keep::retention(config, *dry_run),
        AuditCommand::Shred { subject, now } => {
            let config = Config::load(config)?;
            let keep = config.audit.upkeep.keep;
            let keep_us = keep.map(|keep| u64::try_from(keep.as_micros()).unwrap_or(u64::MAX));
            let command = AuditOperator::Shred { subject: subject.clone(), keep_us, now: *now };
            let said = Link::open(&config)?.tell(Operator::audit(command))?;
            said.iter().try_for_each(|said| output::print_line(said))
        }
        AuditCommand::RotateKey => {
            let command = Operator::audit(AuditOperator::RotateKey {});
            write_text(&Link::open(&Config::load(config)?)?, command, None)
        }
        AuditCommand::Cosign { file } => keys::cosign(&Config::load(config)?, file),
        AuditCommand::Report(command) => report::run(&Config::load(config)?, command, SystemClock.now()),
        AuditCommand::Sink(command) => crate::deliver::run(config, command),
    }
}

/// A bundle, or the records alone.
fn export(config: &Path, wanted: bundle::Wanted, out: Option<&Path>) -> Result<(), Failure> {
    let target = bundle::target(out)?;
    if !matches!(target, bundle::Target::Lines) {
        return bundle::pack(&Link::open(&Config::load(config)?)?, wanted, &target);
    }
    let Filter { since, until, .. } = wanted.filter;
    let plain = wanted.format == Format::Jsonl && !wanted.sign && !wanted.redact && wanted.meet.is_empty();
    if !plain || wanted.filter != (Filter { since, until, ..Filter::default() }) {
        return Err(Failure::usage("lines alone are all records of a time, as they are")
            .hint("for anything else write a bundle: --out NAME.tar, or --out DIRECTORY"));
    }
    let command = Operator::audit(AuditOperator::Export { since, until });
    write_text(&Link::open(&Config::load(config)?)?, command, out)
}

impl From<ExportFormat> for Format {
    fn from(format: ExportFormat) -> Self {
        match format {
            ExportFormat::Jsonl => Self::Jsonl,
            ExportFormat::Csv => Self::Csv,
            ExportFormat::Parquet => Self::Parquet,
            ExportFormat::Ocsf => Self::Ocsf,
            ExportFormat::Cef => Self::Cef,
        }
    }
}

/// Writes text as it comes, to a file that appears once it is whole, or to standard output.
fn write_text(link: &Link, command: Operator, out: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = out else {
        let said = link.send(command, &mut |reply| match reply {
            Reply::Text(text) => output::stream(&text),
            _ => Ok(()),
        })?;
        said.into_iter().for_each(|said| eprintln!("{said}"));
        return Ok(());
    };
    let trouble = |error: &std::io::Error| Failure::file("write", path, error);
    bundle::free_file(path)?;
    let spool = bundle::Spool::beside(path)?;
    let mut file = tempfile::NamedTempFile::new_in(spool.path()).map_err(|error| trouble(&error))?;
    let said = link.send(command, &mut |reply| match reply {
        Reply::Text(text) => file.write_all(text.as_bytes()).map_err(|error| trouble(&error)),
        _ => Ok(()),
    })?;
    file.as_file().sync_all().map_err(|error| trouble(&error))?;
    file.persist_noclobber(path).map_err(|error| trouble(&error.error))?;
    bundle::sync_parent(path).map_err(|error| trouble(&error))?;
    output::print_line(&format!(
        "wrote {}{}",
        path.display(),
        said.map_or(String::new(), |said| format!(": {said}"))
    ))
}

//! `stepgate audit …`, as clap reads it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use stepgate_types::{Commit, GrantId, InvalidName, PersonName, RequestId, SessionId};

use super::Format;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Show the last records
    #[command(after_help = "Example:\n  stepgate audit tail -f --person dana")]
    Tail {
        /// How many.
        #[arg(short = 'n', long, default_value_t = 20)]
        lines: u64,
        /// Go on with new ones until interrupted; while a gate serves.
        #[arg(short, long)]
        follow: bool,
        #[command(flatten)]
        filter: FilterArgs,
        /// How to write them; with `-f`, `json` is one object a line.
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Find records, by an index
    #[command(
        after_help = "Examples:\n  stepgate audit search --person dana --label ssn --since 30d\n  stepgate audit search --request 7K4M-9QXD -o json\n\nOf several flags all must hold; a flag that is given several times holds if one of them does."
    )]
    Search {
        #[command(flatten)]
        filter: FilterArgs,
        /// At most so many.
        #[arg(long, default_value_t = 1000)]
        limit: u64,
        /// The newest first.
        #[arg(long)]
        reverse: bool,
        /// Read every record instead of the index.
        #[arg(long)]
        scan: bool,
        /// How to write the list.
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Check the log, an export, a backup, or a copy of the data directory against signed checkpoints
    #[command(
        after_help = "Examples:\n  stepgate audit verify\n  stepgate audit verify evidence.tar --offline --checkpoint checkpoint.txt\n\nThe last line is `ok: …` (exit status 0), `FAILED: …` (1), or `not compared: …` (3): sound by itself, but it holds nothing that the checkpoint given could be compared with."
    )]
    Verify(AuditVerifyArgs),
    /// Write records out, with what is needed to verify them
    #[command(
        after_help = "Examples:\n  stepgate audit export --out audit.jsonl\n  stepgate audit export --since 2026-01-01 --until 2026-04-01 --format parquet --sign --meet checkpoint.txt --out q1.tar"
    )]
    Export {
        #[command(flatten)]
        filter: FilterArgs,
        /// The format that is added to the records themselves.
        #[arg(long, value_enum, default_value_t)]
        format: ExportFormat,
        /// Sign the bundle's manifest by the log's key.
        #[arg(long)]
        sign: bool,
        /// Leave out who it was: names, addresses and reasons stay commitments.
        #[arg(long)]
        redact: bool,
        /// Make a bundle of some records comparable with this checkpoint, which was kept elsewhere.
        #[arg(long, value_name = "CHECKPOINT")]
        meet: Vec<PathBuf>,
        /// Where to write: `NAME.tar`, a directory (no ending, or `NAME/`), or `NAME.jsonl` of the records alone; default:
        /// standard output, jsonl.
        #[arg(long, value_name = "FILE|DIR")]
        out: Option<PathBuf>,
    },
    /// Write the log as a tiled log (C2SP tlog-tiles): static files for its readers and monitors
    #[command(
        after_help = "Example:\n  stepgate audit tiles /srv/log\n\nRun again, it adds what is new. Records are written as they are in the log, names in them as commitments."
    )]
    Tiles {
        /// Where to; missing, empty, or as an earlier run left it.
        dir: PathBuf,
    },
    /// Prove that one record is in the log (C2SP tlog-proof), offline and without the others
    #[command(after_help = "Example:\n  stepgate audit prove 4711 > record-4711.tlog-proof")]
    Prove {
        /// The record's number.
        record: u64,
    },
    /// Sign a checkpoint over all records so far and print it, to be kept elsewhere
    #[command(after_help = "Example:\n  stepgate audit checkpoint > /mnt/elsewhere/checkpoint.txt")]
    Checkpoint,
    /// Add a witness's signature to a checkpoint of this log
    #[command(after_help = "Example:\n  stepgate audit cosign cosigned-checkpoint.txt")]
    Cosign {
        /// A checkpoint of this log with the signature of a configured witness.
        file: PathBuf,
    },
    /// Sign checkpoints by a new key from now on
    #[command(
        after_help = "Example:\n  stepgate audit rotate-key\n\nThe old key signs the new one in: who trusts the old one needs nothing new."
    )]
    RotateKey,
    /// What examiners ask for: activity, approvals, subject access
    #[command(
        subcommand,
        after_help = "Example:\n  stepgate audit report activity --person dana --since 90d"
    )]
    Report(ReportCommand),
    /// Copy the whole log, also while the gate serves
    #[command(
        after_help = "Example:\n  stepgate audit backup /mnt/backup/gate\n\nThe master key is not in it: keep that elsewhere."
    )]
    Backup {
        /// Where to; what an earlier backup left there is not copied again.
        dir: PathBuf,
    },
    /// Make a data directory from a backup
    #[command(after_help = "Example:\n  stepgate audit restore /mnt/backup/gate --to data")]
    Restore {
        /// The backup.
        dir: PathBuf,
        /// The new data directory; must be missing or empty.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Delete what is older than `audit.retention.keep` now
    #[command(after_help = "Example:\n  stepgate audit retention --dry-run")]
    Retention {
        /// Only say what would be deleted.
        #[arg(long)]
        dry_run: bool,
    },
    /// Erase a person's name, an address or a reason, for good: proofs stay valid
    #[command(
        after_help = "Examples:\n  stepgate audit shred person:dana\n  stepgate audit shred address:192.0.2.7\n  stepgate audit shred reason:7K4M-9QXD\n\nBackups that are older keep it."
    )]
    Shred {
        /// `person:NAME`, `address:IP`, `client:NAME`, or `reason:REQUEST`, what was said as that request ended.
        subject: String,
        /// Also where records of it are younger than `audit.retention.keep`.
        #[arg(long)]
        now: bool,
    },
    /// Where records are streamed to
    #[command(subcommand, after_help = "Example:\n  stepgate audit sink ls")]
    Sink(SinkCommand),
}

/// Somebody, by name, or by the commitment that stands in records and is all that is left of a name that was erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Named {
    Name(PersonName),
    Commit(Commit),
}

impl FromStr for Named {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        // No name is as long.
        match text.to_ascii_lowercase().parse() {
            Ok(commit) => Ok(Self::Commit(commit)),
            Err(_) => text.parse().map(Self::Name),
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Commit(commit) => commit.fmt(f),
        }
    }
}

/// Which records.
#[derive(Debug, Args, Clone, Default)]
pub(crate) struct FilterArgs {
    /// Of this person: as who acts, or whom it concerns. Of one who was erased, the 64 digits that stand for them.
    #[arg(long, value_name = "NAME")]
    pub(crate) person: Vec<Named>,
    /// Touching this label.
    #[arg(long)]
    pub(crate) label: Vec<String>,
    /// Reaching this relation, `schema.name`.
    #[arg(long, value_name = "SCHEMA.NAME")]
    pub(crate) table: Vec<String>,
    /// In this database.
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Vec<String>,
    /// Matched by this rule.
    #[arg(long)]
    pub(crate) rule: Vec<String>,
    /// With this verdict or outcome: forward, hold, deny, approved, denied, expired, cancelled, …; or refused by the gate
    /// itself for this: not-own-session, cooling-down, …
    #[arg(long)]
    pub(crate) outcome: Vec<String>,
    /// Of this type, such as `stepup.ended`; `stepup.*` is all of a family.
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: Vec<String>,
    /// Of this session.
    #[arg(long, value_name = "ID")]
    pub(crate) session: Vec<SessionId>,
    /// Of this request.
    #[arg(long, value_name = "ID")]
    pub(crate) request: Vec<RequestId>,
    /// Of this grant, pass or broken glass.
    #[arg(long, value_name = "ID")]
    pub(crate) grant: Vec<GrantId>,
    /// From this address; or from a network, `192.0.2.0/24` or `/64`, or `others`, where records name no more than that.
    #[arg(long, value_name = "IP")]
    pub(crate) address: Vec<String>,
    /// With at least this risk, `>=40`.
    #[arg(long, value_name = ">=N")]
    pub(crate) risk: Option<String>,
    /// Not before: 2026-01-31, 2026-01-31T12:00:00Z, or how long ago: 90d, 12h, 30m.
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Before; as --since.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
}

/// What is added to an export's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub(crate) enum ExportFormat {
    /// Nothing: one JSON object a line.
    #[default]
    Jsonl,
    /// RFC 4180, a row a record.
    Csv,
    /// Apache Parquet, a row a record.
    Parquet,
    /// Open Cybersecurity Schema Framework 1.8.0, one JSON object a line.
    Ocsf,
    /// ArcSight Common Event Format.
    Cef,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReportCommand {
    /// Whose data a subject's is: who read what of it
    #[command(
        after_help = "Examples:\n  stepgate audit report subject-access --subject customers:42 -o html --out access.html\n  stepgate audit report subject-access --subject customers:42 --database shop\n\nNeeds audit.track_subjects; what happened before that was on is only possible, not certain. Integers, numerics and UUIDs are found however they are spelt; a text only as it is stored."
    )]
    SubjectAccess {
        /// `relation:key`.
        #[arg(long, value_name = "RELATION:KEY")]
        subject: String,
        /// In this database alone: the same key may be somebody else's in another.
        #[arg(long, value_name = "NAME")]
        database: Vec<String>,
        #[command(flatten)]
        report: ReportArgs,
    },
    /// What a person did
    #[command(after_help = "Example:\n  stepgate audit report activity --person dana --since 90d")]
    Activity {
        /// Who.
        #[arg(long, value_name = "NAME")]
        person: PersonName,
        #[command(flatten)]
        report: ReportArgs,
    },
    /// Who asked, who approved, and what was done with it; policies, resets and break-glass as well
    #[command(after_help = "Example:\n  stepgate audit report approvals --since 90d -o csv")]
    Approvals {
        #[command(flatten)]
        report: ReportArgs,
    },
}

/// Which period a report is of, and how it is written.
#[derive(Debug, Args, Clone)]
pub(crate) struct ReportArgs {
    /// Not before; as of `audit search`.
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Before; as of `audit search`.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// How to write it.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: ReportFormat,
    /// Where to write, a file that is not there yet; default: standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub(crate) enum ReportFormat {
    /// Columns, for reading.
    #[default]
    Table,
    /// One JSON object.
    Json,
    /// RFC 4180.
    Csv,
    /// One page that needs nothing else.
    Html,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SinkCommand {
    /// List sinks and how far each is
    #[command(after_help = "Example:\n  stepgate audit sink ls -o json")]
    Ls(super::ListArgs),
    /// Send again from a record on
    #[command(after_help = "Example:\n  stepgate audit sink reset siem --from 4711")]
    Reset {
        /// The sink.
        name: String,
        /// The first record to be sent again.
        #[arg(long, value_name = "RECORD")]
        from: u64,
    },
}

/// `audit verify`.
#[derive(Debug, Args)]
pub(crate) struct AuditVerifyArgs {
    /// An export, a backup, or a copy of a data directory; default: the configured log.
    pub(crate) path: Option<PathBuf>,
    /// Read nothing but what is named here: no configuration, no gate.
    #[arg(long)]
    pub(crate) offline: bool,
    /// A checkpoint that was kept elsewhere.
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// Demand that this witness (its verifier key) has cosigned the checkpoint of what is verified.
    #[arg(long, value_name = "VKEY")]
    pub(crate) witness: Vec<String>,
    /// How to write what was found: notes and policies, and in the last line whether all is well; or one JSON object.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: VerifyFormat,
}

/// How it is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum VerifyFormat {
    /// Lines for people, and for scripts that read the last one.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_named_or_given_by_the_digits_that_stand_for_them_once_they_are_erased() {
        let named = |text: &str| text.parse::<Named>().map(|named| named.to_string());
        assert_eq!(named("dana").unwrap(), "dana");
        assert_eq!(named(&"AB".repeat(32)).unwrap(), "ab".repeat(32));
        // The longest name is one letter shorter.
        assert_eq!(named(&"a".repeat(63)).unwrap(), "a".repeat(63));
        for wrong in ["Dana", "", &"g".repeat(64), &"a".repeat(65)] {
            assert!(named(wrong).is_err(), "{wrong}");
        }
    }
}

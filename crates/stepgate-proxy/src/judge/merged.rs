//! A message of several statements, as one.

use std::collections::BTreeSet;

use stepgate_session::Stores;
use stepgate_sql::{Doubt, Facts, Message, Sink, SinkKind};
use stepgate_types::{BulkShape, Certainty, Kind, RelationName};

/// The facts of a whole message, as records and grants need them.
pub(super) struct Merged {
    pub(super) kinds: BTreeSet<Kind>,
    pub(super) certainty: Certainty,
    pub(super) reasons: BTreeSet<&'static str>,
    /// Those of them for which it is not understood.
    pub(super) doubts: BTreeSet<&'static str>,
    pub(super) relations: BTreeSet<RelationName>,
    pub(super) has_sink: bool,
    /// Whether all that it stores goes into relations that it is known to reach.
    pub(super) stores_rows: bool,
    /// Whether it stores rows, and its command tags tell how many.
    pub(super) stores: Stores,
    pub(super) sinks: Vec<String>,
    pub(super) functions: BTreeSet<String>,
    pub(super) bulk: BulkShape,
    pub(super) fingerprint: String,
    pub(super) normalised: String,
}

impl Merged {
    pub(super) fn of(facts: &[Facts]) -> Self {
        let message = Message::of(facts);
        let normalised: Vec<_> = facts.iter().map(|facts| facts.normalised.as_str()).collect();
        let fingerprint = match facts {
            [only] => only.fingerprint.clone(),
            several => {
                let all: Vec<_> = several.iter().map(|facts| facts.fingerprint.as_str()).collect();
                sha256_hex(all.join("\n").as_bytes())
            }
        };
        // Of others, no command tag tells how much they store.
        let told =
            |it: &Facts| it.sinks.is_empty() || matches!(it.kind, Kind::Insert | Kind::Update | Kind::Merge);
        let stores_rows = facts.iter().all(told)
            && message.sinks.iter().all(|sink| {
                let reached = |relation| message.relations.contains(relation);
                sink.kind == SinkKind::Rows && sink.relation.as_ref().is_some_and(reached)
            });
        let doubts = message.reasons.iter().filter(|reason| reason.doubt != Doubt::Nothing);
        Self {
            kinds: message.kinds,
            certainty: message.certainty,
            reasons: message.reasons.iter().map(|reason| reason.code).collect(),
            doubts: doubts.map(|reason| reason.code).collect(),
            relations: message.relations,
            has_sink: !message.sinks.is_empty(),
            stores_rows,
            stores: facts.iter().map(stores).fold(Stores::Nothing, most),
            sinks: message.sinks.iter().map(|sink| sink_word(sink.kind).to_owned()).collect(),
            functions: message.functions,
            bulk: message.bulk,
            fingerprint,
            normalised: normalised.join("; "),
        }
    }
}

/// What the command tag of this statement tells of what it stores elsewhere.
fn stores(facts: &Facts) -> Stores {
    if facts.sinks.is_empty() {
        let runs_unseen =
            matches!(facts.kind, Kind::Do | Kind::Call | Kind::Execute | Kind::Explain | Kind::Unknown);
        // What SQL it makes up may store anything.
        let may_store = runs_unseen && facts.certainty == Certainty::Unknown;
        return if may_store { Stores::Untold } else { Stores::Nothing };
    }
    let all = |is: fn(&Sink) -> bool| facts.sinks.iter().all(is);
    // A part of it, or code that it runs, stores rows that are not its own where that has no name.
    let rows = || all(|sink| sink.kind == SinkKind::Rows && sink.relation.is_some());
    let told = match facts.kind {
        // Of a row that triggers store again, it is told once.
        Kind::Insert | Kind::Update | Kind::Delete | Kind::Merge | Kind::CopyIn | Kind::Execute => rows(),
        Kind::CopyOut => all(|sink| sink.kind == SinkKind::ServerFile),
        // `SELECT 5` of what makes a table; REFRESH tells nothing, and a view has no rows of its own.
        Kind::Ddl => {
            let made = facts.effect.creates.is_some();
            all(|sink| sink.kind == SinkKind::View) || made && all(|sink| sink.kind == SinkKind::Table)
        }
        // What EXPLAIN only explains stores nothing.
        Kind::Explain => facts.flows.is_empty(),
        Kind::Prepare => true,
        _ => all(|sink| sink.kind.is_open()),
    };
    if told { Stores::Told } else { Stores::Untold }
}

const fn most(one: Stores, other: Stores) -> Stores {
    match (one, other) {
        (Stores::Untold, _) | (_, Stores::Untold) => Stores::Untold,
        (Stores::Told, _) | (_, Stores::Told) => Stores::Told,
        _ => Stores::Nothing,
    }
}

const fn sink_word(kind: SinkKind) -> &'static str {
    match kind {
        SinkKind::Table => "table",
        SinkKind::Rows => "rows",
        SinkKind::View => "view",
        SinkKind::ServerFile => "server-file",
        SinkKind::LargeObject => "large-object",
        SinkKind::Notification => "notification",
        SinkKind::Setting => "setting",
        SinkKind::AdvisoryLock => "advisory-lock",
    }
}

pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    use sha2::{Digest as _, Sha256};
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

//! What is recorded. Every event is a variant; nothing in any of them can hold a literal, a parameter or
//! a row of a statement.

mod break_glass;
mod delegation;
mod drift;
mod evidence;
mod grant;
mod identity;
mod limit;
mod pass;
mod personal;
mod refusal;
mod seen;
mod session;
mod statement;
mod stepup;

use serde::{Deserialize, Serialize};
use stepgate_types::{GrantId, GroupName, RequestId, SessionId, Strength, Who};

pub use break_glass::{GlassEnded, GlassOpened, GlassReminded, GlassReviewed, GlassUsed};
pub use delegation::Delegated;
pub use drift::Drift;
pub use evidence::{
    AuditRead, CheckpointSigned, Continued, Export, ExportSealed, IntegrityFailed, Pruned, Reader, Renewed,
    Restored, Sealed, Shredded, Sink, Started, Trouble,
};
pub use grant::{GrantIssued, GrantShare};
pub use identity::{Account, Membership, MintedPassword, ProviderLogin};
pub use limit::{LimitCounted, LimitEnforced, LimitExtended, LimitReached};
pub use pass::PassIssued;
pub use personal::{Names, is_plain};
pub use refusal::Refusal;
pub use seen::{KeySource, SeenSubjects};
pub use session::{AuthFailed, AuthFailure, Door, NoEntry, SessionOpened, SessionRefused};
pub use statement::{Bucket, LabelledColumn, RiskSignal, Statement, Why};
pub use stepup::StepupRequested;

use crate::{Deferral, Hash, Outcome};

/// One thing that happened. `type` names it in the record, in the words of the event list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
pub enum Event {
    /// A gate opened the log.
    #[serde(rename = "log.started")]
    LogStarted(Started),
    /// The gate closed the log in an orderly way.
    #[serde(rename = "log.stopped")]
    LogStopped {},
    /// When the log was opened, its last batch was half written, as a stop in the middle of writing leaves it.
    /// Nobody had been told that it was recorded; it was removed.
    #[serde(rename = "log.tail_cut")]
    LogTailCut {
        /// How many bytes of it there were.
        bytes: u64,
    },
    /// A person connected and proved who they are.
    #[serde(rename = "session.opened")]
    SessionOpened(Box<SessionOpened>),
    /// Somebody failed to prove who they are. The name is kept only if the gate knows it.
    #[serde(rename = "session.auth_failed")]
    SessionAuthFailed(Box<AuthFailed>),
    /// Somebody who has proven who they are gets no session.
    #[serde(rename = "session.refused")]
    SessionRefused(Box<SessionRefused>),
    /// A session ended.
    #[serde(rename = "session.closed")]
    SessionClosed {
        /// The session.
        session: SessionId,
        /// Why, in a word: `terminate`, `client-gone`, `server-gone`, `server-lost`, `protocol`, `killed`,
        /// `in-the-way`, `shutdown`, `slow-client`, `alarm`, `overtaken`, `limit`, `log`, `defect`; `gate-lost`: the gate was killed, or its machine.
        reason: String,
    },
    /// A statement was decided on. The first record of its life, made before a byte of it moves.
    #[serde(rename = "statement.decided")]
    StatementDecided(Box<Statement>),
    /// PostgreSQL could not parse a statement that the gate did not understand either. Nobody was asked about
    /// it, and it has not run. Or the gate has not kept its message: too long (54000), no room for it (53200), or it
    /// never came to its end (57014).
    #[serde(rename = "statement.parse_failed")]
    StatementParseFailed {
        /// The session.
        session: SessionId,
        /// The statement's number in it.
        statement: u64,
        /// SQLSTATE.
        sqlstate: String,
    },
    /// Whose data a statement asked for or showed, where that is tracked. Comes before the statement's end.
    #[serde(rename = "statement.subjects")]
    StatementSubjects(Box<SeenSubjects>),
    /// A forwarded statement ended.
    #[serde(rename = "statement.completed")]
    StatementCompleted {
        /// The session.
        session: SessionId,
        /// The statement's number in it.
        statement: u64,
        /// SQLSTATE, where it ended in an error; `?????` where that is none of PostgreSQL's own.
        sqlstate: Option<String>,
        /// Rows that went to the client.
        rows: u64,
        /// Bytes of rows and COPY data that went to the client.
        bytes: u64,
        /// From forwarding to completion.
        duration_us: u64,
        /// Its portal has more rows, and may be executed further before the session ends: another such record may
        /// follow. Left out where not.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        suspended: bool,
    },
    /// A statement had been forwarded when its session or the gate ended; how it ended is not known.
    #[serde(rename = "statement.outcome_unknown")]
    StatementOutcomeUnknown {
        /// The session.
        session: SessionId,
        /// The statement's number in it.
        statement: u64,
        /// Rows that had gone to the client by then; left out where the gate itself ended, and of old records.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rows: Option<u64>,
        /// Bytes of rows and COPY data, likewise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes: Option<u64>,
    },
    /// A step-up was asked for.
    #[serde(rename = "stepup.requested")]
    StepupRequested(Box<StepupRequested>),
    /// A statement joined a request that was open already.
    #[serde(rename = "stepup.joined")]
    StepupJoined {
        /// The request.
        request: RequestId,
        /// The session that waits too.
        session: SessionId,
        /// The statement's number in it.
        statement: u64,
    },
    /// A statement does not wait any more, or never did; its request stays open.
    #[serde(rename = "stepup.deferred")]
    StepupDeferred {
        /// The request.
        request: RequestId,
        /// The session that waited.
        session: SessionId,
        /// The statement's number in it.
        statement: u64,
        /// Why.
        reason: Deferral,
    },
    /// A request was not answered for so long that others are asked as well.
    #[serde(rename = "stepup.escalated")]
    StepupEscalated {
        /// The request.
        request: RequestId,
        /// Who may answer it besides from here on.
        groups: Vec<GroupName>,
    },
    /// Somebody said something about an open request, to who asks and to those who may answer.
    #[serde(rename = "stepup.commented")]
    StepupCommented {
        /// The request.
        request: RequestId,
        /// Who.
        person: Who,
        /// What they said.
        text: Who,
    },
    /// Somebody's right to answer for these groups is lent to a colleague, or not any more.
    #[serde(rename = "admin.delegated")]
    Delegated(Delegated),
    /// A factor was verified; its counter is spent from here on.
    #[serde(rename = "stepup.factor_verified")]
    FactorVerified {
        /// Whose.
        person: Who,
        /// Which, for example `totp`.
        factor: String,
        /// The TOTP time step that is spent (RFC 6238); of other factors, a signature counter, or how many codes are left.
        step: u64,
        /// For which request, if for one.
        request: Option<RequestId>,
        /// Which of the person's authenticators; records from before there could be several have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        authenticator: Option<String>,
        /// How much it proved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        strength: Option<Strength>,
    },
    /// A factor was offered and refused.
    #[serde(rename = "stepup.factor_failed")]
    FactorFailed {
        /// Whose.
        person: Who,
        /// Which.
        factor: String,
        /// Why: `wrong`, `replayed`, `throttled`, `suspended`, `not-enrolled`, `too-new`, and the words of each factor.
        reason: String,
        /// For which request, if for one.
        request: Option<RequestId>,
    },
    /// One of several needed answers.
    #[serde(rename = "stepup.voted")]
    StepupVoted {
        /// The request.
        request: RequestId,
        /// Who answered.
        person: Who,
        /// What they answered.
        approve: bool,
        /// SHA-256 (hex) of the canonical request they answered.
        canonical_sha256: String,
    },
    /// A request ended. This record *is* its end state.
    #[serde(rename = "stepup.ended")]
    StepupEnded {
        /// The request.
        request: RequestId,
        /// How.
        outcome: Outcome,
        /// By whom, where a person ended it.
        by: Option<Who>,
        /// Of old: HMAC-SHA-256 (hex) of the reason given, under a key of the vault.
        reason_hmac: Option<String>,
        /// The reason given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Who>,
    },
    /// An approval is remembered.
    #[serde(rename = "grant.issued")]
    GrantIssued(Box<GrantIssued>),
    /// A part of what a grant lets out was set aside for a statement, before it was delivered.
    #[serde(rename = "grant.debited")]
    GrantDebited(GrantShare),
    /// What was set aside and not delivered went back to its grant.
    #[serde(rename = "grant.credited")]
    GrantCredited(GrantShare),
    /// A person is about to be delivered more of what a limit counts over a session or window: at most so much in this
    /// part of it. Of several records of one part the last counts.
    #[serde(rename = "limit.counted")]
    LimitCounted(LimitCounted),
    /// A statement has delivered as much as it may before people are asked; its next row waits.
    #[serde(rename = "limit.reached")]
    LimitReached(Box<LimitReached>),
    /// It goes on: people have approved that, or a grant covers it.
    #[serde(rename = "limit.extended")]
    LimitExtended(LimitExtended),
    /// It does not go on: the client gets an error in place of the rest.
    #[serde(rename = "limit.enforced")]
    LimitEnforced(LimitEnforced),
    /// A deferred request was approved: the same statement, sent again, passes once.
    #[serde(rename = "pass.issued")]
    PassIssued(Box<PassIssued>),
    /// A pass was used up, before its statement was forwarded. Whatever becomes of that, it is not given back.
    #[serde(rename = "pass.consumed")]
    PassConsumed {
        /// The pass.
        pass: GrantId,
        /// The request that was approved.
        request: RequestId,
        /// The session that sent the statement.
        session: SessionId,
        /// The statement's number in it.
        statement: u64,
    },
    /// Nobody used a pass in time.
    #[serde(rename = "pass.lapsed")]
    PassLapsed {
        /// The pass.
        pass: GrantId,
        /// The request that was approved.
        request: RequestId,
    },
    /// A grant or pass was taken back.
    #[serde(rename = "grant.revoked")]
    GrantRevoked {
        /// The grant or pass.
        grant: GrantId,
        /// By whom; `None` is the operator at the gate's own machine.
        by: Option<Who>,
        /// The operator, where one did it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operator: Option<Who>,
    },
    /// Map and policy came into force.
    #[serde(rename = "policy.loaded")]
    PolicyLoaded {
        /// SHA-256 (hex) of both files.
        policy_sha256: String,
        /// How many rules.
        rules: u64,
        /// How many columns carry a label.
        columns: u64,
        /// SHA-256 (hex) of the map alone: what it labelled is known to whoever has that file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        map_sha256: Option<String>,
        /// SHA-256 (hex) of the policy's file alone, as `sha256sum` tells it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        policy_file_sha256: Option<String>,
    },
    /// Map or policy were changed, and wait until two people have approved exactly this.
    #[serde(rename = "policy.proposed")]
    PolicyProposed {
        /// SHA-256 (hex) of both files.
        policy_sha256: String,
    },
    /// One of them has.
    #[serde(rename = "policy.voted")]
    PolicyVoted {
        /// SHA-256 (hex) of both files.
        policy_sha256: String,
        /// Who.
        person: Who,
        /// How much they have proven; left out where nothing but `standard` was ever asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        strength: Option<Strength>,
    },
    /// Two have, or the gate began with it when nothing had been approved.
    #[serde(rename = "policy.approved")]
    PolicyApproved {
        /// SHA-256 (hex) of both files.
        policy_sha256: String,
    },
    /// What was kept of the policy that was approved last is not what was approved.
    #[serde(rename = "policy.tampered")]
    PolicyTampered {
        /// SHA-256 (hex) of what was approved.
        policy_sha256: String,
    },
    /// Policies take no two people any more: what was approved last binds nobody from here on.
    #[serde(rename = "policy.released")]
    PolicyReleased {
        /// SHA-256 (hex) of what was approved.
        policy_sha256: String,
    },
    /// Map or policy failed to load; the old ones stay in force.
    #[serde(rename = "policy.rejected")]
    PolicyRejected {
        /// SHA-256 (hex) of both files.
        policy_sha256: String,
    },
    /// The gate's configuration came into force.
    #[serde(rename = "config.loaded")]
    ConfigLoaded {
        /// SHA-256 (hex) of the file.
        config_sha256: String,
        /// How many databases it names, wildcards included.
        databases: u64,
    },
    /// The gate's configuration, or a file that it names, cannot be used; what was in force stays.
    #[serde(rename = "config.rejected")]
    ConfigRejected {
        /// SHA-256 (hex) of the file; of nothing, where it cannot be read.
        config_sha256: String,
    },
    /// The file that says where addresses are came into force.
    #[serde(rename = "places.loaded")]
    PlacesLoaded {
        /// SHA-256 (hex) of the file.
        places_sha256: String,
    },
    /// Columns that hold something classified were bound to their OIDs, or what is bound changed.
    #[serde(rename = "label.bound")]
    LabelsBound {
        /// Name of the database in the gate's configuration.
        database: String,
        /// How many columns.
        columns: u64,
    },
    /// A classified column goes by another name now, which has its label from here on.
    #[serde(rename = "label.followed")]
    LabelFollowed {
        /// Name of the database in the gate's configuration.
        database: String,
        /// `schema.relation.column` by which it is classified.
        from: String,
        /// `schema.relation.column` as it is now.
        to: String,
    },
    /// Something happened that must not: somebody should look into it.
    #[serde(rename = "alarm.raised")]
    AlarmRaised {
        /// The session; it was ended, unless rules are not enforced.
        session: SessionId,
        /// The statement's number in it.
        statement: u64,
        /// In a word: `unflagged-column`, a result that was about to show what its statement was not let through for;
        /// `not-me`, a request of which the person in whose name it was made says that they did not.
        what: String,
        /// `schema.relation.column`, the first 16 of them.
        columns: Vec<String>,
    },
    /// A database has changed, and its map has not: somebody should look into it.
    #[serde(rename = "catalog.drifted")]
    CatalogDrifted(Drift),
    /// People or their factors changed.
    #[serde(rename = "admin.action")]
    AdminAction {
        /// What: `user.added`, `user.removed`, `user.password_set`, `user.groups_set`,
        /// `user.certificates_set`, `session.killed`; and of factors `factor.enrolled`, `factor.removed`,
        /// `factor.code_issued` (an enrolment code), `factor.recovery_used`, `factor.suspended` (too many wrong codes),
        /// `factor.unlocked`, `factor.reset_asked`, `factor.reset`, of which the person must hear.
        action: String,
        /// Whom it concerns.
        person: Option<Who>,
        /// By whom; `None` is the operator at the gate's own machine.
        by: Option<Who>,
        /// Groups, where they were set.
        groups: Vec<GroupName>,
        /// The operator, where one did it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operator: Option<Who>,
        /// Which of the person's authenticators it concerns.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        authenticator: Option<String>,
        /// Which session, where one was ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<SessionId>,
    },
    /// Somebody logged in to the API.
    #[serde(rename = "admin.login")]
    AdminLogin {
        /// Who.
        person: Who,
        /// Peer address, without port.
        address: Who,
    },
    /// The log was exported.
    #[serde(rename = "audit.exported")]
    AuditExported {
        /// How many records.
        records: u64,
        /// Of what, where not of everything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        export: Option<Export>,
        /// The operator, where one did it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operator: Option<Who>,
    },
    /// The log was checked.
    #[serde(rename = "integrity.checked")]
    IntegrityChecked {
        /// How many records.
        records: u64,
        /// Whether all was well.
        ok: bool,
        /// The first of them, where not all were.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        first: Option<u64>,
    },
    /// An export's manifest was made, and signed where that was asked for.
    #[serde(rename = "audit.export_sealed")]
    AuditExportSealed(ExportSealed),
    /// A signed checkpoint has left the host.
    #[serde(rename = "audit.checkpoint_signed")]
    CheckpointSigned(CheckpointSigned),
    /// Somebody read the log.
    #[serde(rename = "audit.read")]
    AuditRead(AuditRead),
    /// A request's statement was shown in full to somebody who may answer it, for the first time.
    #[serde(rename = "stepup.challenge_shown")]
    ChallengeShown {
        /// The request.
        request: RequestId,
        /// To whom.
        to: Who,
    },
    /// Somebody broke the glass.
    #[serde(rename = "break_glass.opened")]
    BreakGlassOpened(Box<GlassOpened>),
    /// A statement passes by that.
    #[serde(rename = "break_glass.used")]
    BreakGlassUsed(GlassUsed),
    /// It is over.
    #[serde(rename = "break_glass.ended")]
    BreakGlassEnded(GlassEnded),
    /// It still waits to be reviewed.
    #[serde(rename = "break_glass.reminded")]
    BreakGlassReminded(GlassReminded),
    /// It was reviewed.
    #[serde(rename = "break_glass.reviewed")]
    BreakGlassReviewed(GlassReviewed),
    /// A grant has come to its end by itself. What it was used for stands in `grant` of `statement.decided`.
    #[serde(rename = "grant.expired")]
    GrantExpired {
        /// The grant.
        grant: GrantId,
    },
    /// The clock stepped back (also while no gate ran), or ahead of the time that has passed.
    #[serde(rename = "clock.anomaly")]
    ClockAnomaly {
        /// Time of the record before, in microseconds since the Unix epoch.
        before_us: i64,
        /// And of what came after it.
        after_us: i64,
    },
    /// What did not fit into a record goes on here, right behind it.
    #[serde(rename = "record.continued")]
    RecordContinued(Continued),
    /// A check of the log failed.
    #[serde(rename = "integrity.failed")]
    IntegrityFailed(IntegrityFailed),
    /// A part of the store does not work for now, or a sink.
    #[serde(rename = "store.degraded")]
    StoreDegraded(Trouble),
    /// It does again.
    #[serde(rename = "store.recovered")]
    StoreRecovered(Trouble),
    /// A segment of the log is full and sealed.
    #[serde(rename = "log.sealed")]
    LogSealed(Sealed),
    /// The log was copied.
    #[serde(rename = "log.backed_up")]
    LogBackedUp {
        /// How many records.
        size: u64,
        /// Root of the tree over them.
        root: Hash,
        /// The operator, where one did it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operator: Option<Who>,
    },
    /// The log goes on from a backup.
    #[serde(rename = "log.restored")]
    LogRestored(Restored),
    /// Records were deleted by the configured rule; their hashes stay.
    #[serde(rename = "retention.pruned")]
    RetentionPruned(Pruned),
    /// A personal value was erased: nothing opens its commitment any more.
    #[serde(rename = "retention.subject_shredded")]
    SubjectShredded(Shredded),
    /// Personal values that stay were sealed by a new key, before the old one was destroyed.
    #[serde(rename = "retention.subjects_resealed")]
    SubjectsResealed(Renewed),
    /// Personal values that no record names any more were taken out.
    #[serde(rename = "retention.subjects_pruned")]
    SubjectsPruned {
        /// How many, in this write.
        subjects: u64,
    },
    /// Checkpoints are signed by a new key from here on.
    #[serde(rename = "key.rotated")]
    KeyRotated {
        /// The old verifier key.
        old: String,
        /// The new one.
        new: String,
        /// The new key's number.
        n: u64,
    },
    /// A witness has cosigned a checkpoint.
    #[serde(rename = "witness.cosigned")]
    WitnessCosigned {
        /// The witness's verifier key.
        witness: String,
        /// Size of the tree.
        size: u64,
        /// Its root.
        root: Hash,
    },
    /// A sink begins to be sent records, or is configured differently.
    #[serde(rename = "sink.configured")]
    SinkConfigured(Sink),
    /// A sink does not take records.
    #[serde(rename = "sink.failed")]
    SinkFailed(Sink),
    /// It does again.
    #[serde(rename = "sink.recovered")]
    SinkRecovered(Sink),
    /// A sink is sent records again from an earlier one on.
    #[serde(rename = "sink.reset")]
    SinkReset(Sink),
    /// Somebody logged in at an identity provider, or tried to.
    #[serde(rename = "identity.login")]
    IdentityLogin(ProviderLogin),
    /// An account elsewhere is somebody's here.
    #[serde(rename = "identity.linked")]
    IdentityLinked(Account),
    /// It is not any more.
    #[serde(rename = "identity.unlinked")]
    IdentityUnlinked(Account),
    /// What groups somebody is in by what an identity provider or a directory says.
    #[serde(rename = "identity.groups")]
    IdentityGroups(Membership),
    /// A password for databases was minted.
    #[serde(rename = "password.minted")]
    PasswordMinted(MintedPassword),
    /// One was taken back before its time.
    #[serde(rename = "password.revoked")]
    PasswordRevoked(MintedPassword),
    /// One has come to its end.
    #[serde(rename = "password.expired")]
    PasswordExpired(MintedPassword),
}

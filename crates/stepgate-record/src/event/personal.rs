//! Which fields of an event name somebody.

use stepgate_types::{Commit, SubjectKind, Who};

use super::{
    Account, AuditRead, AuthFailed, Delegated, Event, ExportSealed, GlassEnded, GlassReviewed, GrantIssued,
    LimitCounted, Membership, MintedPassword, PassIssued, ProviderLogin, Pruned, Shredded, Sink,
    StepupRequested,
};

/// Opens commitments; whoever cannot (offline, redacted) shows them as they are.
pub trait Names {
    /// What a commitment stands for, if that can be told.
    fn name(&self, commit: &Commit) -> Option<String>;

    /// A name as it is to be shown: opened, or 64 digits where it cannot be.
    fn shown(&self, who: &Who) -> String {
        match who {
            Who::Name(name) => name.clone(),
            Who::Commit(commit) => self.name(commit).unwrap_or_else(|| commit.to_string()),
        }
    }
}

/// Opens nothing.
impl Names for () {
    fn name(&self, _: &Commit) -> Option<String> {
        None
    }
}

/// What programs that hold nobody's name call themselves. Only exactly these stand plain in records: more of a name
/// may hold anything.
const PROGRAMS: [&str; 22] = [
    "",
    "other",
    "DBeaver",
    "DataGrip",
    "JDBC",
    "Metabase",
    "PostgreSQL JDBC Driver",
    "asyncpg",
    "dbt",
    "npgsql",
    "pg_dump",
    "pg_dumpall",
    "pg_isready",
    "pg_restore",
    "pgAdmin 4",
    "pgbench",
    "pgx",
    "postgres.js",
    "psql",
    "psycopg",
    "psycopg2",
    "sqlx",
];

/// Whether a name of this kind stands plain in records.
#[must_use]
pub fn is_plain(kind: SubjectKind, name: &str) -> bool {
    kind == SubjectKind::Client && PROGRAMS.contains(&name)
}

/// Looks at each name of an event, by reference or by mutable reference (`mut`).
macro_rules! each {
    ($event:expr, $f:expr $(, $mut:tt)?) => {{
        use SubjectKind::{Address, Client, Operator, Person, Reason};
        let f = $f;
        // Every type of event stands here: whoever adds one says whom it names.
        match $event {
            Event::SessionOpened(opened) => {
                f(Person, &$($mut)? opened.person);
                f(Address, &$($mut)? opened.address);
                f(Client, &$($mut)? opened.client);
            }
            Event::SessionAuthFailed(failed) => {
                let AuthFailed { person, address, .. } = &$($mut)? **failed;
                person.into_iter().for_each(|person| f(Person, person));
                f(Address, address);
            }
            Event::SessionRefused(refused) => {
                f(Person, &$($mut)? refused.person);
                f(Address, &$($mut)? refused.address);
                f(Client, &$($mut)? refused.client);
            }
            Event::AdminLogin { person, address } => {
                f(Person, person);
                f(Address, address);
            }
            Event::StatementDecided(decided) => f(Person, &$($mut)? decided.person),
            Event::StepupRequested(asked) => {
                let StepupRequested { person, address, opened_by, .. } = &$($mut)? **asked;
                f(Person, person);
                address.into_iter().for_each(|address| f(Address, address));
                opened_by.into_iter().for_each(|by| f(Person, by));
            }
            Event::StepupCommented { person, text, .. } => {
                f(Person, person);
                f(Reason, text);
            }
            Event::Delegated(Delegated { person, to, by, operator, .. }) => {
                f(Person, person);
                f(Person, to);
                by.into_iter().for_each(|by| f(Person, by));
                operator.into_iter().for_each(|operator| f(Operator, operator));
            }
            Event::FactorVerified { person, .. }
            | Event::FactorFailed { person, .. }
            | Event::StepupVoted { person, .. }
            | Event::LimitCounted(LimitCounted { person, .. })
            | Event::PolicyVoted { person, .. }
            | Event::ChallengeShown { to: person, .. } => f(Person, person),
            Event::LimitReached(reached) => f(Person, &$($mut)? reached.person),
            Event::PassIssued(pass) => {
                let PassIssued { person, client, network, .. } = &$($mut)? **pass;
                f(Person, person);
                client.into_iter().for_each(|client| f(Client, client));
                network.into_iter().for_each(|network| f(Address, network));
            }
            Event::StepupEnded { by, reason, .. } => {
                by.into_iter().for_each(|by| f(Person, by));
                reason.into_iter().for_each(|reason| f(Reason, reason));
            }
            Event::GrantIssued(grant) => {
                let GrantIssued { person, client, network, .. } = &$($mut)? **grant;
                f(Person, person);
                client.into_iter().for_each(|client| f(Client, client));
                network.into_iter().for_each(|network| f(Address, network));
            }
            Event::BreakGlassOpened(opened) => {
                f(Person, &$($mut)? opened.person);
                f(Client, &$($mut)? opened.client);
                f(Address, &$($mut)? opened.network);
                f(Reason, &$($mut)? opened.reason);
            }
            Event::BreakGlassEnded(GlassEnded { by, operator, .. }) => {
                by.into_iter().for_each(|by| f(Person, by));
                operator.into_iter().for_each(|operator| f(Operator, operator));
            }
            Event::BreakGlassReviewed(GlassReviewed { by, comment, .. }) => {
                f(Person, by);
                f(Reason, comment);
            }
            Event::GrantRevoked { by, operator, .. } => {
                by.into_iter().for_each(|by| f(Person, by));
                operator.into_iter().for_each(|operator| f(Operator, operator));
            }
            Event::AdminAction { person, by, operator, .. } => {
                person.into_iter().for_each(|person| f(Person, person));
                by.into_iter().for_each(|by| f(Person, by));
                operator.into_iter().for_each(|operator| f(Operator, operator));
            }
            Event::IdentityLogin(ProviderLogin { person, account, address, .. }) => {
                person.into_iter().for_each(|person| f(Person, person));
                f(Client, account);
                f(Address, address);
            }
            Event::IdentityLinked(Account { person, account, by, operator, .. })
            | Event::IdentityUnlinked(Account { person, account, by, operator, .. }) => {
                f(Person, person);
                f(Client, account);
                by.into_iter().for_each(|by| f(Person, by));
                operator.into_iter().for_each(|operator| f(Operator, operator));
            }
            Event::IdentityGroups(Membership { person, .. }) => f(Person, person),
            Event::PasswordMinted(MintedPassword { person, address, by, operator, .. })
            | Event::PasswordRevoked(MintedPassword { person, address, by, operator, .. })
            | Event::PasswordExpired(MintedPassword { person, address, by, operator, .. }) => {
                f(Person, person);
                address.into_iter().for_each(|address| f(Address, address));
                by.into_iter().for_each(|by| f(Person, by));
                operator.into_iter().for_each(|operator| f(Operator, operator));
            }
            Event::AuditRead(AuditRead { by, operator, .. }) => {
                by.into_iter().for_each(|by| f(Person, by));
                operator.into_iter().for_each(|operator| f(Operator, operator));
            }
            Event::AuditExported { operator, .. }
            | Event::AuditExportSealed(ExportSealed { operator, .. })
            | Event::LogBackedUp { operator, .. }
            | Event::RetentionPruned(Pruned { operator, .. })
            | Event::SubjectShredded(Shredded { operator, .. })
            | Event::SinkConfigured(Sink { operator, .. })
            | Event::SinkFailed(Sink { operator, .. })
            | Event::SinkRecovered(Sink { operator, .. })
            | Event::SinkReset(Sink { operator, .. }) => {
                operator.into_iter().for_each(|operator| f(Operator, operator));
            }
            Event::LogStarted(_)
            | Event::LogStopped {}
            | Event::LogTailCut { .. }
            | Event::SessionClosed { .. }
            | Event::StatementParseFailed { .. }
            | Event::StatementSubjects(_)
            | Event::StatementCompleted { .. }
            | Event::StatementOutcomeUnknown { .. }
            | Event::StepupJoined { .. }
            | Event::StepupDeferred { .. }
            | Event::StepupEscalated { .. }
            | Event::GrantDebited(_)
            | Event::GrantCredited(_)
            | Event::GrantExpired { .. }
            | Event::BreakGlassUsed(_)
            | Event::BreakGlassReminded(_)
            | Event::LimitExtended(_)
            | Event::LimitEnforced(_)
            | Event::PassConsumed { .. }
            | Event::PassLapsed { .. }
            | Event::PolicyLoaded { .. }
            | Event::PolicyRejected { .. }
            | Event::PolicyProposed { .. }
            | Event::PolicyApproved { .. }
            | Event::PolicyTampered { .. }
            | Event::PolicyReleased { .. }
            | Event::ConfigLoaded { .. }
            | Event::ConfigRejected { .. }
            | Event::PlacesLoaded { .. }
            | Event::LabelsBound { .. }
            | Event::LabelFollowed { .. }
            | Event::AlarmRaised { .. }
            | Event::CatalogDrifted(_)
            | Event::IntegrityChecked { .. }
            | Event::IntegrityFailed(_)
            | Event::ClockAnomaly { .. }
            | Event::RecordContinued(_)
            | Event::StoreDegraded(_)
            | Event::StoreRecovered(_)
            | Event::LogSealed(_)
            | Event::LogRestored(_)
            | Event::SubjectsResealed(_)
            | Event::SubjectsPruned { .. }
            | Event::CheckpointSigned(_)
            | Event::KeyRotated { .. }
            | Event::WitnessCosigned { .. } => {}
        }
    }};
}

impl Event {
    /// Hands each name on, to be replaced.
    pub fn personal(&mut self, f: &mut dyn FnMut(SubjectKind, &mut Who)) {
        each!(self, f, mut);
    }

    /// Hands each name on.
    pub fn names(&self, f: &mut dyn FnMut(SubjectKind, &Who)) {
        each!(self, f);
    }

    /// Puts names in the place of commitments, where they can be told: for showing it, not for recording it again.
    pub fn open(&mut self, names: &dyn Names) {
        self.personal(&mut |_, who| {
            let name = who.commit().and_then(|commit| names.name(commit));
            *who = name.map_or_else(|| who.clone(), Who::Name);
        });
    }

    /// Whether it tells of what was done to somebody's account.
    #[must_use]
    pub fn is_of_an_account(&self) -> bool {
        matches!(self, Event::AdminAction { .. } | Event::AdminLogin { .. })
    }

    /// Whether a name in it must not be recorded as it stands.
    #[must_use]
    pub fn is_plain_spoken(&self) -> bool {
        let mut plain = false;
        self.names(&mut |kind, who| plain |= who.name().is_some_and(|name| !is_plain(kind, name)));
        plain
    }
}

//! Requests ahead of time: what a service will send is named and approved before it sends it (DESIGN §3 *services*).

use std::collections::BTreeSet;
use std::sync::Arc;

use stepgate_approval::{Ask, Held, Mode};
use stepgate_types::PersonName;

use super::inner::Inner;
use super::state::State;
use super::view::Deferred;
use super::{Desk, DeskError, finish};

/// What a statement ends with that says nothing: `psql` sends it, drivers do not.
fn trimmed(sql: &[u8]) -> &[u8] {
    let mut sql = sql.trim_ascii();
    while let Some(shorter) = sql.strip_suffix(b";") {
        sql = shorter.trim_ascii_end();
    }
    sql
}

impl Desk {
    /// Opens a request for what a service will send later (`ask.ahead`), or finds the very same one of the same person's.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn open_ahead(&self, ask: Ask, held: Held) -> Result<Deferred, DeskError> {
        let inner = Arc::clone(&self.0);
        finish(async move { inner.open_ahead(ask, held).await }).await
    }

    /// By what a statement of a service's is known again that was asked for ahead of time: `meaning` is what its names
    /// stand for.
    #[must_use]
    pub fn statement_key(
        &self,
        person: &PersonName,
        database: &str,
        meaning: &[String],
        sql: &[u8],
    ) -> [u8; 32] {
        self.0.statement_key(person, database, meaning, sql)
    }

    /// Whether anything has been approved ahead of time for this person: only then is a statement's key needed.
    #[must_use]
    pub fn has_ahead(&self, person: &PersonName) -> bool {
        self.0.has_ahead(person)
    }
}

impl Inner {
    /// By what a statement is known again: its exact text, but for blanks around it and semicolons behind it, and what
    /// its names stand for. What is the same by any looser measure could be another statement.
    pub(super) fn statement_key(
        &self,
        person: &PersonName,
        database: &str,
        meaning: &[String],
        sql: &[u8],
    ) -> [u8; 32] {
        let fixed = [person.as_str().as_bytes(), database.as_bytes(), trimmed(sql)];
        let parts = fixed.into_iter().chain(meaning.iter().map(String::as_bytes));
        let mut input = zeroize::Zeroizing::new(Vec::new());
        for part in parts {
            input.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            input.extend_from_slice(part);
        }
        *self.vault.hmac("statement ahead", &input)
    }

    /// Whether anything has been approved ahead of time for this person: only then are statements hashed.
    pub(super) fn has_ahead(&self, person: &PersonName) -> bool {
        let named =
            |kept: &super::state::Kept| kept.grant.statements.is_some() && kept.grant.person == *person;
        self.state().grants.values().any(named)
    }

    pub(super) async fn open_ahead(&self, ask: Ask, held: Held) -> Result<Deferred, DeskError> {
        let _turn = self.turn.lock().await;
        let now = self.clock.now();
        self.check_answerable(&ask, now)?;
        let why_not = |why| Err(DeskError::Unanswerable(why));
        let Some(ahead) = &ask.ahead else { return why_not("it is not asked ahead of time") };
        if !self.people.get(&ask.person).is_some_and(|person| person.service) {
            return why_not("only for services something is asked ahead of time");
        }
        if self.people.get(&ahead.by).is_none_or(|person| person.service) {
            return why_not("who opens it must be a person");
        }
        if ask.terms.itself || ask.mode != Mode::Ahead || ahead.statements.is_empty() || ahead.until <= now {
            return why_not("there is nothing that others could approve");
        }
        // The same once more is the same request.
        let known = self
            .state()
            .open
            .values()
            .find(|entry| is_same(entry.open.ask(), &ask) && !entry.open.is_due(now))
            .map(|entry| Deferred { request: entry.open.ask().id, expires: entry.open.ask().expires });
        if let Some(known) = known {
            return Ok(known);
        }
        let mut entry = self.fresh(ask, held)?;
        // Nobody waits, and it stays open.
        entry.deferred = true;
        let (request, expires) = (entry.open.ask().id, entry.open.ask().expires);
        self.open(&entry, Vec::new()).await?;
        self.enter(entry);
        Ok(Deferred { request, expires })
    }
}

/// Whether both ask for the same in everything that an approval is bound to, who opens it among that: all but when, and
/// under which number. What differs in anything else, be it that one ends sooner or lets out less, is another request.
fn is_same(open: &Ask, wish: &Ask) -> bool {
    let Ask { id, statement, opened, expires, .. } = *open;
    Ask { id, statement, opened, expires, ..wish.clone() } == *open
}

impl State {
    /// Who else has asked ahead of time for something of this: what is approved of it is theirs as well, whoever opened it.
    pub(super) fn wishers(&self, ask: &Ask) -> BTreeSet<&PersonName> {
        let Some(ahead) = &ask.ahead else { return BTreeSet::new() };
        let others = self.open.values().map(|entry| entry.open.ask());
        let others = others.filter(|it| it.person == ask.person && it.database == ask.database);
        let some = |it: &Ask| {
            let other = it.ahead.as_ref().filter(|_| it.id != ask.id);
            other.is_some_and(|other| !other.statements.is_disjoint(&ahead.statements))
        };
        others.filter(|it| some(it)).map(Ask::asker).collect()
    }
}

/// Keys as records have them.
pub(super) fn keys_of(statements: &[String]) -> Option<BTreeSet<[u8; 32]>> {
    let key = |text: &String| data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok();
    statements.iter().map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blanks_around_and_semicolons_behind_a_statement_say_nothing() {
        for same in ["select 1", " select 1;", "select 1 ;; \n"] {
            assert_eq!(trimmed(same.as_bytes()), b"select 1");
        }
        for other in ["select  1", "select 1 -- x", ";select 1", "select 1; select 2"] {
            assert_ne!(trimmed(other.as_bytes()), b"select 1");
        }
    }
}

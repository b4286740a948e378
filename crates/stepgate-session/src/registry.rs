//! Prepared statements and portals as the server has confirmed them.
//!
//! SQL and protocol share one name space of prepared statements (PREPARE and Parse) and one of portals (DECLARE and
//! Bind): what either made, the other may go on with, and is judged as what it is. What SQL made out of sight is
//! opaque: what uses it is unknown, and so risky.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use stepgate_sql::{Closes, Facts};

use crate::described::Origins;
use crate::outlet::{Made, Opened};
use crate::portals::Portals;
use crate::subject::now_and_then;
use crate::text::Text;

/// The most prepared statements remembered for a session. A driver's own cache holds a few hundred; what
/// falls out is not forgotten silently but becomes unknown.
const MAX_STATEMENTS: usize = 4_096;

/// The most bytes of SQL, and of what is known of it, remembered for a session.
const MAX_STATEMENT_BYTES: usize = 8 << 20;

/// The most bytes of one statement's text that are remembered. A longer one is not understood anyhow, and a client
/// could have the gate keep as much for each of its sessions.
const MAX_TEXT: usize = 1 << 20;

/// The most names that SQL gave to something; their texts and facts take at most [`MAX_STATEMENT_BYTES`].
const MAX_SQL_NAMES: usize = 128;

/// The longest name of a prepared statement or portal, in bytes: NAMEDATALEN - 1.
const MAX_NAME: usize = 63;

/// A name of the protocol's as the server looks it up: of a longer one the beginning counts (dynahash.c, `string_hash` and
/// `string_compare`; the tables of prepare.c and portalmem.c have keys of NAMEDATALEN bytes).
pub(crate) fn key(name: &[u8]) -> Bytes {
    // Most have none.
    if name.is_empty() { Bytes::new() } else { Bytes::copy_from_slice(kept(name)) }
}

/// As much of a name as counts.
pub(crate) fn kept(name: &[u8]) -> &[u8] {
    name.get(..MAX_NAME).unwrap_or(name)
}

/// Whether a name means the same to the server whatever `client_encoding` is; others are not kept.
pub(crate) const fn is_certain(name: &[u8]) -> bool {
    name.is_ascii()
}

/// A prepared statement of the extended protocol.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Prepared {
    /// The text of its Parse.
    pub(crate) text: Text,
    /// Type OIDs of its parameters that Parse gave.
    pub(crate) types: Vec<u32>,
    /// Its facts when its Parse went to the server; `None`: it has not gone yet. The server may go on with
    /// what names meant then: it plans anew when the search path or an object changes, not when another
    /// object of that name appears before it in the path (`RevalidateCachedQuery` of plancache.c).
    pub(crate) facts: Option<Arc<[Facts]>>,
    /// How often settings had changed then, by which its literals were read.
    pub(crate) settings: u64,
}

impl Prepared {
    /// The same, with other facts.
    fn with(&self, facts: Arc<[Facts]>) -> Self {
        let Self { text, types, facts: _, settings } = self;
        Self { text: text.clone(), types: types.clone(), facts: Some(facts), settings: *settings }
    }

    /// What it is counted as.
    fn bytes(&self) -> usize {
        self.text.sql.len().saturating_add(self.facts.as_ref().map_or(0, |facts| bytes_of(facts)))
    }
}

/// About as many bytes as facts take: of some, a wide table makes a hundred KiB of a few words.
pub(crate) fn bytes_of(facts: &[Facts]) -> usize {
    facts.iter().map(Facts::bytes).fold(0, usize::saturating_add)
}

/// What a statement is gone on with may be what its names mean now, too.
pub(crate) fn also_means(known: &mut Arc<Prepared>, now: &Arc<[Facts]>) {
    let facts = now_and_then(Arc::clone(now), known.facts.as_ref());
    if known.facts.as_ref().is_none_or(|then| !Arc::ptr_eq(then, &facts)) {
        *known = Arc::new(known.with(facts));
    }
}

/// What a name of a prepared statement stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The Parse with this text.
    Known(Arc<Prepared>),
    /// The PREPARE with this text, and its facts when it ran.
    Sql(Text, Arc<[Facts]>),
    /// Something the gate did not see being made.
    Opaque,
}

/// Ordered maps: most sessions have a handful of names, or one, and no client can make them slow by its choice of names.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    statements: BTreeMap<Bytes, Meaning>,
    /// Names in the order they were confirmed, oldest first; may name one twice.
    order: VecDeque<Bytes>,
    bytes: usize,
    /// SQL ran that may have given any of these names to anything, and the server was not asked yet.
    doubtful: bool,
    /// The origins of the columns of statements' results, and when that was said.
    descriptions: BTreeMap<Bytes, (u64, Origins)>,
    portals: Portals,
    /// What SQL made, by PREPARE or DECLARE in a message of its own, that has run to its end.
    sql: BTreeMap<String, Made>,
    /// What is known of that, at most: what is gone is counted until more is made.
    sql_bytes: usize,
}

impl Registry {
    /// The server confirmed a Parse.
    pub(crate) fn prepared(&mut self, name: Bytes, statement: Arc<Prepared>) {
        if !is_certain(&name) {
            return;
        }
        self.forget_statement(&name);
        // Whatever SQL prepared under this name is gone, or this Parse would have failed.
        self.forget_sql_name(&name);
        if statement.text.sql.len() > MAX_TEXT {
            return;
        }
        self.bytes = self.bytes.saturating_add(statement.bytes());
        // The unnamed one has no turn: there is one of it, and some drivers parse it anew for every statement.
        if !name.is_empty() {
            self.order.push_back(name.clone());
        }
        self.statements.insert(name, Meaning::Known(statement));
        let unnamed = match self.statements.get(&Bytes::new()) {
            Some(Meaning::Known(unnamed)) => unnamed.bytes(),
            _ => 0,
        };
        while self.statements.len() > MAX_STATEMENTS
            || self.bytes.saturating_sub(unnamed) > MAX_STATEMENT_BYTES
        {
            let Some(oldest) = self.order.pop_front() else { break };
            self.forget_statement(&oldest);
        }
        if self.order.len() > 2 * MAX_STATEMENTS {
            self.keep_last_places();
        }
    }

    /// What is known of all of them but the unnamed portal, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.saturating_add(self.sql_bytes).saturating_add(self.portals.bytes())
    }

    /// Forgets portals, what SQL made, and then the oldest statements, until so many bytes are left, or the newest alone.
    pub(crate) fn forget_beyond(&mut self, bytes: usize) {
        self.portals.clear();
        self.sql.clear();
        self.sql_bytes = 0;
        while self.bytes > bytes && self.order.len() > 1 {
            let Some(oldest) = self.order.pop_front() else { break };
            self.forget_statement(&oldest);
        }
    }

    /// A name that was parsed several times keeps its last place, so that at least half of the places are free again.
    fn keep_last_places(&mut self) {
        let mut seen = HashSet::new();
        let last = |name: &Bytes| self.statements.contains_key(name) && seen.insert(name.clone());
        let mut places: VecDeque<_> =
            std::mem::take(&mut self.order).into_iter().rev().filter(last).collect();
        places.make_contiguous().reverse();
        self.order = places;
    }

    /// The server has been sent what makes it look anew at what the names in this prepared statement mean, and goes on with
    /// that until it has reason to look again (`RevalidateCachedQuery` of plancache.c): a Describe, a Bind, an EXECUTE.
    pub(crate) fn may_mean(&mut self, name: &Bytes, now: &Arc<[Facts]>) {
        if let Some(Meaning::Known(known)) = self.statements.get_mut(name) {
            let before = known.bytes();
            also_means(known, now);
            self.bytes = self.bytes.saturating_sub(before).saturating_add(known.bytes());
        } else if !self.sql.is_empty()
            && let Ok(name) = std::str::from_utf8(name)
            && let Some(Made::Prepared(_, facts)) = self.sql.get_mut(name)
        {
            *facts = now_and_then(Arc::clone(now), Some(facts));
        }
    }

    /// Where the facts of a statement are what they were when it was parsed, they are the same ones from now on, which is
    /// told at a glance.
    pub(crate) fn means_as_then(&mut self, name: &Bytes, statement: &Arc<Prepared>, now: &Arc<[Facts]>) {
        let Some(then) = statement.facts.as_ref().filter(|then| !Arc::ptr_eq(then, now)) else { return };
        if let Some(Meaning::Known(known)) = self.statements.get_mut(name)
            && Arc::ptr_eq(known, statement)
            && then == now
        {
            // They are equal, and so count for as much.
            *known = Arc::new(known.with(Arc::clone(now)));
        }
    }

    /// The server confirmed that a prepared statement was closed, or it must not be relied on any more.
    pub(crate) fn forget_statement(&mut self, name: &Bytes) {
        self.descriptions.remove(name);
        if let Some(Meaning::Known(gone)) = self.statements.remove(name) {
            self.bytes = self.bytes.saturating_sub(gone.bytes());
        }
    }

    /// Whether Parse made a statement of this name.
    pub(crate) fn has(&self, name: &Bytes) -> bool {
        self.statements.contains_key(name)
    }

    /// The server described a statement.
    pub(crate) fn described(&mut self, name: Bytes, description: (u64, Origins)) {
        if self.statements.contains_key(&name) {
            self.descriptions.insert(name, description);
        }
    }

    /// What it last said of it, if nothing has changed since.
    pub(crate) fn description(&self, name: &Bytes, generation: u64) -> Option<Origins> {
        let (said, origins) = self.descriptions.get(name).filter(|_| !self.doubtful)?;
        (*said == generation).then(|| Arc::clone(origins))
    }

    /// Whether what was last known of names may not hold any more.
    pub(crate) const fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// What a statement's name means now. What is not known is opaque.
    pub(crate) fn statement(&self, name: &Bytes) -> Meaning {
        if self.doubtful { Meaning::Opaque } else { self.last_known(name) }
    }

    /// What it meant when that was last known.
    pub(crate) fn last_known(&self, name: &Bytes) -> Meaning {
        self.statements.get(name).cloned().unwrap_or_else(|| match self.made(name) {
            Some(Made::Prepared(text, facts)) => Meaning::Sql(text.clone(), Arc::clone(facts)),
            _ => Meaning::Opaque,
        })
    }

    fn made(&self, name: &Bytes) -> Option<&Made> {
        if self.sql.is_empty() {
            return None;
        }
        self.sql.get(std::str::from_utf8(name).ok()?)
    }

    /// The server confirmed a Bind that was let through.
    pub(crate) fn bound(&mut self, portal: Bytes, opened: Opened) {
        if !is_certain(&portal) {
            return;
        }
        self.forget_sql_name(&portal);
        self.portals.insert(portal, opened);
    }

    /// A cursor that was declared in SQL can be executed as a portal, too.
    pub(crate) fn declared(&mut self, name: &str, opened: Opened) {
        if is_certain(name.as_bytes()) {
            self.portals.insert(Bytes::copy_from_slice(name.as_bytes()), opened);
        }
    }

    /// The portal of this name, if its Bind was let through.
    pub(crate) fn portal(&self, name: &Bytes) -> Option<&Opened> {
        self.portals.get(name)
    }

    /// The names of all portals that are open and known, and whether all rows of each have come.
    pub(crate) fn portals(&self) -> impl Iterator<Item = (&Bytes, bool)> {
        self.portals.iter()
    }

    /// Whether a portal that this statement opened is open.
    pub(crate) fn has_portal_of(&self, number: u64) -> bool {
        self.portals.has_of(number)
    }

    /// All rows have come of a portal that this statement opened.
    pub(crate) fn has_finished(&mut self, number: u64) {
        self.portals.has_finished(number);
    }

    /// The portal of this name is gone, or is no longer the one that was let through.
    pub(crate) fn forget_portal(&mut self, name: &Bytes) {
        self.portals.remove(name);
    }

    /// The transaction ended, or something ran that may have made any portal anew.
    pub(crate) fn forget_portals(&mut self) {
        if self.sql.is_empty() {
            self.portals.clear();
            return;
        }
        self.sql.retain(|_, made| match made {
            Made::Prepared(..) => true,
            // If it was rolled back, nothing has its name: whatever is made by it is seen.
            Made::Cursor(declared) => declared.effect.holds,
        });
        let sql = &self.sql;
        let held = |name: &Bytes| {
            std::str::from_utf8(name).is_ok_and(|name| matches!(sql.get(name), Some(Made::Cursor(_))))
        };
        self.portals.retain(held);
    }

    /// SQL has given up these names.
    pub(crate) fn closed(&mut self, closes: &Closes) {
        match closes {
            Closes::Nothing => {}
            Closes::Statement(name) => {
                self.forget_statement(&Bytes::copy_from_slice(name.as_bytes()));
                if matches!(self.sql.get(name), Some(Made::Prepared(..))) {
                    self.sql.remove(name);
                }
            }
            Closes::Cursor(name) => {
                self.forget_portal(&Bytes::copy_from_slice(name.as_bytes()));
                if matches!(self.sql.get(name), Some(Made::Cursor(_))) {
                    self.sql.remove(name);
                }
            }
            Closes::Statements | Closes::Cursors | Closes::All => {
                if *closes != Closes::Cursors {
                    self.statements.clear();
                    self.descriptions.clear();
                    self.order.clear();
                    self.bytes = 0;
                    self.sql.retain(|_, made| matches!(made, Made::Cursor(_)));
                }
                if *closes != Closes::Statements {
                    self.portals.clear();
                    self.sql.retain(|_, made| matches!(made, Made::Prepared(..)));
                }
            }
        }
    }

    /// SQL gave a name to something that is known: EXECUTE and FETCH may go on with it.
    pub(crate) fn made_by_sql(&mut self, name: &str, made: Made) {
        // How much of a longer one the server keeps depends on its own encoding.
        if !is_certain(name.as_bytes()) {
            return;
        }
        let own = made.bytes();
        self.sql_bytes = self.sql.values().map(Made::bytes).fold(own, usize::saturating_add);
        if self.sql.len() >= MAX_SQL_NAMES || self.sql_bytes > MAX_STATEMENT_BYTES {
            self.sql.clear();
            self.sql_bytes = own;
        }
        self.sql.insert(name.to_owned(), made);
    }

    /// What a name that EXECUTE or FETCH refers to stands for.
    pub(crate) fn sql_name(&self, name: &str) -> Option<&Made> {
        self.sql.get(name)
    }

    /// Whether there is, or may be, a prepared statement of a name and another text than this, or a cursor.
    pub(crate) fn has_besides(&self, sql: &Bytes) -> bool {
        let is_other = |(name, meaning): (&Bytes, &Meaning)| {
            !name.is_empty() && !matches!(meaning, Meaning::Known(prepared) if prepared.text.sql == *sql)
        };
        self.doubtful
            || !self.sql.is_empty()
            || self.portals.has_named()
            || self.statements.iter().any(is_other)
    }

    /// The text of a cursor that SQL declared, or of what is bound to a portal of this name.
    pub(crate) fn text_of_cursor(&self, name: &Bytes) -> Option<Text> {
        match self.made(name) {
            Some(Made::Cursor(declared)) => Some(declared.text.clone()),
            _ => self.portal(name)?.traces().text().cloned(),
        }
    }

    fn forget_sql_name(&mut self, name: &Bytes) {
        if !self.sql.is_empty()
            && let Ok(name) = std::str::from_utf8(name)
        {
            self.sql.remove(name);
        }
    }

    /// SQL ran, or will run at the transaction's end, that may have given any name to anything.
    pub(crate) fn doubt(&mut self) {
        self.forget_portals();
        self.sql.clear();
        self.doubtful = true;
    }

    /// The server says which statements SQL made; `None`: too many to tell. All others are as Parse made them, for
    /// PREPARE takes no name that is taken.
    pub(crate) fn are_made_by_sql(&mut self, names: Option<Vec<String>>) {
        self.doubtful &= names.is_none();
        for name in names.into_iter().flatten() {
            self.forget_statement(&Bytes::from(name));
        }
    }

    /// SQL made, or may have made, a prepared statement or cursor of this name.
    pub(crate) fn taken_by_sql(&mut self, name: &str) {
        self.sql.remove(name);
        let name = Bytes::copy_from_slice(name.as_bytes());
        self.forget_statement(&name);
        self.forget_portal(&name);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use stepgate_types::{ColumnName, RelationName, Use};

    use super::*;

    fn prepared(sql: &str) -> Arc<Prepared> {
        Arc::new(Prepared {
            text: Text::unsent(Bytes::copy_from_slice(sql.as_bytes())),
            types: Vec::new(),
            facts: None,
            settings: 0,
        })
    }

    #[test]
    fn a_name_that_falls_out_becomes_opaque_and_not_harmless() {
        let mut registry = Registry::default();
        for number in 0..=MAX_STATEMENTS {
            registry.prepared(Bytes::from(format!("s{number}")), prepared("select 1"));
        }
        assert_eq!(registry.statement(&Bytes::from("s0")), Meaning::Opaque);
        assert_eq!(registry.statement(&Bytes::from("s1")), Meaning::Known(prepared("select 1")));
        assert_eq!(registry.bytes, MAX_STATEMENTS * "select 1".len());
    }

    #[test]
    fn short_texts_with_much_to_know_about_them_are_not_all_kept() {
        let mut facts = Facts::empty();
        for at in 0..1_500 {
            let column = ColumnName::new(RelationName::new("public", "wide"), format!("c{at}"));
            facts.columns.insert(column, BTreeSet::from([Use::Output]));
        }
        let mut registry = Registry::default();
        for number in 0..100 {
            let text = Text::unsent(Bytes::from(format!("select * from wide a{number}")));
            let facts: Arc<[Facts]> = Arc::from([facts.clone()]);
            let facts_then = Some(Arc::clone(&facts));
            let statement =
                Prepared { text: text.clone(), types: Vec::new(), facts: facts_then, settings: 0 };
            registry.prepared(Bytes::from(format!("s{number}")), Arc::new(statement));
            registry.made_by_sql(&format!("q{number}"), Made::Prepared(text, facts));
        }
        assert!(registry.statements.len() < 50 && registry.sql.len() < 50);
        assert!(registry.bytes <= MAX_STATEMENT_BYTES);
    }

    #[test]
    fn a_long_unnamed_statement_costs_no_other_its_place() {
        let mut registry = Registry::default();
        for number in 0..8 {
            registry.prepared(Bytes::from(format!("s{number}")), prepared(&"y".repeat(MAX_TEXT - 1)));
        }
        registry.prepared(Bytes::new(), prepared(&"x".repeat(MAX_TEXT)));
        registry.prepared(Bytes::from("after"), prepared("2"));
        for name in ["s0", "", "after"] {
            assert_ne!(registry.statement(&Bytes::from(name)), Meaning::Opaque, "{name:?}");
        }
        // One that is longer is not kept for as long as the session lasts.
        registry.prepared(Bytes::new(), prepared(&"x".repeat(MAX_TEXT + 1)));
        assert_eq!(registry.statement(&Bytes::new()), Meaning::Opaque);
    }

    #[test]
    fn names_that_are_parsed_again_and_again_take_no_more_places() {
        let mut registry = Registry::default();
        for number in 0..9 * MAX_STATEMENTS {
            registry.prepared(Bytes::new(), prepared("select 1"));
            registry.prepared(Bytes::from(format!("s{}", number % 3)), prepared("select 1"));
        }
        assert_eq!(registry.statements.len(), 4);
        assert!(registry.order.len() <= 2 * MAX_STATEMENTS, "{}", registry.order.len());
        registry.keep_last_places();
        assert_eq!(registry.order, ["s0", "s1", "s2"].map(Bytes::from), "in the order of their last Parse");
    }

    #[test]
    fn a_name_that_sql_took_over_no_longer_means_what_parse_made_of_it() {
        let mut registry = Registry::default();
        registry.prepared(Bytes::from("s"), prepared("select 1"));
        registry.taken_by_sql("s");
        assert_eq!(registry.statement(&Bytes::from("s")), Meaning::Opaque);
    }

    #[test]
    fn statements_are_opaque_while_sql_may_have_taken_their_names_and_those_it_took_remain_so() {
        let mut registry = Registry::default();
        registry.prepared(Bytes::from("s"), prepared("select 1"));
        registry.prepared(Bytes::from("t"), prepared("select 2"));
        registry.doubt();
        assert_eq!(registry.statement(&Bytes::from("t")), Meaning::Opaque);
        registry.are_made_by_sql(None);
        assert_eq!(registry.statement(&Bytes::from("t")), Meaning::Opaque);
        registry.are_made_by_sql(Some(vec!["s".to_owned(), "of SQL's own".to_owned()]));
        assert_eq!(registry.statement(&Bytes::from("s")), Meaning::Opaque);
        assert_eq!(registry.statement(&Bytes::from("t")), Meaning::Known(prepared("select 2")));
    }

    #[test]
    fn a_name_that_parse_took_over_no_longer_means_what_prepare_made_of_it() {
        let mut registry = Registry::default();
        let text = Text::unsent(Bytes::from("prepare s as select 1"));
        registry.made_by_sql("s", Made::Prepared(text, Arc::from([])));
        registry.prepared(Bytes::from("s"), prepared("select ssn from customers"));
        assert_eq!(registry.sql_name("s"), None);
    }
}

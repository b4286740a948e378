//! What transactions change for others, once it is known what there is: DROP of what is not there, and ALTER, do nothing
//! unless another transaction makes it meanwhile; and what was dropped means something else only once that name is given
//! to something.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stepgate_sql::{Changes, Hanging, Mentioned, Names, Opens, Schemas, Touched};

/// The most names that are told apart of one transaction: of more, anything counts as changed.
const MAX_NAMES: usize = 50_000;

/// How often it is looked whether what has come about makes more come about: of what takes longer, all does.
const MAX_ROUNDS: usize = 16;

/// What one transaction with DDL changes, as far as it has come: all that knows of it knows the same.
#[derive(Debug)]
pub(crate) struct Transaction {
    /// Which of the database's.
    pub(crate) number: u64,
    /// Whose.
    pub(crate) session: u64,
    /// How often DDL had been committed before the catalog was taken by which it was judged.
    pub(crate) since: u64,
    parts: Mutex<Arc<Parts>>,
}

/// What it is made of, in order.
#[derive(Debug, Clone, Default)]
struct Parts {
    all: Vec<Part>,
    names: usize,
}

/// What a statement does of it.
#[derive(Debug, Clone)]
struct Part {
    /// Of which message, and which of its statements.
    of: (u64, usize),
    changes: Arc<Changes>,
}

impl Transaction {
    pub(crate) fn new(number: u64, session: u64, since: u64) -> Self {
        Self { number, session, since, parts: Mutex::default() }
    }

    fn parts(&self) -> MutexGuard<'_, Arc<Parts>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Arc<Parts> {
        Arc::clone(&self.parts())
    }

    /// All that it changes once it is committed, however late that is.
    pub(crate) fn at_any_time(&self) -> Changes {
        let mut all = Changes::default();
        self.now().all.iter().for_each(|part| all.add(Changes::clone(&part.changes).at_any_time()));
        // What each statement does beside that it has done.
        let Changes { touched, opens, twice, code, code_on_write, view, unseen, .. } = all;
        Changes { touched, opens, twice, code, code_on_write, view, unseen, ..Changes::default() }
    }

    /// A message with that number is about to be sent, each of whose statements does this.
    pub(crate) fn adds(&self, number: u64, each: Vec<Changes>) {
        let mut parts = self.parts();
        let parts = Arc::make_mut(&mut parts);
        for (at, changes) in each.into_iter().enumerate().filter(|(_, changes)| !changes.is_nothing()) {
            // Of what hangs on something more is known once it is done.
            parts.names = parts.names.saturating_add(changes.names());
            parts.all.push(Part { of: (number, at), changes: Arc::new(changes) });
        }
        if parts.names > MAX_NAMES {
            parts.become_anything();
        }
    }

    /// It may have done anything, any number of times.
    pub(super) fn anything(&self) {
        Arc::make_mut(&mut self.parts()).become_anything();
    }

    /// It has done nothing, whatever it was to do.
    pub(super) fn fails(&self) {
        *self.parts() = Arc::default();
    }

    /// Whether something of it hangs on what others make until that message is done.
    pub(super) fn hangs(&self, number: u64) -> bool {
        let parts = self.now();
        parts.of(number).iter().any(|part| !part.changes.hanging.is_empty())
    }

    /// That message is done: so many of its statements, if it failed. What it hung on was there, or was not.
    pub(super) fn settles(&self, number: u64, done: Option<usize>, made: Option<&Made>) {
        let mut parts = self.parts();
        let parts = Arc::make_mut(&mut parts);
        let stays = |part: &Part| done.is_none_or(|done| part.of.1 < done) || part.changes.lasts;
        parts.all.retain(|part| part.of.0 != number || stays(part));
        if let Some(made) = made {
            let (from, to) = parts.range(number);
            for part in parts.all.get_mut(from..to).unwrap_or_default() {
                let changes = Arc::make_mut(&mut part.changes);
                for Hanging { on, touches } in std::mem::take(&mut changes.hanging) {
                    if made.has(&on) {
                        changes.add(Changes { touched: touches, ..Changes::default() });
                    }
                }
            }
            parts.all.retain(|part| !part.changes.is_nothing());
        }
        parts.names = parts.all.iter().fold(0, |all, part| all.saturating_add(part.changes.names()));
    }

    /// As things are now.
    pub(super) fn seen(&self) -> Seen {
        Seen { number: self.number, session: self.session, parts: self.now() }
    }
}

impl Parts {
    fn become_anything(&mut self) {
        let changes = Changes {
            touched: Touched::Anything,
            twice: true,
            lasts: true,
            code: true,
            ..Changes::default()
        };
        *self = Self { all: vec![Part { of: (0, 0), changes: Arc::new(changes) }], names: 1 };
    }

    fn range(&self, number: u64) -> (usize, usize) {
        let from = self.all.partition_point(|part| part.of.0 < number);
        (from, self.all.partition_point(|part| part.of.0 <= number))
    }

    fn of(&self, number: u64) -> &[Part] {
        let (from, to) = self.range(number);
        self.all.get(from..to).unwrap_or_default()
    }
}

/// What a transaction changes, at one moment.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) number: u64,
    pub(super) session: u64,
    parts: Arc<Parts>,
}

impl Seen {
    fn changes(&self) -> impl Iterator<Item = &Changes> {
        self.parts.all.iter().map(|part| part.changes.as_ref())
    }

    /// Without what the first statement of a message does, if that is all the message does.
    pub(super) fn beside(mut self, number: u64) -> Self {
        if self.parts.of(number).iter().all(|part| part.of.1 == 0) {
            Arc::make_mut(&mut self.parts).all.retain(|part| part.of.0 != number);
        }
        self
    }

    /// How often it may commit.
    pub(super) fn weight(&self) -> usize {
        if self.changes().any(|changes| changes.twice) { 2 } else { 1 }
    }

    /// Whether nothing of it is to be compared with anything.
    pub(super) fn is_nothing(&self) -> bool {
        self.changes().all(|it| {
            let nothing = it.touched == Touched::Nothing && it.opens.is_nothing();
            nothing && it.gone.is_empty() && it.hanging.is_empty()
        })
    }

    /// Whether something may have been made that nobody has seen.
    pub(super) fn has_unseen(&self) -> bool {
        self.changes().any(|it| it.unseen)
    }

    /// Whether all that it does is to drop what nothing else had the name of.
    pub(super) fn only_drops(&self) -> bool {
        self.changes().all(|it| {
            it.touched == Touched::Nothing && it.hanging.is_empty() && it.opens.is_nothing() && !it.unseen
        })
    }

    /// Whether it drops the same as another.
    pub(super) fn drops_as(&self, other: &Self) -> bool {
        self.changes().map(|it| &it.gone).eq(other.changes().map(|it| &it.gone))
    }

    pub(super) fn names(&self) -> usize {
        self.parts.names.max(1)
    }

    /// Whether somebody's code is among it; and whether such as runs only where something is written.
    pub(super) fn code(&self) -> Code {
        self.changes().fold(Code::default(), |code, it| {
            code.or(Code { runs: it.code, runs_on_write: it.code_on_write })
        })
    }

    fn all_names(&self) -> impl Iterator<Item = &str> {
        self.changes().flat_map(|it| {
            let touched = match &it.touched {
                Touched::Names(names) => Some(names),
                _ => None,
            };
            let hanging = it.hanging.iter().flat_map(|it| {
                let touches = match &it.touches {
                    Touched::Names(names) => Some(names),
                    _ => None,
                };
                touches.into_iter().chain([&it.on])
            });
            touched
                .into_iter()
                .chain([&it.gone])
                .chain(hanging)
                .flat_map(|names| names.iter().map(|it| &**it))
        })
    }
}

/// Whether somebody's code may have been among what changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Code {
    pub(crate) runs: bool,
    /// Only where something is written.
    pub(crate) runs_on_write: bool,
}

impl Code {
    pub(super) fn or(self, other: Self) -> Self {
        Self { runs: self.runs || other.runs, runs_on_write: self.runs_on_write || other.runs_on_write }
    }
}

/// What transactions make, by name.
#[derive(Debug, Default)]
pub(super) struct Made {
    anything: bool,
    names: HashMap<Box<str>, Vec<Schemas>>,
    opens: Opens,
}

impl Made {
    /// By these; `anything`: and others.
    pub(super) fn by(all: &[Seen], anything: bool) -> Self {
        let mut made = Self { anything, ..Self::default() };
        let mut hanging: Vec<&Hanging> = Vec::new();
        for changes in all.iter().flat_map(Seen::changes) {
            made.add(&changes.touched);
            made.anything |= changes.unseen;
            made.opens.extend(changes.opens.clone());
            hanging.extend(&changes.hanging);
        }
        for _ in 0..MAX_ROUNDS {
            let (come, rest): (Vec<_>, Vec<_>) = hanging.into_iter().partition(|it| made.has(&it.on));
            if come.is_empty() {
                return made;
            }
            come.iter().for_each(|it| made.add(&it.touches));
            hanging = rest;
        }
        made.anything = true;
        made
    }

    fn add(&mut self, touched: &Touched) {
        let names = match touched {
            Touched::Nothing => return,
            Touched::Names(names) => names,
            Touched::Anything => return self.anything = true,
        };
        for (name, schemas) in names.with_schemas() {
            match self.names.get_mut(name) {
                Some(all) => all.push(schemas.clone()),
                None => drop(self.names.insert(name.into(), vec![schemas.clone()])),
            }
        }
    }

    /// Whether something of such a name is made.
    pub(super) fn has(&self, on: &Names) -> bool {
        let made = |name: &str| self.names.get(name).into_iter().flatten();
        self.anything || on.iter().any(|name| made(name).any(|schemas| on.has(name, schemas)))
    }

    /// Whether a transaction changes what a statement hangs on, or drops it: what runs cannot be judged any more by a catalog
    /// that does not have that.
    pub(super) fn takes(&self, by: &Seen, mentioned: &Mentioned) -> bool {
        let gone = |it: &Changes| {
            let mut gone = it.gone.with_schemas();
            gone.any(|(name, schemas)| mentioned.hangs_on_name(name, schemas, &self.opens))
        };
        self.changes(by, mentioned) || by.changes().any(gone)
    }

    /// Whether a transaction changes what a statement hangs on.
    pub(super) fn changes(&self, by: &Seen, mentioned: &Mentioned) -> bool {
        let opens = &self.opens;
        by.changes().any(|it| {
            mentioned.hangs_on(&it.touched, opens)
                || it.gone.with_schemas().any(|(name, schemas)| {
                    (self.anything || self.names.contains_key(name))
                        && mentioned.hangs_on_name(name, schemas, opens)
                })
                || it.hanging.iter().any(|it| mentioned.hangs_on(&it.touches, opens) && self.has(&it.on))
        })
    }
}

/// What code may have come by way of these, and of what gave others of these a name that one of them has.
pub(super) fn code_of(hit: &[&Seen], others: &[Seen]) -> Code {
    let mut code = hit.iter().fold(Code::default(), |code, it| code.or(it.code()));
    let mut names: HashSet<&str> = hit.iter().flat_map(|it| it.all_names()).collect();
    let mut rest: Vec<&Seen> = others.iter().collect();
    for _ in 0..MAX_ROUNDS {
        let (more, left): (Vec<&Seen>, Vec<&Seen>) =
            rest.into_iter().partition(|it| it.all_names().any(|name| names.contains(name)));
        if more.is_empty() {
            return code;
        }
        for it in more {
            code = code.or(it.code());
            names.extend(it.all_names());
        }
        rest = left;
    }
    Code { runs: true, runs_on_write: true }
}

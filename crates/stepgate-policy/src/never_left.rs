//! What the parts of a condition that must hold together leave possible.

use std::collections::BTreeSet;

use ipnet::IpNet;
use stepgate_sql::SinkKind;
use stepgate_types::{BulkShape, Certainty, Kind, Use};

use crate::condition::{ClassTest, Condition, Part, Threshold, Touch};
use crate::present::{Names, PurposeTest};
use crate::signal::Signal;
use crate::time_window::TimeWindow;
use crate::yaml::{Node, Value};

/// Kinds that touch nothing: no column, no table, and store nothing.
const TOUCH_NOTHING: [Kind; 3] = [Kind::Transaction, Kind::Session, Kind::Empty];

const CERTAINTIES: [Certainty; 3] = [Certainty::Exact, Certainty::Over, Certainty::Unknown];

const SHAPES: [BulkShape; 5] =
    [BulkShape::None, BulkShape::LargeLimit, BulkShape::Cursor, BulkShape::WholeTable, BulkShape::Copy];

/// What they leave of each. Those of a list are alternatives, of which `not` takes some away.
#[derive(Debug, Clone, Default)]
pub(crate) struct Left<'c> {
    /// Nothing is left at all.
    nothing: bool,
    kinds: Option<BTreeSet<Kind>>,
    certainties: Option<BTreeSet<Certainty>>,
    shapes: Option<BTreeSet<BulkShape>>,
    people: Option<BTreeSet<&'c str>>,
    pub(crate) databases: Option<BTreeSet<&'c str>>,
    users: Option<BTreeSet<&'c str>>,
    bulk: (bool, bool),
    sink: (bool, bool),
    stated: (bool, bool),
    clients: Option<Names>,
    networks: Option<Vec<IpNet>>,
    purposes: Option<Names>,
    times: Vec<(&'c TimeWindow, bool)>,
    rows: Between,
    risk: Between,
    sinks: Vec<&'c BTreeSet<SinkKind>>,
    signals: Vec<&'c BTreeSet<Signal>>,
    functions: Vec<&'c BTreeSet<String>>,
    groups: Vec<BTreeSet<&'c str>>,
    pub(crate) touches: Vec<&'c Touch>,
    pub(crate) compared: Vec<&'c Touch>,
    not: Without<'c>,
    /// Where alternatives stand, and what they are.
    pub(crate) anys: Vec<(&'c Node, &'c [Condition])>,
    /// Where what must not hold stands, and what that is.
    pub(crate) nots: Vec<(&'c Node, &'c Condition)>,
}

/// What must not be.
#[derive(Debug, Clone, Default)]
struct Without<'c> {
    people: BTreeSet<&'c str>,
    databases: BTreeSet<&'c str>,
    users: BTreeSet<&'c str>,
    clients: Vec<&'c Names>,
    networks: Vec<IpNet>,
    purposes: Vec<&'c Names>,
    sinks: BTreeSet<SinkKind>,
    signals: BTreeSet<Signal>,
    functions: BTreeSet<&'c str>,
    groups: BTreeSet<&'c str>,
    touches: Vec<&'c Touch>,
}

/// From so many on, and below so many.
#[derive(Debug, Clone, Copy, Default)]
struct Between {
    from: u64,
    below: Option<u64>,
}

impl Between {
    fn from(&mut self, threshold: Threshold) {
        self.from = self.from.max(threshold.from);
    }

    fn below(&mut self, threshold: Threshold) {
        self.below = Some(self.below.map_or(threshold.from, |below| below.min(threshold.from)));
    }

    fn is_empty(self) -> bool {
        self.below.is_some_and(|below| self.from >= below)
    }
}

/// What is contradictory, and where to say so.
pub(crate) struct Why {
    pub(crate) key: &'static str,
    pub(crate) says: String,
}

/// The value of a key of a condition.
fn entry<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    let Value::Map(entries) = &node.value else { return None };
    entries.iter().find(|(key, _)| key.name == name).map(|(_, value)| value)
}

/// The items of a list.
pub(crate) fn items(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(list) => list,
        _ => &[],
    }
}

impl<'c> Left<'c> {
    pub(crate) fn of(node: &'c Node, condition: &'c Condition) -> Self {
        let mut left = Self::default();
        left.add(node, condition);
        left
    }

    /// The same with an alternative of one of its `any`; what is said of the others is not asked again.
    pub(crate) fn with(&self, node: &'c Node, condition: &'c Condition) -> Self {
        let mut left = Self { anys: Vec::new(), nots: Vec::new(), ..self.clone() };
        left.add(node, condition);
        left
    }

    fn add(&mut self, node: &'c Node, condition: &'c Condition) {
        for part in &condition.parts {
            match part {
                Part::Kind(kinds) => {
                    // Each statement has one kind of its own, and may be asked for by what runs with it.
                    let within = kinds.iter().any(|kind| kind.runs_within());
                    let holds = |kind: &Kind| within && (kind.holds_others() || kind.is_preparable());
                    let others = Kind::ALL.into_iter().filter(holds);
                    keep(&mut self.kinds, kinds.iter().copied().chain(others));
                }
                Part::Certainty(wanted) => keep(&mut self.certainties, wanted.iter().copied()),
                Part::Person(people) => keep(&mut self.people, people.iter().map(|it| it.as_str())),
                Part::Database(names) => keep(&mut self.databases, names.iter().map(String::as_str)),
                Part::DbUser(names) => keep(&mut self.users, names.iter().map(String::as_str)),
                Part::Bulk(wanted) => {
                    flag(&mut self.bulk, *wanted);
                    keep(&mut self.shapes, shapes(*wanted));
                }
                Part::BulkShape(shapes) => {
                    flag(&mut self.bulk, true);
                    keep(&mut self.shapes, shapes.iter().copied());
                }
                Part::Sink(wanted) => flag(&mut self.sink, *wanted),
                Part::SinkKind(kinds) => {
                    flag(&mut self.sink, true);
                    self.sinks.push(kinds);
                }
                Part::Client(names) => both(&mut self.clients, names),
                Part::Network(networks) => self.within(networks),
                Part::Purpose(PurposeTest::Stated(stated)) => flag(&mut self.stated, *stated),
                Part::Purpose(PurposeTest::OneOf(names)) => {
                    flag(&mut self.stated, true);
                    both(&mut self.purposes, names);
                }
                Part::Time(window, within) => self.times.push((window, *within)),
                Part::Estimate(threshold) => self.rows.from(*threshold),
                Part::Risk(threshold) => self.risk.from(*threshold),
                Part::Signal(signals) => self.signals.push(signals),
                Part::Functions(names) => self.functions.push(names),
                Part::Groups(groups) => self.groups.push(groups.iter().map(|it| it.as_str()).collect()),
                Part::Touch(touch) => self.touches.push(touch),
                Part::Predicate(test) => self.compared.push(&test.of),
                Part::All(conditions) => {
                    let nodes = entry(node, "all").map_or(&[][..], items);
                    nodes.iter().zip(conditions).for_each(|(node, condition)| self.add(node, condition));
                }
                Part::Any(conditions) => self.anys.extend(entry(node, "any").map(|it| (it, &**conditions))),
                Part::Not(condition) => {
                    if let Some(node) = entry(node, "not") {
                        self.nots.push((node, condition));
                        self.take(node, condition);
                    }
                }
            }
        }
    }

    /// What must not hold. Of several things that must not be so all at once, nothing is said.
    fn take(&mut self, node: &'c Node, condition: &'c Condition) {
        let part = match condition.parts.as_slice() {
            [] => {
                self.nothing = true;
                return;
            }
            [part] => part,
            _ => return,
        };
        match part {
            Part::Kind(kinds) => {
                keep(&mut self.kinds, Kind::ALL.into_iter().filter(|it| !kinds.contains(it)))
            }
            Part::Certainty(wanted) => {
                keep(&mut self.certainties, CERTAINTIES.into_iter().filter(|it| !wanted.contains(it)));
            }
            Part::Person(people) => self.not.people.extend(people.iter().map(|it| it.as_str())),
            Part::Database(names) => self.not.databases.extend(names.iter().map(String::as_str)),
            Part::DbUser(names) => self.not.users.extend(names.iter().map(String::as_str)),
            Part::Bulk(wanted) => {
                flag(&mut self.bulk, !wanted);
                keep(&mut self.shapes, shapes(!wanted));
            }
            Part::BulkShape(shapes) => {
                keep(&mut self.shapes, SHAPES.into_iter().filter(|it| !shapes.contains(it)));
            }
            Part::Sink(wanted) => flag(&mut self.sink, !wanted),
            Part::SinkKind(kinds) => self.not.sinks.extend(kinds),
            Part::Client(names) => self.not.clients.push(names),
            Part::Network(networks) => self.not.networks.extend(networks),
            Part::Purpose(PurposeTest::Stated(stated)) => flag(&mut self.stated, !stated),
            Part::Purpose(PurposeTest::OneOf(names)) => self.not.purposes.push(names),
            Part::Time(window, within) => self.times.push((window, !within)),
            Part::Estimate(threshold) => self.rows.below(*threshold),
            Part::Risk(threshold) => self.risk.below(*threshold),
            Part::Signal(signals) => self.not.signals.extend(signals),
            Part::Functions(names) => self.not.functions.extend(names.iter().map(String::as_str)),
            Part::Groups(groups) => self.not.groups.extend(groups.iter().map(|it| it.as_str())),
            Part::Touch(touch) => self.not.touches.push(touch),
            Part::Any(conditions) => {
                let nodes = entry(node, "any").map_or(&[][..], items);
                nodes.iter().zip(conditions).for_each(|(node, condition)| self.take(node, condition));
            }
            Part::Not(condition) => {
                if let Some(node) = entry(node, "not") {
                    self.add(node, condition);
                }
            }
            Part::All(_) | Part::Predicate(_) => {}
        }
    }

    /// Only what is in one of these networks, too.
    fn within(&mut self, networks: &[IpNet]) {
        let Some(before) = self.networks.take() else {
            self.networks = Some(networks.to_vec());
            return;
        };
        let narrower = |one: &IpNet| {
            let one = *one;
            networks.iter().filter_map(move |other| match (one.contains(other), other.contains(&one)) {
                (true, _) => Some(*other),
                (false, true) => Some(one),
                (false, false) => None,
            })
        };
        self.networks = Some(before.iter().flat_map(narrower).collect());
    }

    pub(crate) fn contradiction(&self) -> Option<Why> {
        let why = |key, says: &str| Some(Why { key, says: says.to_owned() });
        if self.nothing {
            return why("not", "`not: {}` excludes everything");
        }
        self.of_people().or_else(|| self.of_statements()).or_else(|| self.of_kinds())
    }

    /// Who asks, from where and when.
    fn of_people(&self) -> Option<Why> {
        let why = |key, says: &str| Some(Why { key, says: says.to_owned() });
        let none = |set: &Option<BTreeSet<&str>>| set.as_ref().is_some_and(BTreeSet::is_empty);
        let excluded = |set: &Option<BTreeSet<&str>>, not: &BTreeSet<&str>| {
            set.as_ref().is_some_and(|set| set.is_subset(not))
        };
        for (key, set, not, says, excludes) in [
            (
                "person",
                &self.people,
                &self.not.people,
                "nobody is all of these people",
                "`not` excludes all of these people",
            ),
            (
                "database",
                &self.databases,
                &self.not.databases,
                "no database has all of these names",
                "`not` excludes all of these databases",
            ),
            (
                "db_user",
                &self.users,
                &self.not.users,
                "no role has all of these names",
                "`not` excludes all of these roles",
            ),
        ] {
            if none(set) {
                return why(key, says);
            }
            if excluded(set, not) {
                return why(key, excludes);
            }
        }
        if self.groups.iter().any(|groups| groups.is_subset(&self.not.groups)) {
            return why("groups", "`not` excludes all of these groups");
        }
        for (key, names, not, says, excludes) in [
            (
                "client",
                &self.clients,
                &self.not.clients,
                "no client has all of these names",
                "`not` excludes all of these clients",
            ),
            (
                "purpose",
                &self.purposes,
                &self.not.purposes,
                "no purpose is all of these",
                "`not` excludes all of these purposes",
            ),
        ] {
            let Some(names) = names else { continue };
            if names.is_empty() {
                return why(key, says);
            }
            if names.are_all_in(not) {
                return why(key, excludes);
            }
        }
        if self.stated == (true, true) {
            return why("purpose", "no purpose is stated and none");
        }
        if let Some(networks) = &self.networks {
            if networks.is_empty() {
                return why("network", "no address is in all of these networks");
            }
            let is_out = |network: &IpNet| self.not.networks.iter().any(|other| other.contains(network));
            if networks.iter().all(is_out) {
                return why("network", "`not` excludes all of these networks");
            }
        }
        if self.times.iter().any(|(window, _)| !self.is_some_time_of(window)) {
            return why("time", "no time is in all of these hours");
        }
        None
    }

    /// Whether any time of the week fits all that is asked by the clocks of this window.
    fn is_some_time_of(&self, window: &TimeWindow) -> bool {
        let same: Vec<_> = self.times.iter().filter(|(other, _)| other.zone == window.zone).collect();
        let turns = same.iter().flat_map(|(window, _)| window.turns()).chain([0]);
        let turns: BTreeSet<u16> = turns.collect();
        let fits =
            |day: u8, minute: u16| same.iter().all(|(window, within)| window.covers(day, minute) == *within);
        (0..7).any(|day| turns.iter().any(|minute| fits(day, *minute)))
    }

    /// What it is, and how much.
    fn of_statements(&self) -> Option<Why> {
        let why = |key, says: &str| Some(Why { key, says: says.to_owned() });
        if self.kinds.as_ref().is_some_and(BTreeSet::is_empty) {
            return why("kind", "no statement is of all of these kinds");
        }
        if self.certainties.as_ref().is_some_and(BTreeSet::is_empty) {
            return why("certainty", "no statement is of all of these certainties");
        }
        if self.bulk == (true, true) {
            return why("bulk", "no statement is a bulk export and none");
        }
        if self.shapes.as_ref().is_some_and(BTreeSet::is_empty) {
            return why("bulk", "no statement is a bulk export in all of these shapes");
        }
        if self.sink == (true, true) {
            return why("sink", "no statement stores what it reads and does not");
        }
        if self.sinks.iter().any(|kinds| kinds.is_subset(&self.not.sinks)) {
            return why("sink", "`not` excludes all of these sinks");
        }
        let functions =
            |names: &BTreeSet<String>| names.iter().all(|name| self.not.functions.contains(name.as_str()));
        if self.functions.iter().any(|names| functions(names)) {
            return why("functions", "`not` excludes all of these functions");
        }
        if self.signals.iter().any(|signals| signals.is_subset(&self.not.signals)) {
            return why("signal", "`not` excludes all of these signals");
        }
        if self.rows.is_empty() {
            return why("estimate_rows", "no number of rows is so great and, by `not`, is not");
        }
        if self.risk.is_empty() {
            return why("risk", "no risk is so high and, by `not`, is not");
        }
        let touched =
            self.touches.iter().find(|touch| self.not.touches.iter().any(|not| implies(touch, not)));
        touched.and_then(|touch| why(key_of(touch), "`not` excludes all of that"))
    }

    /// Kinds that do nothing of what is asked.
    fn of_kinds(&self) -> Option<Why> {
        let kinds = self.kinds.as_ref()?;
        let nothing = kinds.iter().all(|kind| TOUCH_NOTHING.contains(kind));
        let what = if !self.touches.is_empty() {
            "touch no column and no table"
        } else if self.sink.0 {
            "store nothing"
        } else if self.shapes.as_ref().is_some_and(|shapes| !shapes.contains(&BulkShape::None)) {
            "export nothing"
        } else {
            return None;
        };
        let names = kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
        nothing.then(|| Why { key: "kind", says: format!("statements of kind {names} {what}") })
    }
}

/// The shapes that are an export in bulk, or the one that is none.
fn shapes(bulk: bool) -> impl Iterator<Item = BulkShape> {
    SHAPES.into_iter().filter(move |shape| (*shape != BulkShape::None) == bulk)
}

const fn flag(flags: &mut (bool, bool), wanted: bool) {
    if wanted { flags.0 = true } else { flags.1 = true }
}

fn both(left: &mut Option<Names>, names: &Names) {
    *left = Some(left.take().map_or_else(|| names.clone(), |before| before.both(names)));
}

fn keep<T: Ord>(left: &mut Option<BTreeSet<T>>, these: impl Iterator<Item = T>) {
    let these: BTreeSet<T> = these.collect();
    *left = Some(match left.take() {
        Some(before) => before.into_iter().filter(|it| these.contains(it)).collect(),
        None => these,
    });
}

/// The first of what it asks.
fn key_of(touch: &Touch) -> &'static str {
    let asked = [
        ("labels", touch.labels.is_some()),
        ("class", touch.class.is_some()),
        ("columns", touch.columns.is_some()),
        ("tables", touch.tables.is_some()),
    ];
    asked.into_iter().find(|(_, asked)| *asked).map_or("use", |(key, _)| key)
}

/// Whether whatever touches the one touches the other.
fn implies(one: &Touch, other: &Touch) -> bool {
    fn within<T: std::hash::Hash + Eq>(
        one: Option<&std::collections::HashSet<T>>,
        other: Option<&std::collections::HashSet<T>>,
    ) -> bool {
        other.is_none_or(|other| one.is_some_and(|one| one.is_subset(other)))
    }
    let class = match (one.class, other.class) {
        (_, None) => true,
        (Some(ClassTest::Is(is) | ClassTest::AtLeast(is)), Some(ClassTest::AtLeast(least))) => is >= least,
        (Some(ClassTest::Is(is)), Some(ClassTest::Is(wanted))) => is == wanted,
        _ => false,
    };
    // Class and labels mean read, unless `use` says otherwise.
    let reads = |touch: &Touch| touch.class.is_some() || touch.labels.is_some();
    let uses = match (&one.uses, &other.uses) {
        (_, None) if !reads(other) => true,
        (None, None) => reads(one),
        (Some(uses), None) => !uses.contains(&Use::Write),
        (Some(uses), Some(others)) => uses.is_subset(others),
        (None, Some(_)) => false,
    };
    class
        && uses
        && within(one.labels.as_ref(), other.labels.as_ref())
        && within(one.tables.as_ref(), other.tables.as_ref())
        && within(one.columns.as_ref(), other.columns.as_ref())
}

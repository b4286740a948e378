//! Conditions of rules, and whether they hold.

use std::collections::{BTreeSet, HashSet};

use ipnet::IpNet;
use stepgate_sql::SinkKind;
use stepgate_types::{
    BulkShape, Certainty, ColumnName, GroupName, Kind, Label, Limit, PersonName, RelationName, Use,
};

use crate::Delivered;
use crate::map::reads;
use crate::predicate::PredicateTest;
use crate::present::{Names, Present, PurposeTest};
use crate::signal::Signal;
use crate::statement::{Column, Statement};
use crate::time_window::TimeWindow;
use crate::truth::Truth;

/// A rule's `match`, or a part of it: holds where all its parts do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Condition {
    pub(crate) parts: Vec<Part>,
}

/// One thing that a condition asks.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    Touch(Touch),
    Kind(BTreeSet<Kind>),
    Certainty(BTreeSet<Certainty>),
    Bulk(bool),
    BulkShape(BTreeSet<BulkShape>),
    Sink(bool),
    SinkKind(BTreeSet<SinkKind>),
    Functions(BTreeSet<String>),
    Estimate(Threshold),
    Predicate(PredicateTest),
    Person(BTreeSet<PersonName>),
    Groups(BTreeSet<GroupName>),
    Database(BTreeSet<String>),
    DbUser(BTreeSet<String>),
    Client(Names),
    Network(Vec<IpNet>),
    /// Within it, or outside.
    Time(TimeWindow, bool),
    Signal(BTreeSet<Signal>),
    Risk(Threshold),
    Purpose(PurposeTest),
    Any(Vec<Condition>),
    All(Vec<Condition>),
    Not(Box<Condition>),
}

/// What `class`, `labels`, `tables`, `columns` and `use` of one condition ask, of one and the same column.
#[derive(Debug, Clone, Default)]
pub(crate) struct Touch {
    pub(crate) class: Option<ClassTest>,
    pub(crate) labels: Option<HashSet<Label>>,
    pub(crate) tables: Option<HashSet<RelationName>>,
    pub(crate) columns: Option<HashSet<ColumnName>>,
    pub(crate) uses: Option<BTreeSet<Use>>,
}

/// `restricted`, or `>=restricted`, by rank.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ClassTest {
    Is(u32),
    AtLeast(u32),
}

/// `>N` as N + 1, `>=N` as N: matches from so many on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Threshold {
    pub(crate) from: u64,
}

impl Threshold {
    /// The most that is still below it.
    pub(crate) const fn below(self) -> u64 {
        self.from.saturating_sub(1)
    }
}

/// What must have been delivered for a rule to match: rows or bytes, not both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct OnceDelivered {
    pub(crate) rows: Option<Threshold>,
    pub(crate) bytes: Option<Threshold>,
}

impl OnceDelivered {
    pub(crate) const fn is_asked(self) -> bool {
        self.rows.is_some() || self.bytes.is_some()
    }

    /// Whether so much has been.
    pub(crate) fn is_reached(self, delivered: Delivered) -> bool {
        self.rows.is_none_or(|rows| delivered.rows >= rows.from)
            && self.bytes.is_none_or(|bytes| delivered.bytes >= bytes.from)
    }

    /// What may be delivered in all before it is.
    pub(crate) fn limit(self) -> Limit {
        let of = |threshold: Option<Threshold>| threshold.map(Threshold::below);
        Limit::of(of(self.rows), of(self.bytes))
    }
}

impl Condition {
    pub(crate) fn holds(&self, statement: &Statement<'_>, present: &Present<'_>) -> Truth {
        Truth::all(self.parts.iter().map(|part| part.holds(statement, present)))
    }

    /// The columns that its `predicate`s name, in order.
    pub(crate) fn compared(&self) -> BTreeSet<&ColumnName> {
        let mut all = BTreeSet::new();
        for part in &self.parts {
            match part {
                Part::Predicate(test) => all.extend(test.of.columns.iter().flatten()),
                Part::Any(conditions) | Part::All(conditions) => {
                    all.extend(conditions.iter().flat_map(Self::compared));
                }
                Part::Not(condition) => all.extend(condition.compared()),
                _ => {}
            }
        }
        all
    }

    /// Whether it, or a part of it, is about the number of rows.
    pub(crate) fn asks_for_rows(&self) -> bool {
        self.parts.iter().any(|part| match part {
            Part::Estimate(_) => true,
            Part::Any(conditions) | Part::All(conditions) => conditions.iter().any(Self::asks_for_rows),
            Part::Not(condition) => condition.asks_for_rows(),
            _ => false,
        })
    }

    /// Whether it, or a part of it, is about a signal that compares the number of rows with something, or about the risk,
    /// which is made of it.
    pub(crate) fn asks_for_volume(&self) -> bool {
        let (signals, risk) = self.signals();
        risk || signals.contains(&Signal::Volume)
    }

    /// Whether it, or a part of it, looks at values that a statement compares this column with: all else that conditions
    /// ask is in its facts, or is about who asks. To be asked of every part that is added: decisions that hang on facts
    /// and person alone are remembered.
    pub(crate) fn looks_at_values_of(&self, column: &Column<'_>) -> bool {
        let any = |all: &[Self]| all.iter().any(|condition| condition.looks_at_values_of(column));
        self.parts.iter().any(|part| match part {
            Part::Predicate(test) => test.looks_at_values_of(column),
            Part::Any(conditions) | Part::All(conditions) => any(conditions),
            Part::Not(condition) => condition.looks_at_values_of(column),
            Part::Touch(_)
            | Part::Kind(_)
            | Part::Certainty(_)
            | Part::Bulk(_)
            | Part::BulkShape(_)
            | Part::Sink(_)
            | Part::SinkKind(_)
            | Part::Functions(_)
            | Part::Estimate(_)
            | Part::Person(_)
            | Part::Groups(_)
            | Part::Database(_)
            | Part::DbUser(_)
            | Part::Client(_)
            | Part::Network(_)
            | Part::Time(..)
            | Part::Signal(_)
            | Part::Risk(_)
            | Part::Purpose(_) => false,
        })
    }

    /// Whether it, or a part of it, asks for what may be another thing in a moment. To be asked of every part that is
    /// added: decisions that hang on facts and person alone are remembered.
    pub(crate) fn looks_at_the_moment(&self) -> bool {
        self.parts.iter().any(|part| match part {
            Part::Time(..) | Part::Signal(_) | Part::Risk(_) | Part::Purpose(_) => true,
            Part::Any(conditions) | Part::All(conditions) => conditions.iter().any(Self::looks_at_the_moment),
            Part::Not(condition) => condition.looks_at_the_moment(),
            Part::Touch(_)
            | Part::Kind(_)
            | Part::Certainty(_)
            | Part::Bulk(_)
            | Part::BulkShape(_)
            | Part::Sink(_)
            | Part::SinkKind(_)
            | Part::Functions(_)
            | Part::Estimate(_)
            | Part::Predicate(_)
            | Part::Person(_)
            | Part::Groups(_)
            | Part::Database(_)
            | Part::DbUser(_)
            | Part::Client(_)
            | Part::Network(_) => false,
        })
    }

    /// The signals that it names, each time, and whether it asks for the risk, which is made of all of them.
    pub(crate) fn signals(&self) -> (BTreeSet<Signal>, bool) {
        let mut found = (BTreeSet::new(), false);
        for part in &self.parts {
            let mut add = |condition: &Self| {
                let (signals, risk) = condition.signals();
                found.0.extend(signals);
                found.1 |= risk;
            };
            match part {
                Part::Signal(signals) => found.0.extend(signals),
                Part::Risk(_) => found.1 = true,
                Part::Any(conditions) | Part::All(conditions) => conditions.iter().for_each(add),
                Part::Not(condition) => add(condition),
                _ => {}
            }
        }
        found
    }

    /// Whether it can hold only for statements that it expects to be of kind `control`: what lets a rule
    /// stand in for the standing denial. A `control` in one branch of `any`, or under `not`, does not.
    pub(crate) fn names_control(&self) -> bool {
        self.parts.iter().any(|part| match part {
            Part::Kind(kinds) => kinds.contains(&Kind::Control),
            Part::All(conditions) => conditions.iter().any(Self::names_control),
            Part::Any(conditions) => conditions.iter().all(Self::names_control),
            _ => false,
        })
    }
}

impl Part {
    pub(crate) fn holds(&self, statement: &Statement<'_>, present: &Present<'_>) -> Truth {
        let facts = statement.facts;
        let who = present.who;
        let doubt = statement.unknown();
        let known = |holds| Truth::seen(holds, false);
        match self {
            Self::Touch(touch) => touch.holds(statement),
            // What runs within it makes rules fire, and is nothing that lifts a denial: the whole of it is of another kind.
            Self::Kind(kinds) => {
                let within = facts.kind == Kind::Unknown || facts.runs().any(|kind| kinds.contains(&kind));
                Truth::seen(kinds.contains(&facts.kind), within)
            }
            Self::Certainty(wanted) => {
                let certainty = if doubt { Certainty::Unknown } else { facts.certainty };
                known(wanted.contains(&certainty))
            }
            Self::Bulk(wanted) => Truth::seen(facts.bulk != BulkShape::None, doubt).is(*wanted),
            Self::BulkShape(shapes) => Truth::seen(shapes.contains(&facts.bulk), doubt),
            Self::Sink(wanted) => Truth::seen(!facts.sinks.is_empty(), doubt).is(*wanted),
            Self::SinkKind(kinds) => {
                Truth::seen(facts.sinks.iter().any(|sink| kinds.contains(&sink.kind)), doubt)
            }
            Self::Functions(names) => Truth::seen(!names.is_disjoint(&facts.functions), doubt),
            Self::Estimate(threshold) => threshold.holds(statement),
            Self::Predicate(predicate) => predicate.holds(statement),
            Self::Person(people) => known(people.contains(&who.person)),
            Self::Groups(groups) => known(!groups.is_disjoint(&who.groups)),
            Self::Database(names) => known(names.contains(&who.database)),
            Self::DbUser(names) => known(names.contains(&who.db_user)),
            Self::Client(names) => known(names.has(&who.client)),
            Self::Network(networks) => {
                // A dual-stack listener shows 10.0.0.7 as ::ffff:10.0.0.7; it is the same peer.
                let address = who.address.to_canonical();
                known(networks.iter().any(|network| network.contains(&address)))
            }
            Self::Time(window, within) => present.now(|who| window.contains(who.now) == *within),
            Self::Signal(signals) => present.fires(signals),
            Self::Risk(threshold) => present.is_risk(threshold.from),
            Self::Purpose(test) => present.now(|who| test.holds(who)),
            Self::Any(conditions) => Truth::any(conditions.iter().map(|c| c.holds(statement, present))),
            Self::All(conditions) => Truth::all(conditions.iter().map(|c| c.holds(statement, present))),
            Self::Not(condition) => condition.holds(statement, present).not(),
        }
    }
}

impl Truth {
    /// The truth of "it is `wanted`".
    const fn is(self, wanted: bool) -> Self {
        if wanted { self } else { self.not() }
    }
}

impl Threshold {
    /// An unknown estimate matches every threshold, and so does the estimate of an unknown statement: a
    /// function may return a table in one row.
    fn holds(self, statement: &Statement<'_>) -> Truth {
        match statement.facts.estimate {
            Some(rows) if statement.at_most && rows >= self.from => Truth::Maybe,
            Some(rows) => Truth::seen(rows >= self.from, statement.unknown()),
            None => Truth::seen(false, !statement.without_rows()),
        }
    }
}

impl Touch {
    pub(crate) fn holds(&self, statement: &Statement<'_>) -> Truth {
        let column = statement.columns.iter().any(|column| self.fits(column));
        Truth::seen(column || self.table_is_reached(statement), statement.unknown())
    }

    /// `tables` alone also matches a statement that reaches a table without touching any column of it,
    /// such as `count(*)`.
    fn table_is_reached(&self, statement: &Statement<'_>) -> bool {
        let alone =
            self.class.is_none() && self.labels.is_none() && self.columns.is_none() && self.uses.is_none();
        let reached = |tables: &HashSet<RelationName>| {
            statement.facts.relations.iter().any(|relation| tables.contains(relation))
        };
        alone && self.tables.as_ref().is_some_and(reached)
    }

    pub(crate) fn fits(&self, column: &Column<'_>) -> bool {
        self.names(column) && self.used(column.uses)
    }

    /// Whether it is a column of those asked for, however used.
    pub(crate) fn names(&self, column: &Column<'_>) -> bool {
        let class = column.classified.map(|classified| classified.class.rank);
        let label = column.classified.and_then(|classified| classified.label);
        self.class.is_none_or(|test| class.is_some_and(|rank| test.fits(rank)))
            && self.labels.as_ref().is_none_or(|labels| label.is_some_and(|label| labels.contains(label)))
            && self.tables.as_ref().is_none_or(|tables| tables.contains(&column.name.relation))
            && self.columns.as_ref().is_none_or(|columns| columns.contains(column.name))
    }

    /// Class and labels mean touched other than by `write` alone, unless `use` says otherwise (DESIGN §6).
    fn used(&self, uses: &BTreeSet<Use>) -> bool {
        match &self.uses {
            Some(wanted) => uses.is_empty() || !wanted.is_disjoint(uses),
            None => reads(uses) || (self.class.is_none() && self.labels.is_none()),
        }
    }
}

impl ClassTest {
    const fn fits(self, rank: u32) -> bool {
        match self {
            Self::Is(wanted) => rank == wanted,
            Self::AtLeast(least) => rank >= least,
        }
    }
}

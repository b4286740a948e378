//! Which columns are which, whatever they are called: what a column holds stays with it through RENAME, SET SCHEMA,
//! DETACH PARTITION, NO INHERIT and DROP EXPRESSION, told by the OID of its relation and its attribute number
//! (PostgreSQL documentation, "System Catalogs": pg_class, pg_attribute).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use stepgate_types::{ColumnName, RelationName};

use crate::Catalog;
use crate::catalog::{ColumnRef, Relation, RelationIndex};
use crate::taint::{Flow, Taints};

/// The most columns of a database that are bound.
const MAX_BOUND: usize = 50_000;

/// The most names of its own that are remembered of one column, each labelled at its time.
const MAX_NAMES: usize = 8;

/// A column, by OID of its relation and attribute number; 0 is the relation as a whole.
pub type Place = (u32, i32);

/// What is known of a column that holds something classified.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// Classified names that it had itself.
    pub was: BTreeSet<ColumnName>,
    /// Classified columns that it stood for, one of each kind.
    pub holds: BTreeSet<ColumnName>,
    /// Of a relation as a whole: what else is stored in it was not known ([`Flow::unknown`]).
    pub unknown: bool,
}

/// The columns of one database that hold something classified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bindings(BTreeMap<Place, Binding>);

/// What a catalog changes in bindings.
#[derive(Debug, Default)]
pub struct Followed {
    /// What relations hold by other names than those it is classified by.
    pub flows: BTreeMap<RelationName, Flow>,
    /// The same, column by column: what it is classified by, and where it is now.
    pub moved: BTreeSet<(ColumnName, ColumnName)>,
    /// Bindings that are new or changed, and those that are no more.
    pub changes: Vec<(Place, Option<Binding>)>,
    /// Those for whose columns there was no room: by another name, nobody would know them.
    pub unbound: BTreeSet<RelationName>,
}

/// What a map says, for [`Bindings::follow`].
pub trait Classes {
    /// Compares equal where columns are labelled and classed alike.
    type Kind: Ord;

    /// The relations that have an entry.
    fn listed(&self) -> impl Iterator<Item = &RelationName>;

    /// What the entry of its relation says of a column; `*` is one that the entry does not name.
    fn kind(&self, column: &ColumnName) -> Option<Self::Kind>;
}

/// The name that stands for whatever column an entry does not name.
const ANY: &str = "*";

impl Bindings {
    /// Sets or removes a binding.
    pub fn apply(&mut self, (place, binding): (Place, Option<Binding>)) {
        match binding {
            Some(binding) => drop(self.0.insert(place, binding)),
            None => drop(self.0.remove(&place)),
        }
    }

    /// Names that classified columns had before, and by which they are no longer found.
    #[must_use]
    pub fn former_names(&self) -> BTreeSet<&ColumnName> {
        self.0.values().flat_map(|binding| &binding.was).collect()
    }

    /// Holds bindings against a later catalog of the same database. What a column held and does not hold by any name
    /// that leads there is a flow into its present name.
    #[must_use]
    pub fn follow(&self, catalog: &Catalog, taints: &Taints, map: &impl Classes) -> Followed {
        let mut followed = Followed::default();
        let gone = |place: &&Place| !catalog.has_place(**place);
        followed.changes.extend(self.0.keys().filter(gone).map(|place| (*place, None)));
        let mut bound = self.0.len() - followed.changes.len();
        let mut led = Led { catalog, taints, map, columns: HashMap::new() };
        for (at, relation) in concerned(self, catalog, taints, map) {
            let columns = relation.columns.iter().enumerate().map(|(at, column)| (Some(at), column.number));
            for (column, number) in columns.chain([(None, 0)]) {
                let place = (relation.oid, number);
                let known = self.0.get(&place);
                let Some(now) = led.to((at, relation), column) else { continue };
                let Some(binding) = now.bind(known, map, &mut followed) else { continue };
                if known.is_none() && bound >= MAX_BOUND {
                    followed.unbound.extend(catalog.name_of(relation.oid).cloned());
                } else if known != Some(&binding) {
                    bound += usize::from(known.is_none());
                    followed.changes.push((place, Some(binding)));
                }
            }
        }
        followed
    }
}

/// Relations that may hold something classified, by name or by what they hold or held.
fn concerned<'c>(
    bindings: &Bindings,
    catalog: &'c Catalog,
    taints: &Taints,
    map: &impl Classes,
) -> impl Iterator<Item = (RelationIndex, &'c Relation)> {
    let named = map.listed().chain(taints.relations());
    let mut concerned: HashSet<RelationIndex> =
        named.filter_map(|name| catalog.find(&name.schema, &name.name)).collect();
    concerned.extend(bindings.0.keys().filter_map(|(oid, _)| catalog.find_oid(*oid)));
    // Of one of a hundred partitions, all the others.
    let mut open: Vec<RelationIndex> = concerned.iter().copied().collect();
    while let Some(relation) = open.pop().and_then(|at| catalog.relation(at)) {
        open.extend(relation.family.iter().filter(|member| concerned.insert(**member)));
    }
    let any_schema: HashSet<&str> =
        taints.relations().filter(|name| name.schema.is_empty()).map(|name| name.name.as_str()).collect();
    catalog.base_relations().filter(move |(at, relation)| {
        concerned.contains(at)
            || any_schema.contains(relation.name.0.name.as_str())
            || relation.reads_relations.iter().any(|read| concerned.contains(read))
    })
}

/// What names lead to columns. Partitions hold the same by the same names: that is found out once for all of them.
struct Led<'c, M: Classes> {
    catalog: &'c Catalog,
    taints: &'c Taints,
    map: &'c M,
    columns: HashMap<ColumnRef, Rc<Names<M::Kind>>>,
}

/// Names that lead to a column.
struct Names<K> {
    all: BTreeSet<ColumnName>,
    /// A name of each kind.
    kinds: BTreeMap<K, ColumnName>,
}

/// A column, or a relation as a whole, as a catalog has it.
struct Now<K> {
    name: ColumnName,
    /// Every column that reading it is to read, its own name among them.
    names: Rc<Names<K>>,
    /// Of a relation as a whole: what else is stored in it is not known.
    unknown: bool,
}

impl<M: Classes> Led<'_, M> {
    /// `column`: its position; `None` is the relation as a whole.
    fn to(
        &mut self,
        (at, relation): (RelationIndex, &Relation),
        column: Option<usize>,
    ) -> Option<Now<M::Kind>> {
        let relation_name = relation.name.0.clone();
        let Some(column) = column else {
            let name = ColumnName::new(relation_name, ANY);
            let family = relation.family.iter().filter_map(|member| self.catalog.relation(*member));
            let family = family.map(|member| ColumnName::new(member.name.0.clone(), ANY));
            let names: BTreeSet<ColumnName> = family.chain([name.clone()]).collect();
            let mut tainted = names.iter().flat_map(|known| self.taints.of(&known.relation));
            let unknown = tainted.any(|flow| flow.unknown);
            return Some(Now { name, names: Rc::new(self.names(names)), unknown });
        };
        let name = ColumnName::new(relation_name, relation.columns.get(column)?.name.clone());
        let names = match self.columns.get(&(at, column)) {
            Some(known) => Rc::clone(known),
            None => self.lead((at, column)),
        };
        Some(Now { name, names, unknown: false })
    }

    fn lead(&mut self, column: ColumnRef) -> Rc<Names<M::Kind>> {
        let mut lineage = HashSet::new();
        self.catalog.lineage(column, &mut lineage);
        let names = lineage.iter().filter_map(|column| self.catalog.base_column(*column)).collect();
        let names = Rc::new(self.names(names));
        let same = |(relation, at): &ColumnRef| {
            let relation = self.catalog.relation(*relation)?;
            let column = relation.columns.get(*at)?;
            (relation.reads.is_empty() && column.sources.is_empty() && column.reads.is_empty()).then_some(())
        };
        if lineage.iter().all(|column| same(column).is_some()) {
            self.columns.extend(lineage.into_iter().map(|column| (column, Rc::clone(&names))));
        }
        names
    }

    /// With those that data came from.
    fn names(&self, mut names: BTreeSet<ColumnName>) -> Names<M::Kind> {
        for known in names.clone() {
            for flow in self.taints.of(&known.relation) {
                names.extend(flow.each.get(&known.column).into_iter().flatten().chain(&flow.all).cloned());
            }
        }
        let mut kinds = BTreeMap::new();
        for name in &names {
            if let Some(kind) = self.map.kind(name) {
                kinds.entry(kind).or_insert_with(|| name.clone());
            }
        }
        Names { all: names, kinds }
    }
}

impl<K: Ord> Now<K> {
    /// Its binding from now on, if it holds anything; what it held before and is not led to by `names` flows into it.
    fn bind<M: Classes<Kind = K>>(
        &self,
        known: Option<&Binding>,
        map: &M,
        followed: &mut Followed,
    ) -> Option<Binding> {
        if known.is_none() && self.names.kinds.is_empty() && !self.unknown {
            return None;
        }
        let own = map.kind(&self.name);
        let mut binding = known.cloned().unwrap_or_default();
        for lost in binding.holds.difference(&self.names.all) {
            if own.is_some() && own == map.kind(lost) {
                continue;
            }
            let flow = followed.flows.entry(self.name.relation.clone()).or_default();
            if self.name.column == ANY {
                flow.all.insert(lost.clone());
            } else {
                flow.each.entry(self.name.column.clone()).or_default().insert(lost.clone());
            }
            followed.moved.insert((lost.clone(), self.name.clone()));
        }
        if binding.unknown && !self.unknown {
            followed.flows.entry(self.name.relation.clone()).or_default().unknown = true;
        }
        binding.unknown |= self.unknown;
        if own.is_some() {
            if binding.was.len() < MAX_NAMES {
                binding.was.insert(self.name.clone());
            }
            binding.holds.insert(self.name.clone());
        }
        // One of each kind will do, of a hundred partitions.
        let held: BTreeSet<K> = binding.holds.iter().filter_map(|name| map.kind(name)).collect();
        let more = self.names.kinds.iter().filter(|(kind, _)| !held.contains(kind));
        binding.holds.extend(more.map(|(_, name)| name.clone()));
        (!binding.holds.is_empty() || binding.unknown).then_some(binding)
    }
}

//! SQL and catalog to facts: which columns a statement really reads.
//!
//! Sound before exact: what cannot be read, resolved or classified is of certainty `unknown`
//! ([`stepgate_types::Certainty`]), and unknown is risky by definition. The only user of sqlparser.
//!
//! The way of a statement: `lexer` cuts tokens as PostgreSQL does, `statement` tells the command, `normalise` says it in words that the parser reads right, `read` makes
//! a tree of queries and checks it against the tokens, `walk` resolves the tree's names over the [`Catalog`].

mod analyze;
mod binding;
mod budget;
mod builtin;
mod catalog;
mod creations;
mod effect;
mod encoding;
mod facts;
mod grammar;
mod key;
mod lexer;
mod marker;
mod message;
mod normal;
mod normalise;
mod number;
mod output;
mod predicate;
mod purpose;
mod question;
mod read;
mod scan;
mod session;
mod stack;
mod statement;
mod steps;
mod taint;
mod touched;
mod values;
mod walk;

pub use analyze::{analyze, analyze_at_once, written};
pub use binding::{Binding, Bindings, Classes, Followed, Place};
pub use catalog::{
    CATALOG_FINGERPRINT_QUERY, CATALOG_QUERIES, Catalog, CatalogError, CatalogQuery, LOCKS_QUERY,
    ListedColumn, ListedTable, Rows, SIZES_QUERY, TEMPORARY_FINGERPRINT_QUERY, writable_query,
};
pub use creations::Creations;
pub use effect::{Closes, Created, Effect, Isolation, Settings};
pub use encoding::{ClientEncoding, SingleByte};
pub use facts::{Doubt, Facts, Named, Reason, Sink, SinkKind};
pub use key::{cache_key, may_share};
pub use message::Message;
pub use number::{NotANumber, Number};
pub use output::json_line;
pub use predicate::{Comparison, Operand, OperandClass, Predicate, Predicates, ValuePlace, ValueSource};
pub use purpose::{MAX_PURPOSE, is_purpose, purpose};
pub use question::Question;
pub use scan::Scan;
pub use session::{RunsAs, SessionState};
pub use statement::shapes_results;
pub use steps::{SetTo, Step, steps};
pub use taint::{Flow, TEMPORARY, Taints, TooMany, anywhere};
pub use touched::{By, Changes, Hanging, Mentioned, Names, Opens, Schemas, Touched, TwoPhase};
pub use values::{NoValues, StatementValues, Values, Written};
pub use walk::large_objects;

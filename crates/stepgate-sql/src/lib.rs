//! SQL and catalog to facts: which columns a statement really reads.
//!
//! Sound before exact: what cannot be read, resolved or classified is [`Certainty::Unknown`]
//! (`stepgate_types`), and unknown is risky by definition. The only user of sqlparser.

mod analyze;
mod catalog;
mod facts;
mod message;
mod output;
mod session;

pub use analyze::analyze;
pub use catalog::{CATALOG_FINGERPRINT_QUERY, CATALOG_QUERIES, Catalog, CatalogError, CatalogQuery, Rows};
pub use facts::{Doubt, Effect, Facts, Reason, Sink, SinkKind};
pub use message::Message;
pub use output::json_line;
pub use session::SessionState;

//! Commands on tables that compute anew what indexes and statistics are made of.
//!
//! An index that is not valid is one that what is in the rows kept from being built: built again, it fails again, and says
//! by which values. Expressions of statistics are computed by nothing but ANALYZE.

use std::collections::HashSet;

use super::cursor::Words;
use super::{Context, names_table};
use crate::walk::{self, Anew};

/// What REINDEX, CLUSTER, VACUUM and ANALYZE show by failing.
pub(super) fn command(words: Words<'_, '_>, context: Context<'_>, facts: &mut crate::Facts) {
    let has = |word: &str| words.contains(&[word]);
    let vacuums = words.word(0) == Some("vacuum");
    let analyzes = |word: &str| words.word(0) == Some(word) || (vacuums && has(word));
    let anew = Anew {
        indexes: matches!(words.word(0), Some("reindex" | "cluster")) || (vacuums && has("full")),
        statistics: analyzes("analyze") || analyzes("analyse"),
        order: words.word(0) == Some("cluster"),
    };
    let names_none = words.len() < 2 || !names_table(context.node);
    let means_all = names_none || has("schema") || has("database") || has("system");
    let names: HashSet<&str> = words.0.iter().filter_map(|token| token.kind.ident()).collect();
    walk::computes_anew(anew, (!means_all).then_some(&names), context, facts);
}

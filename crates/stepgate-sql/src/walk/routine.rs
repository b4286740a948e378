//! Functions in SQL, seen through by their bodies.

use std::sync::Arc;

use stepgate_types::Kind;

use super::Walker;
use crate::analyze;
use crate::catalog::Routine;
use crate::facts::{Doubt, Facts, Reason};
use crate::statement::{Context, Within};

/// Deepest nesting of bodies.
const MAX_DEPTH: usize = 3;

/// The most functions that one statement calls, and one within a body: with the depth they bound the work.
const MAX_CALLED: usize = 64;
const MAX_CALLED_WITHIN: usize = 8;

impl Walker<'_> {
    /// Accounts for a call of functions that somebody defined. Which of several of one name is called depends on
    /// types that are not known here: so all of them are.
    ///
    /// `schema`: as written; else wherever the search path finds it, and PostgreSQL may take one from further
    /// back if its arguments fit better.
    pub(super) fn routine(&mut self, schema: Option<&str>, name: &str) {
        let catalog = self.catalog;
        let path = self.session.search_path.as_deref().unwrap_or_default();
        let within = |at: &String| schema.map_or_else(|| path.contains(at), |schema| at == schema);
        let found: Vec<_> = catalog.routines(name).iter().filter(|(at, _)| within(at)).collect();
        if found.is_empty() || (schema.is_none() && catalog.is_server_function(name)) {
            return self.doubt_function("unknown-function");
        }
        for (at, routine) in &found {
            self.returns_sets |= routine.returns_set;
            self.functions.insert(format!("{at}.{name}"));
        }
        let most = if self.body.depth == 0 { MAX_CALLED } else { MAX_CALLED_WITHIN };
        if self.called.len() >= most {
            return self.doubt_function("unknown-function");
        }
        // Read when this statement is done with, for the stack's sake.
        let routines = found.iter().map(|(_, routine)| Arc::clone(routine)).collect();
        // Keyed as written: `f` and `public.f` may be different functions.
        self.called.insert((schema.unwrap_or_default().to_owned(), name.to_owned()), routines);
    }

    /// What running a function's body does.
    pub(super) fn body_facts(&self, routine: &Routine) -> Facts {
        let unknown = || {
            let mut facts = Facts::new(Kind::Select, 1);
            facts.doubt(Reason { code: "unknown-function", doubt: Doubt::Function });
            facts
        };
        let Some(body) = routine.body.as_ref().filter(|_| self.body.depth < MAX_DEPTH) else {
            return unknown();
        };
        let mut session = self.session.clone();
        if body.own_path {
            // What it finds there depends on the owner's rights and on temporary objects: only names with a schema
            // are certain.
            session.search_path = Some(vec!["pg_catalog".to_owned()]);
        }
        let within = Within { depth: self.body.depth + 1, arguments: &body.arguments };
        let context = Context {
            budget: &self.budget,
            catalog: self.catalog,
            session: &session,
            body: within,
            node: None,
        };
        let mut all = Facts::new(Kind::Select, 1);
        for facts in analyze::body(&body.text, context) {
            let queries = matches!(facts.kind, Kind::Select | Kind::Insert | Kind::Update | Kind::Delete);
            all = if queries { all.union(&facts) } else { all.union(&unknown()) };
        }
        all
    }

    /// Whether a name that is no column may be an argument of the function in whose body it stands.
    pub(super) fn is_argument(&self, name: &str) -> bool {
        self.body.arguments.iter().any(|argument| argument == name)
    }
}

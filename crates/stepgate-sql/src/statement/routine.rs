//! CREATE FUNCTION and CREATE PROCEDURE. Making one executes nothing of it: the server parses its body, and the defaults
//! of its arguments, and stores them (functioncmds.c, `CreateFunction`; pg_proc.c, `fmgr_sql_validator`; pl_handler.c,
//! `plpgsql_validator`). But parsing a literal checks the domains within its type, so that where somebody's code does that,
//! SQL is not known. (Of PL/pgSQL only the syntax is looked at.) Calling it is judged when it is called, by what it is then; so is all that calls it by itself.

use pg_raw_parse::Node;
use pg_raw_parse::nodes::CreateFunctionStmt;

use super::{Context, rename};
use crate::facts::Facts;

/// None: it is not known what that does.
pub(super) fn makes(made: &CreateFunctionStmt, context: Context<'_>, facts: &mut Facts) -> Option<()> {
    let mut language = (!matches!(made.sql_body(), Node::None)).then_some("sql");
    for option in made.options() {
        match option.defname()? {
            "language" => language = Some(option.arg().as_str()?),
            "as" | "volatility" | "strict" | "security" | "cost" | "rows" | "parallel" | "set"
            | "leakproof" => {}
            // WINDOW, TRANSFORM and SUPPORT run what C makes of them.
            _ => return None,
        }
    }
    // Of other languages it is not known what making does.
    let parses = match language? {
        "sql" => true,
        "plpgsql" => made.parameters().iter().any(|it| !matches!(it.defexpr(), Node::None)),
        _ => return None,
    };
    (!parses || !context.catalog.checks_literals()).then_some(())?;
    let name: Option<Vec<&str>> = made.funcname().iter().map(|part| part.as_str()).collect();
    match name?.as_slice() {
        // The server's own functions are known by name, and without a schema it may be one of them that is replaced, or
        // stand beside one.
        [name] => (!context.catalog.is_server_function(name)).then_some(())?,
        [.., schema, _] => (!rename::is_of_server(schema)).then_some(())?,
        [] => return None,
    }
    rename::moves(context, facts)
}

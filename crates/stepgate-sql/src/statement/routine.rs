//! CREATE FUNCTION and CREATE PROCEDURE. Making one executes nothing of it: the server parses its body, and the defaults
//! of its arguments, and stores them (functioncmds.c, `CreateFunction`; pg_proc.c, `fmgr_sql_validator`; pl_handler.c,
//! `plpgsql_validator`). But parsing a literal checks the domains within its type, so that where somebody's code does that,
//! SQL with literals in quotes is not known. (Of PL/pgSQL only the syntax is looked at.) Calling it is judged when it is
//! called, by what it is then; so is all that calls it by itself.

use pg_raw_parse::nodes::CreateFunctionStmt;
use pg_raw_parse::{ConstValue, Node};

use super::{Context, rename};
use crate::facts::Facts;
use crate::grammar;
use crate::lexer::{self, Numbers, TokenKind};

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
    let is_sql = match language? {
        "sql" => true,
        "plpgsql" => false,
        _ => return None,
    };
    let checks = context.catalog.checks_literals();
    (!checks || !has_literals(made, is_sql, context.catalog.numbers())).then_some(())?;
    let name: Option<Vec<&str>> = made.funcname().iter().map(|part| part.as_str()).collect();
    let name = name?;
    match name.as_slice() {
        // The server's own functions are known by name, and without a schema it may be one of them that is replaced, or
        // stand beside one.
        [name] => (!context.catalog.is_server_function(name)).then_some(())?,
        [.., schema, _] => (!rename::is_of_server(schema)).then_some(())?,
        [] => return None,
    }
    rename::moves(context, name.last().copied(), facts)
}

/// Whether there is a literal in quotes in what is parsed, or may be.
fn has_literals(made: &CreateFunctionStmt, is_sql: bool, numbers: Numbers) -> bool {
    let is_text = |text: &str| {
        lexer::tokens(text, numbers)
            .map_or(true, |tokens| tokens.iter().any(|token| matches!(token.kind, TokenKind::Text(_))))
    };
    let bodies = made.options().iter().filter(|option| option.defname() == Some("as"));
    let has_text = |arg: Node<'_>| match arg {
        Node::NodeList(texts) => texts.iter().any(|text| text.as_str().is_none_or(is_text)),
        _ => true,
    };
    made.parameters().iter().any(|parameter| quotes(parameter.defexpr()))
        || (is_sql && (quotes(made.sql_body()) || bodies.into_iter().any(|option| has_text(option.arg()))))
}

/// Whether there is one in an expression, or in the statements of a bound body.
pub(super) fn quotes(node: Node<'_>) -> bool {
    let is_literal =
        |node: Node<'_>| matches!(node, Node::A_Const(it) if matches!(it.val(), Some(ConstValue::String(_))));
    match node {
        Node::NodeList(each) => each.iter().any(quotes),
        Node::ReturnStmt(it) => quotes(it.returnval()),
        _ => !grammar::all(node, |node| !is_literal(node)),
    }
}

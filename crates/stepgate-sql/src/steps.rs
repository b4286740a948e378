//! What commands do to a session's settings and to its transaction, as PostgreSQL's own grammar reads them: for following a
//! session that does not run.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pg_raw_parse::nodes::{TransactionStmt, VariableSetStmt};
use pg_raw_parse::raw::{DiscardMode, TransactionStmtKind, VariableSetKind};
use pg_raw_parse::{ConstValue, Node};

use crate::grammar::Tree;

/// What one command does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// SET or RESET.
    Set {
        /// The setting, in lower case.
        name: String,
        /// To what.
        to: SetTo,
        /// Until the transaction ends.
        local: bool,
    },
    /// RESET ALL: all settings are what they were when the session began.
    ResetAll,
    /// DISCARD ALL, likewise; not in a transaction.
    DiscardAll,
    /// BEGIN and START TRANSACTION.
    Begin,
    /// COMMIT and END; `chain`: another one begins at once.
    Commit {
        /// AND CHAIN.
        chain: bool,
    },
    /// ROLLBACK and ABORT.
    Rollback {
        /// AND CHAIN.
        chain: bool,
    },
    /// SAVEPOINT.
    Savepoint(String),
    /// RELEASE.
    Release(String),
    /// ROLLBACK TO.
    RollbackTo(String),
    /// PREPARE TRANSACTION, which ends it for this session.
    Prepare,
    /// Anything else.
    Other,
}

/// What a setting is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetTo {
    /// A text.
    Value(String),
    /// What it was when the session began.
    Initial,
    /// The server may refuse it, or it is something else than a text.
    Unclear,
}

/// What each command of a message does, in order; `None` where PostgreSQL cannot read it.
#[must_use]
pub fn steps(sql: &str) -> Option<Vec<Step>> {
    let tree = Tree::parse(sql).ok()?;
    // The binding may not know a node of an option.
    catch_unwind(AssertUnwindSafe(|| tree.commands().iter().map(|command| step(command.node)).collect())).ok()
}

fn step(node: Node<'_>) -> Step {
    match node {
        Node::VariableSetStmt(it) if it.kind == VariableSetKind::VAR_RESET_ALL => Step::ResetAll,
        Node::VariableSetStmt(it) if it.kind != VariableSetKind::VAR_SET_MULTI => {
            let name = it.name().unwrap_or_default().to_ascii_lowercase();
            Step::Set { name, to: value(it), local: it.is_local }
        }
        Node::DiscardStmt(it) if it.target == DiscardMode::DISCARD_ALL => Step::DiscardAll,
        Node::TransactionStmt(it) => transaction(it),
        _ => Step::Other,
    }
}

fn value(set: &VariableSetStmt) -> SetTo {
    match set.kind {
        VariableSetKind::VAR_SET_DEFAULT | VariableSetKind::VAR_RESET => return SetTo::Initial,
        VariableSetKind::VAR_SET_VALUE => {}
        _ => return SetTo::Unclear,
    }
    let mut values = set.args().iter().map(|value| match value {
        Node::A_Const(literal) => match literal.val() {
            Some(ConstValue::String(text) | ConstValue::Float(text)) => Some(text.to_owned()),
            Some(ConstValue::Integer(number)) => Some(number.to_string()),
            _ => None,
        },
        _ => None,
    });
    match (values.next().flatten(), values.next()) {
        (Some(text), None) => SetTo::Value(text),
        _ => SetTo::Unclear,
    }
}

fn transaction(it: &TransactionStmt) -> Step {
    let name = || it.savepoint_name().unwrap_or_default().to_owned();
    let chain = it.chain;
    match it.kind {
        TransactionStmtKind::TRANS_STMT_BEGIN | TransactionStmtKind::TRANS_STMT_START => Step::Begin,
        TransactionStmtKind::TRANS_STMT_COMMIT => Step::Commit { chain },
        TransactionStmtKind::TRANS_STMT_ROLLBACK => Step::Rollback { chain },
        TransactionStmtKind::TRANS_STMT_SAVEPOINT => Step::Savepoint(name()),
        TransactionStmtKind::TRANS_STMT_RELEASE => Step::Release(name()),
        TransactionStmtKind::TRANS_STMT_ROLLBACK_TO => Step::RollbackTo(name()),
        TransactionStmtKind::TRANS_STMT_PREPARE => Step::Prepare,
        // COMMIT PREPARED and ROLLBACK PREPARED: of another transaction.
        _ => Step::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, to: SetTo, local: bool) -> Option<Vec<Step>> {
        Some(vec![Step::Set { name: name.to_owned(), to, local }])
    }

    #[test]
    fn settings_are_read_as_the_server_reads_them() {
        let to = |text: &str| SetTo::Value(text.to_owned());
        for (sql, expected) in [
            ("set stepgate.purpose = 'support'", set("stepgate.purpose", to("support"), false)),
            ("SET Stepgate.PURPOSE TO Support;", set("stepgate.purpose", to("support"), false)),
            ("set \"stepgate\".\"purpose\" = 'Support'", set("stepgate.purpose", to("Support"), false)),
            ("set \"Stepgate.Purpose\" = 'a'", set("stepgate.purpose", to("a"), false)),
            ("set session stepgate.purpose = $$a$$ -- x", set("stepgate.purpose", to("a"), false)),
            ("/* x */ set local stepgate.purpose = E'\\x61'", set("stepgate.purpose", to("a"), true)),
            ("set stepgate.purpose = 7", set("stepgate.purpose", to("7"), false)),
            ("set stepgate.purpose = a, b", set("stepgate.purpose", SetTo::Unclear, false)),
            ("set stepgate.purpose to default", set("stepgate.purpose", SetTo::Initial, false)),
            ("reset stepgate.purpose", set("stepgate.purpose", SetTo::Initial, false)),
            ("reset all", Some(vec![Step::ResetAll])),
            ("discard all", Some(vec![Step::DiscardAll])),
            ("discard plans", Some(vec![Step::Other])),
            ("set transaction read only", Some(vec![Step::Other])),
            ("select set_config('stepgate.purpose', 'a', false)", Some(vec![Step::Other])),
            ("set stepgate.purpose =", None),
        ] {
            assert_eq!(steps(sql), expected, "{sql}");
        }
    }

    #[test]
    fn transactions_are_read_as_the_server_reads_them() {
        let all = "begin; start transaction; commit; end and chain; abort; rollback and chain; savepoint \"A\"; \
                   release savepoint a; rollback to a; prepare transaction 'x'; commit prepared 'x'; select 1";
        let name = |name: &str| name.to_owned();
        assert_eq!(
            steps(all).unwrap(),
            [
                Step::Begin,
                Step::Begin,
                Step::Commit { chain: false },
                Step::Commit { chain: true },
                Step::Rollback { chain: false },
                Step::Rollback { chain: true },
                Step::Savepoint(name("A")),
                Step::Release(name("a")),
                Step::RollbackTo(name("a")),
                Step::Prepare,
                Step::Other,
                Step::Other,
            ]
        );
    }
}

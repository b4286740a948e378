//! Statements that change who may do what: roles, passwords, privileges, owners, row security, publications,
//! foreign servers, the server's own settings.

use pg_raw_parse::nodes::VariableSetStmt;
use pg_raw_parse::raw::{AlterTableType, ObjectType, VariableSetKind};
use pg_raw_parse::{ConstValue, Node};

/// Whether the statement is one of them.
pub(super) fn is_control(node: Node<'_>) -> bool {
    match node {
        Node::GrantStmt(_)
        | Node::GrantRoleStmt(_)
        | Node::AlterDefaultPrivilegesStmt(_)
        | Node::CreateRoleStmt(_)
        | Node::AlterRoleStmt(_)
        | Node::AlterRoleSetStmt(_)
        | Node::DropRoleStmt(_)
        | Node::AlterOwnerStmt(_)
        | Node::ReassignOwnedStmt(_)
        | Node::DropOwnedStmt(_)
        | Node::SecLabelStmt(_)
        | Node::CreatePolicyStmt(_)
        | Node::AlterPolicyStmt(_)
        | Node::CreatePublicationStmt(_)
        | Node::AlterPublicationStmt(_)
        | Node::CreateSubscriptionStmt(_)
        | Node::AlterSubscriptionStmt(_)
        | Node::DropSubscriptionStmt(_)
        | Node::CreateFdwStmt(_)
        | Node::AlterFdwStmt(_)
        | Node::CreateForeignServerStmt(_)
        | Node::AlterForeignServerStmt(_)
        | Node::CreateUserMappingStmt(_)
        | Node::AlterUserMappingStmt(_)
        | Node::DropUserMappingStmt(_)
        | Node::ImportForeignSchemaStmt(_)
        | Node::AlterSystemStmt(_)
        | Node::AlterDatabaseStmt(_)
        | Node::AlterDatabaseSetStmt(_) => true,
        Node::RenameStmt(it) => is_of_control(it.rename_type),
        Node::DropStmt(it) => is_of_control(it.remove_type),
        // What is made in it stands in the same statement, and who may use that.
        Node::CreateSchemaStmt(it) => it.schema_elts().iter().any(is_control),
        Node::AlterTableStmt(it) => it.cmds().iter().any(|command| match command {
            Node::AlterTableCmd(command) => matches!(
                command.subtype,
                AlterTableType::AT_ChangeOwner
                    | AlterTableType::AT_EnableRowSecurity
                    | AlterTableType::AT_DisableRowSecurity
                    | AlterTableType::AT_ForceRowSecurity
                    | AlterTableType::AT_NoForceRowSecurity
            ),
            _ => false,
        }),
        Node::VariableSetStmt(it) => {
            let sets = !matches!(it.kind, VariableSetKind::VAR_RESET | VariableSetKind::VAR_RESET_ALL);
            sets && (says_who(it) || (sets_role(it) && !is_own(it)))
        }
        // For as long as the function runs.
        Node::CreateFunctionStmt(it) => it.options().iter().any(|clause| sets_who(clause.arg())),
        Node::AlterFunctionStmt(it) => it.actions().iter().any(|clause| sets_who(clause.arg())),
        _ => false,
    }
}

fn sets_role(it: &VariableSetStmt) -> bool {
    matches!(it.name(), Some("role" | "session_authorization"))
}

/// Whether it goes back to what the session began with, as RESET does: TO DEFAULT, and SET ROLE NONE, which no role can
/// be called (variable.c, `check_role`; acl.c, `check_rolespec_name`). Pools say so of each connection.
fn is_own(it: &VariableSetStmt) -> bool {
    let is_none = |value: Node<'_>| matches!(value, Node::A_Const(it) if matches!(it.val(), Some(ConstValue::String("none"))));
    match it.kind {
        VariableSetKind::VAR_SET_DEFAULT => true,
        VariableSetKind::VAR_SET_VALUE => it.name() == Some("role") && it.args().iter().all(is_none),
        _ => false,
    }
}

/// Whether a clause of a function sets that by which the server knows who is behind the session.
fn sets_who(clause: Node<'_>) -> bool {
    matches!(clause, Node::VariableSetStmt(it) if says_who(it))
}

fn says_who(it: &VariableSetStmt) -> bool {
    it.name().is_some_and(super::setting::says_who)
}

fn is_of_control(object: ObjectType::Type) -> bool {
    matches!(
        object,
        ObjectType::OBJECT_ROLE
            | ObjectType::OBJECT_DATABASE
            | ObjectType::OBJECT_POLICY
            | ObjectType::OBJECT_PUBLICATION
            | ObjectType::OBJECT_SUBSCRIPTION
            | ObjectType::OBJECT_FDW
            | ObjectType::OBJECT_FOREIGN_SERVER
            | ObjectType::OBJECT_USER_MAPPING
    )
}

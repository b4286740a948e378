//! What a role may write, asked only where somebody's code has run of which nobody knows what it did.

/// Asks for schema and name of the relations that a role may store rows in, by itself and by way of code that has the rights
/// of others: functions with SECURITY DEFINER, views and rules, and foreign keys ON UPDATE CASCADE. Temporary ones apart.
#[must_use]
pub fn writable_query(role: &str) -> String {
    let role = role.replace('\'', "''");
    format!(
        "with recursive able (role) as (select r.oid from pg_catalog.pg_roles r \
         where pg_catalog.pg_has_role('{role}'::pg_catalog.name, r.oid, 'member') \
         union select p.proowner from able a join pg_catalog.pg_proc p on p.prosecdef and p.oid >= 16384 \
         and (p.prorettype = 'pg_catalog.trigger'::pg_catalog.regtype \
         or pg_catalog.has_function_privilege(a.role, p.oid, 'execute'))), \
         reached (relation) as (select c.oid from pg_catalog.pg_class c \
         where c.relkind in ('r', 'p', 'f', 'm', 'v') and c.oid >= 16384 and (exists (select from able a \
         where a.role = c.relowner or pg_catalog.has_any_column_privilege(a.role, c.oid, 'insert, update') \
         or c.relhasrules and pg_catalog.has_table_privilege(a.role, c.oid, 'delete')) \
         or c.oid in (select k.conrelid from pg_catalog.pg_constraint k where k.contype = 'f' and k.confupdtype = 'c')) \
         union select d.refobjid from reached e join pg_catalog.pg_rewrite r on r.ev_class = e.relation \
         join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = r.oid \
         and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass) \
         select n.nspname::text, c.relname::text from pg_catalog.pg_class c \
         join pg_catalog.pg_namespace n on n.oid = c.relnamespace join reached e on e.relation = c.oid \
         where c.relkind in ('r', 'p', 'f', 'm') and c.relpersistence <> 't' and c.oid >= 16384"
    )
}

//! What is asked of the server to know its catalog.

#[macro_use]
mod fragments;

/// A query whose answer [`super::Catalog::from_rows`] needs.
#[derive(Debug, Clone, Copy)]
pub struct CatalogQuery {
    /// By which the answer is handed back.
    pub name: &'static str,
    /// Selects text columns only.
    pub sql: &'static str,
}

/// The columns of relations of which a row of pg_attribute was written by a transaction of number `{since}` or a later one.
/// `xmin` has the lower half of such a number: what it says is right while fewer than 2^31 transactions have begun since, and
/// all columns are given once there are half as many. Numbers from before that pass for later ones do no harm.
///
/// Those that were dropped are told too, without their names: of a relation that has no other column by now, they are what
/// says that it has changed.
pub(super) const COLUMNS_SINCE: &str = columns!(
    "case when a.attisdropped then '' else a.attname::text end",
    " and a.attrelid = any (array(select b.attrelid from pg_catalog.pg_attribute b \
     where ((b.xmin::text::pg_catalog.int8 - {since}) & 4294967295) < 2147483648 \
     or (select pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::pg_catalog.int8 - {since} > 1073741824)))"
);

/// By which a query of all functions is answered with nothing if they are as they were in this version.
pub(super) const FUNCTIONS_VERSION: &str = functions_version!();

/// To be run in ONE repeatable-read, read-only transaction with `search_path = pg_catalog`
/// (view definitions are qualified by it). Any role may; PostgreSQL 13 to 18.
pub const CATALOG_QUERIES: &[CatalogQuery] = &[
    CatalogQuery {
        name: "server",
        sql: "select pg_catalog.current_setting('server_version_num'), pg_catalog.current_setting('server_encoding')",
    },
    CatalogQuery {
        name: "relations",
        // ANALYZE and CREATE INDEX count what their own transaction sees, and no ROLLBACK takes that back: where the
        // server's statistics know of more than twice as many rows, these count. (Rows that were analysed before their
        // insertion was reported are there twice.)
        sql: "select c.oid::text, n.nspname::text, c.relname::text, c.relkind::text, (case when c.reltuples >= 0 \
              and pg_catalog.pg_stat_get_live_tuples(c.oid) > 2 * c.reltuples \
              then pg_catalog.pg_stat_get_live_tuples(c.oid)::float8 else c.reltuples::float8 end)::text, \
              c.relpages::text, (c.relrowsecurity or c.relispartition or c.relkind = 'p')::text, \
              exists (select from pg_catalog.pg_rewrite r where r.ev_class = c.oid and r.rulename <> '_RETURN')::text \
              from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
              where c.relkind in ('r', 'p', 'f', 'v', 'm', 'S')",
    },
    CatalogQuery {
        name: "snapshot",
        sql: "select pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text",
    },
    CatalogQuery { name: "columns", sql: columns!("a.attname::text", " and not a.attisdropped") },
    CatalogQuery {
        name: "inherits",
        sql: "select inhrelid::text, inhparent::text from pg_catalog.pg_inherits",
    },
    CatalogQuery {
        // By which columns rows are kept apart: those of the keys of partitioned tables (0: all), and of the checks that a child
        // by inheritance has of its own (none: all).
        name: "kept_apart",
        sql: "select t.partrelid::text, 'key', case when t.partexprs::text like '%:varattno 0 %' then '0' \
              else pg_catalog.concat_ws(' ', t.partattrs::text, (select pg_catalog.string_agg(pg_catalog.split_part(f.field, ' ', 2), ' ') \
              from pg_catalog.unnest(pg_catalog.string_to_array(t.partexprs::text, ' :')) f (field) \
              where f.field like 'varattno %')) end from pg_catalog.pg_partitioned_table t \
              union all select k.conrelid::text, 'check', case when 0 = any (k.conkey) then '0' else k.conkey::text end \
              from pg_catalog.pg_constraint k join pg_catalog.pg_class c on c.oid = k.conrelid \
              where k.contype = 'c' and k.coninhcount = 0 and k.conkey is not null and not c.relispartition \
              and k.conrelid in (select i.inhrelid from pg_catalog.pg_inherits i)",
    },
    CatalogQuery {
        // A definition can be read under a lock (AccessShareLock) on the view and on what it names (ruleutils.c,
        // make_viewdef): the empty text where somebody holds or awaits a lock that would keep us waiting. Of one that
        // is gone by now, though this snapshot still has it, it cannot be read: asking for a privilege is how to know.
        // A materialized view that a trigger made of its transition table (RTE_NAMEDTUPLESTORE, 7 in all versions) is one
        // that the server cannot print (`unrecognized RTE kind`): a lone quote, which nobody can read either. So is one whose
        // text would be too long, also together with what else a session has made for itself, or all have: a few words of
        // somebody's (`select * from wide union all …`) would keep the catalog from being read in time, for everybody.
        name: "views",
        sql: concat!(
            "with ",
            locked!(),
            ", \
              opaque as materialized (select l.relation as oid from locked l \
              union select r.ev_class from locked l join pg_catalog.pg_depend d on d.refobjid = l.relation \
              and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass \
              and d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass \
              join pg_catalog.pg_rewrite r on r.oid = d.objid) \
              , v as materialized (select c.oid, r.oid::text || '/' || r.xmin::text as version, \
              coalesce(pg_catalog.array_to_string(c.reloptions, ',') like '%security\\_barrier=%', false) as is_barrier, \
              r.ev_action::text like '%:rtekind 7 %' or s.bytes > 2000000 or t.is_temporary \
              and (pg_catalog.sum(s.bytes) over (partition by t.is_temporary, n.oid order by c.oid) > 4000000 \
              or pg_catalog.sum(s.bytes) over (partition by t.is_temporary order by c.oid) > 16000000) as unreadable \
              from pg_catalog.pg_class c \
              join pg_catalog.pg_rewrite r on r.ev_class = c.oid and r.rulename = '_RETURN' \
              join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
              cross join lateral (select pg_catalog.octet_length(r.ev_action::text)) s (bytes) \
              cross join lateral (select n.nspname like 'pg\\_temp\\_%') t (is_temporary) \
              where c.relkind in ('v', 'm') and n.nspname not in ('pg_catalog', 'information_schema')) \
              select v.oid::text, v.version, v.is_barrier::text, case when v.oid in (select o.oid from opaque o) \
              or pg_catalog.has_table_privilege(v.oid, 'select') is null then '' \
              when v.unreadable then pg_catalog.chr(39) \
              else coalesce(pg_catalog.pg_get_viewdef(v.oid)::text, '') end from v"
        ),
    },
    CatalogQuery {
        name: "view_columns",
        sql: "select r.ev_class::text, d.refobjid::text, d.refobjsubid::text \
              from pg_catalog.pg_depend d join pg_catalog.pg_rewrite r on r.oid = d.objid \
              where d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass \
              and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass \
              and d.refobjid <> r.ev_class and r.rulename = '_RETURN'",
    },
    CatalogQuery {
        name: "generated",
        // Up to 14 it is the column that depends on those that it is computed from (heap.c, `StoreAttrDefault`).
        sql: "select ad.adrelid::text, ad.adnum::text, d.refobjsubid::text \
              from pg_catalog.pg_attrdef ad \
              join pg_catalog.pg_attribute a on a.attrelid = ad.adrelid and a.attnum = ad.adnum \
              join pg_catalog.pg_depend d on ((d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass and d.objid = ad.oid) \
              or (d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = ad.adrelid \
              and d.objsubid = ad.adnum)) and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass \
              and d.refobjid = ad.adrelid and d.refobjsubid not in (0, ad.adnum) \
              where a.attgenerated <> ''",
    },
    CatalogQuery {
        // Columns of which pg_attribute itself has a value, which rows show that are older than the column.
        name: "missing_values",
        sql: "select a.attrelid::text, a.attnum::text from pg_catalog.pg_attribute a where a.atthasmissing and a.attrelid >= 16384",
    },
    CatalogQuery {
        name: "unique_indexes",
        // An expression over the whole row may show any of its columns. What an index of duplicates that is not valid finds,
        // it finds whatever is written, when it gets an entry for the new row.
        sql: "select i.indrelid::text, case when not i.indisvalid or i.indexprs::text like '%:varattno 0 %' \
              or i.indpred::text like '%:varattno 0 %' then '0' else i.indkey::text || coalesce((select ' ' || pg_catalog.string_agg(\
              d.refobjsubid::text, ' ') from pg_catalog.pg_depend d \
              where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = i.indexrelid \
              and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid = i.indrelid), '') end, \
              (i.indisunique and i.indexprs is null and i.indpred is null and not exists (select \
              from pg_catalog.unnest(i.indclass::pg_catalog.oid[]) as o (class) where o.class >= 16384))::text \
              from pg_catalog.pg_index i where (i.indisunique or i.indisexclusion) and i.indrelid >= 16384",
    },
    CatalogQuery {
        // Of each index its key columns, in order, and those that it includes (`indnkeyatts` says where they begin), the columns
        // of its expressions (which have 0 among the keys), and those of its condition (`-`: it has none). Then whether rows may
        // be read in its order, and whether a key that is unique is so at any time.
        name: "indexes",
        sql: concat!(
            "select i.indrelid::text, i.indnkeyatts::text, i.indkey::text, ",
            tree_columns!("i.indexprs"),
            ", ",
            tree_columns!("i.indpred"),
            ", (a.amname not in ('brin', 'gin', 'hash'))::text, i.indimmediate::text from pg_catalog.pg_index i \
             join pg_catalog.pg_class c on c.oid = i.indexrelid join pg_catalog.pg_am a on a.oid = c.relam \
             where i.indrelid >= 16384"
        ),
    },
    CatalogQuery {
        name: "constraints",
        // A check that is not validated, hangs on something else than the row, or names all of it (0), may fail at any
        // UPDATE, whatever it writes: it counts as on all columns. So does a NOT NULL that is not validated, from 18 on.
        // The last: whether rows that refer are written by DELETE, and by UPDATE, of what they refer to.
        sql: concat!(
            "with recursive ",
            kin!(),
            ", ",
            unstable!(),
            " select case k.contype when 'f' then 'f' else 'c' end, k.conrelid::text, \
              case when k.contype <> 'f' and (not k.convalidated or 0 = any (k.conkey) or k.oid in (select u.oid from unstable u)) \
              then '{}' else coalesce(k.conkey::text, '{}') end, \
              k.confrelid::text, coalesce(k.confkey::text, '{}'), k.confdeltype::text, k.confupdtype::text \
              from pg_catalog.pg_constraint k where (k.contype in ('f', 'c') or (k.contype = 'n' and not k.convalidated)) \
              and k.conrelid >= 16384"
        ),
    },
    CatalogQuery {
        // What is computed from a row and may fail by it, with an error that shows what it is computed from: stored columns and
        // expressions and conditions of indexes (`write`), those of statistics, no column of PostgreSQL 13 (`analyze`), and
        // what an index that is not valid says of the rows that kept it from being so, also that two are the same (`invalid`).
        // Then the columns, and the name of that index.
        name: "computed",
        sql: concat!(
            "with ",
            total!(),
            ", computed (relation, role, tree, fails, name) as materialized (select i.indrelid, \
              case when i.indisvalid then 'write' else 'invalid' end, pg_catalog.concat(i.indexprs::text, i.indpred::text), \
              not i.indisvalid and (i.indisunique or i.indisexclusion), c.relname::text \
              from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid where i.indrelid >= 16384 \
              and (not i.indisvalid or i.indexprs is not null or i.indpred is not null) \
              union all select ad.adrelid, 'write', ad.adbin::text, false, '' from pg_catalog.pg_attrdef ad \
              join pg_catalog.pg_attribute a on a.attrelid = ad.adrelid and a.attnum = ad.adnum where a.attgenerated <> '' \
              union all select e.stxrelid, 'analyze', s.tree, false, '' from pg_catalog.pg_statistic_ext e \
              cross join lateral (select pg_catalog.to_jsonb(e) ->> 'stxexprs') s (tree) where s.tree is not null) \
              select k.relation::text, k.role, case when k.role = 'invalid' or f.fields && array['varattno 0'] then '0' \
              else coalesce((select pg_catalog.string_agg(pg_catalog.split_part(v.field, ' ', 2), ' ') \
              from pg_catalog.unnest(f.fields) v (field) where v.field like 'varattno %'), '') end, k.name from computed k \
              cross join lateral (select pg_catalog.string_to_array(k.tree, ' :')) f (fields) \
              where k.fails or exists (select from pg_catalog.unnest(pg_catalog.string_to_array(k.tree, '{')) n (node) \
              where pg_catalog.split_part(n.node, ' ', 1) not in ",
            plain_nodes!(),
            ") or exists (select from pg_catalog.unnest(f.fields) o (field) where (o.field like 'opno %' or o.field like 'funcid %') \
              and o.field not in (select t.field from total t))"
        ),
    },
    CatalogQuery {
        // What expressions of indexes, checks and statistics name that has a twin of somebody's own: the server parses them
        // anew where a column gets another type. What functions are called by, types are as well (`t(x)` may be a cast). Without
        // twins no tree is looked at. Then which of them cast, where there are casts of somebody's own.
        name: "reread",
        sql: "with names (name) as materialized (select n.name from (select p.proname, p.pronamespace in \
              ('pg_catalog'::pg_catalog.regnamespace, 'information_schema'::pg_catalog.regnamespace) or l.lanname = 'c' \
              from pg_catalog.pg_proc p join pg_catalog.pg_language l on l.oid = p.prolang \
              union all select t.typname, false from pg_catalog.pg_type t where t.typnamespace not in \
              ('pg_catalog'::pg_catalog.regnamespace, 'information_schema'::pg_catalog.regnamespace, 'pg_toast'::pg_catalog.regnamespace)) \
              n (name, given) group by n.name having pg_catalog.count(*) > 1 and not pg_catalog.bool_and(n.given)), \
              twins (field, kind, name) as materialized (select 'funcid ' || p.oid, 'function', p.proname from pg_catalog.pg_proc p \
              where p.proname in (select n.name from names n) union all select 'opno ' || o.oid, 'operator', o.oprname \
              from pg_catalog.pg_operator o where o.oprname in (select u.oprname from pg_catalog.pg_operator u \
              where u.oid >= 16384)), \
              trees (relation, tree) as materialized (select i.indrelid, pg_catalog.concat(i.indexprs::text, i.indpred::text) \
              from pg_catalog.pg_index i where (i.indexprs is not null or i.indpred is not null) and i.indrelid >= 16384 \
              union all select k.conrelid, k.conbin::text from pg_catalog.pg_constraint k where k.contype = 'c' and k.conrelid >= 16384 \
              union all select e.stxrelid, s.tree from pg_catalog.pg_statistic_ext e \
              cross join lateral (select pg_catalog.to_jsonb(e) ->> 'stxexprs') s (tree) where s.tree is not null) \
              select distinct t.relation::text, w.kind, w.name::text from trees t \
              cross join lateral pg_catalog.unnest(pg_catalog.string_to_array(t.tree, ' :')) f (field) \
              join twins w on w.field = f.field where exists (select from twins) \
              union all select distinct t.relation::text, 'function', o.name::text from trees t cross join (select p.proname \
              from pg_catalog.pg_proc p where p.oid >= 16384 union select y.typname from pg_catalog.pg_type y where y.oid >= 16384) o (name) \
              where t.tree like '%{FIELDSELECT %' and o.name in (select a.attname from pg_catalog.pg_attribute a where a.attrelid >= 16384) \
              union all select distinct t.relation::text, 'cast', '' from trees t \
              where exists (select from pg_catalog.pg_cast k where k.oid >= 16384 and k.castfunc <> 0) and (t.tree like '%{COERCE%' \
              or t.tree like '%{RELABELTYPE %' or t.tree like '%{ARRAYCOERCEEXPR %' or t.tree like '%:funcformat 1 %' \
              or t.tree like '%:funcformat 2 %' or t.tree like '%{CONVERTROWTYPE%')",
    },
    CatalogQuery {
        // What a column that is NOT NULL has where an INSERT does not say. It names no column, and nothing is locked to print it.
        // Only triggers ask.
        name: "defaults",
        sql: "select a.attrelid::text, a.attnum::text, case when a.attidentity <> '' then 'pg_catalog.nextval('''')' \
              else coalesce(pg_catalog.pg_get_expr(ad.adbin, 0), '') end from pg_catalog.pg_attribute a \
              left join pg_catalog.pg_attrdef ad on ad.adrelid = a.attrelid and ad.adnum = a.attnum \
              where a.attrelid >= 16384 and a.attnotnull and a.attgenerated = '' and (a.attidentity <> '' or ad.oid is not null) \
              and exists (select from pg_catalog.pg_proc p join pg_catalog.pg_language l on l.oid = p.prolang \
              where l.lanname = 'plpgsql' and p.prorettype = 'pg_catalog.trigger'::pg_catalog.regtype)",
    },
    CatalogQuery {
        // Expressions that a write runs and that call something: defaults, checks, those of indexes and partition keys.
        // The third: whether a function or operator outside pg_catalog is among them; then what becomes of its value.
        // A column without a default has its type's, which a domain takes over from the one that it is made of (typecmds.c,
        // `DefineDomain`; rewriteHandler.c, `build_column_default`). The last are those of statistics, which a plan and
        // ANALYZE alone run: by the functions that they call and the types of which they make values, since PostgreSQL 13
        // prints none. Those of the server's own, which need not be immutable there, only the tree names.
        name: "write_code",
        sql: concat!(
            "with recursive ",
            kin!(),
            ", ",
            calls!(),
            ", ",
            locked!(),
            " select ad.adrelid::text, case when ",
            unreadable!("ad.adrelid"),
            " then '?' else coalesce(pg_catalog.pg_get_expr(ad.adbin, ad.adrelid), '?') end, (c.objid is not null or g.calls)::text, case a.attgenerated when '' then 'default' else 'generated' end \
              from pg_catalog.pg_attrdef ad join pg_catalog.pg_attribute a on a.attrelid = ad.adrelid \
              and a.attnum = ad.adnum left join calls c on c.objid = ad.oid \
              and c.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass \
              cross join lateral (select a.attgenerated <> '' and exists (select from calls o where o.objid = ad.adrelid \
              and o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass) as calls) g \
              where c.objid is not null or g.calls or ",
            may_run!("ad.adbin"),
            " union all select k.conrelid::text, case when ",
            unreadable!("k.conrelid"),
            " then '?' else coalesce(pg_catalog.pg_get_expr(k.conbin, k.conrelid), '?') end, (c.objid is not null)::text, 'check' \
              from pg_catalog.pg_constraint k left join calls c on c.objid = k.oid \
              and c.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass \
              where k.contype = 'c' and k.conrelid >= 16384 and (c.objid is not null or ",
            may_run!("k.conbin"),
            ") union all select i.indrelid::text, case when ",
            unreadable!("i.indrelid"),
            " then '?' else pg_catalog.concat_ws(', ', pg_catalog.pg_get_expr(i.indexprs, i.indrelid), \
              pg_catalog.pg_get_expr(i.indpred, i.indrelid)) end, (c.objid is not null)::text, 'index' \
              from pg_catalog.pg_index i left join calls c on c.objid = i.indexrelid \
              and c.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
              where (i.indexprs is not null or i.indpred is not null) and i.indrelid >= 16384 \
              union all select t.partrelid::text, case when ",
            unreadable!("t.partrelid"),
            " then '?' else coalesce(pg_catalog.pg_get_expr(t.partexprs, t.partrelid), '?') end, (c.objid is not null)::text, 'check' \
              from pg_catalog.pg_partitioned_table t left join calls c on c.objid = t.partrelid \
              and c.classid = 'pg_catalog.pg_class'::pg_catalog.regclass where t.partexprs is not null \
              union all select distinct a.attrelid::text, coalesce(pg_catalog.pg_get_expr(t.typdefaultbin, 0), '?'), \
              (c.objid is not null)::text, 'default' from pg_catalog.pg_type t left join calls c on c.objid = t.oid \
              and c.classid = 'pg_catalog.pg_type'::pg_catalog.regclass \
              join pg_catalog.pg_attribute a on a.atttypid = t.oid and a.attnum > 0 and not a.attisdropped and not a.atthasdef \
              join pg_catalog.pg_class r on r.oid = a.attrelid and r.relkind in ('r', 'p', 'f') and r.oid >= 16384 \
              where t.typdefaultbin is not null and t.oid >= 16384 and (c.objid is not null or ",
            may_run!("t.typdefaultbin"),
            ") union all select e.stxrelid::text, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(p.proname) || '()', \
              'true', 'planned' from pg_catalog.pg_statistic_ext e join pg_catalog.pg_depend d on d.objid = e.oid \
              and d.classid = 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass \
              left join kin k on k.oid = d.refobjid and d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass \
              left join pg_catalog.pg_operator o on o.oid = k.other \
              join pg_catalog.pg_proc p on p.oid = coalesce(o.oprcode::pg_catalog.oid, case d.refclassid \
              when 'pg_catalog.pg_proc'::pg_catalog.regclass then d.refobjid end) \
              join pg_catalog.pg_namespace n on n.oid = p.pronamespace where p.oid >= 16384 \
              union all select e.stxrelid::text, pg_catalog.quote_ident(p.proname) || '()', 'false', 'planned' \
              from pg_catalog.pg_statistic_ext e cross join lateral \
              pg_catalog.unnest(pg_catalog.string_to_array(pg_catalog.to_jsonb(e) ->> 'stxexprs', ' :')) f (field) \
              join pg_catalog.pg_proc p on f.field = 'funcid ' || p.oid where p.oid < 16384 and p.provolatile <> 'i' \
              union all select e.stxrelid::text, 'null::' || pg_catalog.format_type(d.refobjid, null), 'true', 'planned' \
              from pg_catalog.pg_statistic_ext e join pg_catalog.pg_depend d on d.objid = e.oid \
              and d.classid = 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass \
              and d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass and d.refobjid >= 16384 \
              join pg_catalog.pg_type t on t.oid = d.refobjid and t.typtype <> 'e'"
        ),
    },
    CatalogQuery {
        // A column of a relation, or else a function that is called, or a type outside pg_catalog. The last: whether the policy names
        // a whole row, of which pg_depend says no more than of any relation of FROM.
        name: "policies",
        sql: concat!(
            "with recursive ",
            kin!(),
            ", p (oid, polrelid, names_rows) as materialized (select p.oid, p.polrelid, \
              pg_catalog.concat(p.polqual::text, p.polwithcheck::text) like '%:varattno 0 %' from pg_catalog.pg_policy p \
              join pg_catalog.pg_class c on c.oid = p.polrelid where c.relrowsecurity) \
              select p.polrelid::text, (case when d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass \
              then d.refobjid else 0 end)::text, d.refobjsubid::text, case d.refclassid \
              when 'pg_catalog.pg_proc'::pg_catalog.regclass then ",
            runs!("d.refobjid"),
            " \
              when 'pg_catalog.pg_operator'::pg_catalog.regclass then ",
            runs!("o.oprcode"),
            " else '0' end, \
              (case when d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass and d.refobjid >= 12000 then d.refobjid \
              else 0 end)::text, p.names_rows::text from p join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass and d.objid = p.oid \
              left join kin k on k.oid = d.refobjid and d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass \
              left join pg_catalog.pg_operator o on o.oid = k.other \
              where d.refclassid in ('pg_catalog.pg_class'::pg_catalog.regclass, \
              'pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass, \
              'pg_catalog.pg_type'::pg_catalog.regclass)"
        ),
    },
    CatalogQuery {
        // By which they tell what they call and read of the server's own: pg_depend has nothing of that. Subqueries are printed
        // under locks on what they name, as views are.
        name: "policy_texts",
        sql: concat!(
            "with ",
            locked!(),
            " select p.polrelid::text, case when ",
            unreadable!("p.polrelid"),
            " or pg_catalog.concat(p.polqual::text, p.polwithcheck::text) like '%{SUBLINK %' \
              and exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass \
              and d.objid = p.oid and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass \
              and (d.refobjid in (select l.relation from locked l) \
              or pg_catalog.has_table_privilege(d.refobjid, 'select') is null)) then '?' \
              when pg_catalog.octet_length(pg_catalog.concat(p.polqual::text, p.polwithcheck::text)) > 2000000 then pg_catalog.chr(39) \
              else pg_catalog.concat_ws(', ', pg_catalog.pg_get_expr(p.polqual, p.polrelid), \
              pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)) end \
              from pg_catalog.pg_policy p join pg_catalog.pg_class c on c.oid = p.polrelid where c.relrowsecurity"
        ),
    },
    CatalogQuery { name: "functions_version", sql: concat!("select ", functions_version!()) },
    CatalogQuery {
        // The third: pure by what the server itself says of all functions of that name. What initdb made (OIDs below
        // FirstNormalObjectId, access/transam.h) in C within the server, and immutable, reads nothing but its
        // arguments; `internal` marks what SQL cannot call. The fourth: the OIDs of the server's own, which the fast path
        // calls them by.
        name: "functions",
        sql: "select n.nspname::text, p.proname::text, \
              pg_catalog.bool_and(p.oid < 16384 and n.nspname = 'pg_catalog' and l.lanname = 'internal' \
              and p.provolatile = 'i' and p.prorettype <> 'pg_catalog.internal'::pg_catalog.regtype \
              and not coalesce('pg_catalog.internal'::pg_catalog.regtype = any(p.proargtypes::pg_catalog.oid[]), false))::text, \
              coalesce(pg_catalog.string_agg(p.oid::text, ',') filter (where n.nspname = 'pg_catalog'), '') \
              from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace \
              join pg_catalog.pg_language l on l.oid = p.prolang group by 1, 2",
    },
    CatalogQuery {
        // Internal ones outside pg_catalog are those of partitions. The fourth: the name of a function of the server's
        // own. One that may fire as late as COMMIT, when the path is another, or that sees tables of changed rows by
        // names of its own, gets no function: it is not known.
        name: "triggers",
        sql: "select t.tgrelid::text, t.tgtype::text, case when t.tgdeferrable or t.tgoldtable is not null \
              or t.tgnewtable is not null or (t.tgtype & 64) <> 0 then '' else p.oid::text end, \
              case when n.nspname = 'pg_catalog' then p.proname::text else '' end, \
              pg_catalog.encode(t.tgargs, 'escape'), case when t.tgqual is null then '' \
              else coalesce(pg_catalog.pg_get_triggerdef(t.oid), '?') end \
              from pg_catalog.pg_trigger t join pg_catalog.pg_proc p on p.oid = t.tgfoid \
              join pg_catalog.pg_namespace n on n.oid = p.pronamespace \
              where not t.tgisinternal or n.nspname <> 'pg_catalog'",
    },
    CatalogQuery {
        name: "trigger_functions",
        sql: "select p.oid::text, (p.prosecdef or p.proconfig is not null)::text, p.prosrc \
              from pg_catalog.pg_proc p join pg_catalog.pg_language l on l.oid = p.prolang \
              where l.lanname = 'plpgsql' and p.prorettype = 'pg_catalog.trigger'::pg_catalog.regtype \
              and (p.proconfig is null \
              or (pg_catalog.cardinality(p.proconfig) = 1 and p.proconfig[1] like 'search\\_path=%'))",
    },
    CatalogQuery {
        // Routines outside pg_catalog. A body is given where it can be read: SQL, with no settings but search_path; as
        // the text that it is, or as it was bound (BEGIN ATOMIC, RETURN; no column of PostgreSQL 13). Then what a
        // call evaluates besides: defaults of arguments, and by their types (an aggregate has those of its states, too) the
        // checks of domains. Of `computing` none is needed. Of those that cannot be read, the text of such as indexes may call
        // is given all the same (`apart.rs`): nobody but a superuser makes those in C, or of
        // internal ones others than aggregates and constructors of ranges, and immutable ones find nothing by name.
        name: "routines",
        sql: concat!(
            "with ",
            locked!(),
            ", ",
            computing!(),
            ", opaque as materialized (select d.objid as oid from locked l join pg_catalog.pg_depend d \
              on d.refobjid = l.relation and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass \
              and d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass) \
              select p.oid::text, n.nspname::text, p.proname::text, p.proretset::text, f.form, \
              case f.form when 'text' then p.prosrc when 'bound' then coalesce(pg_catalog.pg_get_functiondef(p.oid), '') \
              when '' then case when l.lanname in ('c', 'internal') and p.provolatile = 'i' and p.prokind = 'f' and not (",
            constructs!("p"),
            ") then 'null' when l.lanname = 'plpgsql' and p.provolatile = 'i' then p.prosrc else '' end else '' end, \
              (p.prosecdef or p.proconfig is not null)::text, coalesce(pg_catalog.array_to_string(p.proargnames, ','), ''), \
              coalesce(pg_catalog.pg_get_expr(p.proargdefaults, 0), ''), \
              pg_catalog.array_to_string(p.prorettype || coalesce(p.proallargtypes, p.proargtypes::pg_catalog.oid[]) \
              || array(select t.type from pg_catalog.pg_aggregate a cross join lateral (values (a.aggtranstype), (a.aggmtranstype)) t (type) \
              where a.aggfnoid = p.oid), ',') \
              from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace \
              join pg_catalog.pg_language l on l.oid = p.prolang cross join lateral (select case \
              when p.oid in (select c.oid from computing c) then 'computing' when l.lanname <> 'sql' or p.prokind <> 'f' or not (p.proconfig is null \
              or (pg_catalog.cardinality(p.proconfig) = 1 and p.proconfig[1] like 'search\\_path=%')) then '' \
              when (pg_catalog.to_jsonb(p) ->> 'prosqlbody') is null then 'text' \
              when p.oid in (select o.oid from opaque o) then 'locked' else 'bound' end) f (form) \
              where n.nspname <> 'pg_catalog'"
        ),
    },
    CatalogQuery {
        // The functions that aggregates outside pg_catalog run.
        name: "aggregates",
        sql: concat!(
            "select a.aggfnoid::pg_catalog.oid::text, ",
            runs!("f.function"),
            " \
              from pg_catalog.pg_aggregate a join pg_catalog.pg_proc g on g.oid = a.aggfnoid \
              join pg_catalog.pg_namespace n on n.oid = g.pronamespace cross join lateral (values \
              (a.aggtransfn), (a.aggfinalfn), (a.aggcombinefn), (a.aggserialfn), (a.aggdeserialfn), (a.aggmtransfn), \
              (a.aggminvtransfn), (a.aggmfinalfn)) f (function) where n.nspname <> 'pg_catalog' and f.function <> 0"
        ),
    },
    CatalogQuery {
        // With the functions that it or its kin run, 0 if that is the server's own and only computes. None of `given`.
        name: "operators",
        sql: concat!(
            "with recursive ",
            kin!(),
            ", ",
            given!(),
            " select distinct n.oprname::text, ",
            runs!("o.oprcode"),
            " from kin k join pg_catalog.pg_operator n on n.oid = k.oid join pg_catalog.pg_operator o on o.oid = k.other \
              where (o.oid >= 16384 or n.oid >= 16384) \
              and o.oid not in (select g.objid from given g \
              where g.classid = 'pg_catalog.pg_operator'::pg_catalog.regclass)"
        ),
    },
    CatalogQuery {
        // One to JSON applies by itself within to_json and kin (json.c, `json_categorize_type`), one to text within
        // what the server itself writes in SQL: `any || text`, quote_literal, quote_nullable (pg_proc.dat). None
        // of `given`.
        name: "casts",
        sql: concat!(
            "with ",
            given!(),
            " select case when k.casttarget in ('json'::pg_catalog.regtype, 'jsonb'::pg_catalog.regtype, \
              'text'::pg_catalog.regtype) then 'i' \
              else k.castcontext::text end, ",
            runs!("k.castfunc"),
            " from pg_catalog.pg_cast k \
              where k.oid >= 16384 and k.castfunc <> 0 \
              and not exists (select from pg_catalog.pg_proc p where p.oid = k.castfunc \
              and p.prosrc = 'multirange_constructor1' and p.prolang = 12) \
              and k.oid not in (select g.objid from given g \
              where g.classid = 'pg_catalog.pg_cast'::pg_catalog.regclass)"
        ),
    },
    CatalogQuery {
        // The fourth: whether making a value of it runs what is not known. Input functions are the server's or an
        // extension's C: no other language takes a cstring. Then its default, and whether that calls somebody's function.
        name: "types",
        sql: concat!(
            "with recursive ",
            parts!(),
            ", opaque (type) as (select t.oid from pg_catalog.pg_type t \
              left join pg_catalog.pg_range r on r.rngtypid = t.oid where t.oid >= 12000 \
              and (t.typtype = 'p' or coalesce(r.rngcanonical::pg_catalog.oid, 0) <> 0) \
              union select p.whole from opaque o join parts p on p.part = o.type) \
              select t.oid::text, n.nspname::text, t.typname::text, \
              (t.oid in (select type from opaque))::text, case when t.typdefaultbin is null or t.oid < 16384 then '' \
              else coalesce(pg_catalog.pg_get_expr(t.typdefaultbin, 0), '?') end, (case when t.typdefaultbin is null or t.oid < 16384 then false \
              else exists (select from pg_catalog.pg_depend d where d.objid = t.oid \
              and d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass and d.refobjid >= 16384 and d.refclassid in \
              ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass)) end)::text from pg_catalog.pg_type t \
              join pg_catalog.pg_namespace n on n.oid = t.typnamespace where n.nspname not in ('pg_catalog', 'pg_toast')"
        ),
    },
    CatalogQuery {
        name: "domain_checks",
        sql: concat!(
            "with ",
            calls!(),
            " select k.contypid::text, coalesce(pg_catalog.pg_get_expr(k.conbin, 0), '?'), \
              (c.objid is not null)::text from pg_catalog.pg_constraint k left join calls c on c.objid = k.oid \
              and c.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass \
              where k.contypid <> 0 and k.contype = 'c'"
        ),
    },
    CatalogQuery {
        // Domains with checks, and what has them as base, element, field or bound: making a value of it checks them.
        name: "checked_types",
        sql: concat!(
            "with recursive ",
            parts!(),
            ", checked (type, domain) as (select k.contypid, k.contypid \
              from pg_catalog.pg_constraint k where k.contypid <> 0 and k.contype = 'c' \
              union select p.whole, c.domain from checked c join parts p on p.part = c.type) \
              select type::text, domain::text from checked"
        ),
    },
    CatalogQuery {
        name: "columns_of_types",
        sql: "select a.attrelid::text, a.atttypid::text from pg_catalog.pg_attribute a \
              join pg_catalog.pg_class c on c.oid = a.attrelid where a.attnum > 0 and not a.attisdropped \
              and a.atttypid >= 12000 and a.attrelid >= 16384 and c.relkind in ('r', 'p', 'f', 'v', 'm')",
    },
    CatalogQuery {
        // Relations with columns, or expressions of indexes or statistics, of a range type that measures its values by somebody's
        // function, or made of one, or of what is. Planning, ANALYZE and indexes call that (rangetypes_selfuncs.c,
        // rangetypes_typanalyze.c, rangetypes_gist.c). Which types an expression has, its tree names.
        name: "columns_of_ranges",
        sql: concat!(
            "with recursive ",
            parts!(),
            ", measured (type, function) as (select r.rngtypid, r.rngsubdiff::pg_catalog.oid from pg_catalog.pg_range r \
              where r.rngsubdiff::pg_catalog.oid >= 16384 \
              union select p.whole, m.function from measured m join parts p on p.part = m.type) \
              select a.attrelid::text, m.function::text from measured m \
              join pg_catalog.pg_attribute a on a.atttypid = m.type where a.attnum > 0 and not a.attisdropped \
              and a.attrelid >= 16384 union select t.relation::text, m.function::text \
              from (select i.indrelid, i.indexprs::text from pg_catalog.pg_index i where i.indexprs is not null and i.indrelid >= 16384 \
              union all select e.stxrelid, pg_catalog.to_jsonb(e) ->> 'stxexprs' from pg_catalog.pg_statistic_ext e) t (relation, tree) \
              cross join lateral pg_catalog.unnest(pg_catalog.string_to_array(t.tree, ' :')) f (field) \
              join measured m on pg_catalog.split_part(f.field, ' ', 2) = m.type::text \
              where pg_catalog.split_part(f.field, ' ', 1) like '%typ%' and f.field not like '%typmod %' and exists (select from measured)"
        ),
    },
    CatalogQuery {
        // With whether its function is of another language than C: what that runs with DDL is not known. (Those of LOGIN run
        // with no statement.)
        name: "event_triggers",
        sql: "select e.evtname::text, (e.evtevent <> 'login' and l.lanname not in ('c', 'internal'))::text \
              from pg_catalog.pg_event_trigger e join pg_catalog.pg_proc p on p.oid = e.evtfoid \
              join pg_catalog.pg_language l on l.oid = p.prolang where e.evtenabled in ('O', 'A')",
    },
    CatalogQuery {
        // What DROP may be about that no other answer has all of, by the first word of what it is called there.
        name: "others",
        sql: "select 'collation', collname::text from pg_catalog.pg_collation \
              union select 'conversion', conname::text from pg_catalog.pg_conversion \
              union select 'text', prsname::text from pg_catalog.pg_ts_parser \
              union select 'text', tmplname::text from pg_catalog.pg_ts_template \
              union select 'text', dictname::text from pg_catalog.pg_ts_dict \
              union select 'text', cfgname::text from pg_catalog.pg_ts_config \
              union select 'operator', oprname::text from pg_catalog.pg_operator where oid >= 12000 \
              union select 'operator', opcname::text from pg_catalog.pg_opclass \
              union select 'operator', opfname::text from pg_catalog.pg_opfamily \
              union select 'cast', '' from pg_catalog.pg_cast where oid >= 12000 \
              union select 'transform', l.lanname::text from pg_catalog.pg_transform t \
              join pg_catalog.pg_language l on l.oid = t.trflang \
              union select 'access', amname::text from pg_catalog.pg_am \
              union select 'language', lanname::text from pg_catalog.pg_language \
              union select 'data', fdwname::text from pg_catalog.pg_foreign_data_wrapper \
              union select 'server', srvname::text from pg_catalog.pg_foreign_server \
              union select 'extension', extname::text from pg_catalog.pg_extension \
              union select 'event', evtname::text from pg_catalog.pg_event_trigger",
    },
    CatalogQuery {
        // Code of somebody's own that may run as late as COMMIT: by deferrable triggers, and by deferrable constraints
        // on expressions.
        name: "late_code",
        sql: "select 'trigger' from pg_catalog.pg_trigger t where t.tgdeferrable and not t.tgisinternal \
              union all select 'index' from pg_catalog.pg_index i where not i.indimmediate \
              and (i.indexprs is not null or i.indpred is not null) limit 1",
    },
    // With who may use them: the effective search path leaves out what may not be used. As whom somebody may is said of all
    // roles, under no name.
    CatalogQuery {
        name: "schemas",
        sql: "select n.nspname::text, coalesce((select pg_catalog.string_agg(distinct a.grantee::text, ',') \
              from pg_catalog.aclexplode(coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) a \
              where a.privilege_type = 'USAGE'), '') from pg_catalog.pg_namespace n \
              union all select '', pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.concat( \
              (select pg_catalog.string_agg(m::text, ',' order by m.roleid, m.member, m::text) from pg_catalog.pg_auth_members m), \
              (select pg_catalog.string_agg(pg_catalog.concat(r.oid, r.rolsuper, r.rolinherit), ',' order by r.oid) \
              from pg_catalog.pg_roles r)), 'UTF8')), 'hex')",
    },
];

/// The relations of this database that somebody else holds or awaits for themselves alone, as one text value.
pub const LOCKS_QUERY: &str =
    concat!("with ", locked!(), " select pg_catalog.string_agg(distinct relation::text, ',') from locked");

/// A query whose answer [`super::Catalog::from_rows`] needs.
#[derive(Debug, Clone, Copy)]
pub struct CatalogQuery {
    /// By which the answer is handed back.
    pub name: &'static str,
    /// Selects text columns only.
    pub sql: &'static str,
}

/// To be run in ONE repeatable-read, read-only transaction with `search_path = pg_catalog`
/// (view definitions are qualified by it). Any role may; PostgreSQL 13 to 18.
pub const CATALOG_QUERIES: &[CatalogQuery] = &[
    CatalogQuery {
        name: "relations",
        sql: "select c.oid::text, n.nspname::text, c.relname::text, c.relkind::text, c.reltuples::text, \
              c.relpages::text, (c.relrowsecurity or c.relispartition or c.relkind = 'p')::text, \
              (exists (select from pg_catalog.pg_rewrite r where r.ev_class = c.oid and r.rulename <> '_RETURN') \
              or exists (select from pg_catalog.pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal))::text \
              from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
              where c.relkind in ('r', 'p', 'f', 'v', 'm', 'S')",
    },
    CatalogQuery {
        name: "columns",
        sql: "select a.attrelid::text, a.attnum::text, a.attname::text, a.attnotnull::text \
              from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid \
              where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'f', 'v', 'm', 'S') \
              order by a.attrelid, a.attnum",
    },
    CatalogQuery {
        name: "inherits",
        sql: "select inhrelid::text, inhparent::text from pg_catalog.pg_inherits",
    },
    CatalogQuery {
        name: "views",
        sql: "select c.oid::text, pg_catalog.pg_get_viewdef(c.oid)::text from pg_catalog.pg_class c \
              join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
              where c.relkind in ('v', 'm') and n.nspname not in ('pg_catalog', 'information_schema')",
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
        sql: "select ad.adrelid::text, ad.adnum::text, d.refobjsubid::text \
              from pg_catalog.pg_attrdef ad \
              join pg_catalog.pg_attribute a on a.attrelid = ad.adrelid and a.attnum = ad.adnum \
              join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass \
              and d.objid = ad.oid and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass \
              and d.refobjid = ad.adrelid and d.refobjsubid not in (0, ad.adnum) \
              where a.attgenerated <> ''",
    },
    CatalogQuery {
        name: "unique_indexes",
        sql: "select i.indrelid::text, i.indkey::text || coalesce((select ' ' || pg_catalog.string_agg(\
              d.refobjsubid::text, ' ') from pg_catalog.pg_depend d \
              where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = i.indexrelid \
              and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid = i.indrelid), '') \
              from pg_catalog.pg_index i where (i.indisunique or i.indisexclusion) and i.indrelid >= 16384",
    },
    CatalogQuery {
        name: "constraints",
        // A check that is not validated may fail at any UPDATE, whatever it writes: it counts as on all columns. The last:
        // whether rows that refer are written by DELETE, and by UPDATE, of what they refer to.
        sql: "select k.contype::text, k.conrelid::text, \
              case when k.contype = 'c' and not k.convalidated then '{}' else coalesce(k.conkey::text, '{}') end, \
              k.confrelid::text, coalesce(k.confkey::text, '{}'), k.confdeltype::text, k.confupdtype::text \
              from pg_catalog.pg_constraint k where k.contype in ('f', 'c') and k.conrelid >= 16384",
    },
    CatalogQuery {
        name: "write_functions",
        // Through operators too, and through domains within domains, arrays and composite types.
        sql: "with recursive calls as (select d.classid, d.objid from pg_catalog.pg_depend d \
              join pg_catalog.pg_proc p on p.oid = d.refobjid \
              join pg_catalog.pg_namespace n on n.oid = p.pronamespace \
              where d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass and n.nspname <> 'pg_catalog' \
              union all select d.classid, d.objid from pg_catalog.pg_depend d \
              where d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass and d.refobjid >= 16384 \
              and d.classid in ('pg_catalog.pg_attrdef'::pg_catalog.regclass, \
              'pg_catalog.pg_constraint'::pg_catalog.regclass, 'pg_catalog.pg_class'::pg_catalog.regclass)), \
              checked as (select k.contypid as oid from calls join pg_catalog.pg_constraint k on k.oid = calls.objid \
              where calls.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass and k.contypid <> 0 \
              union select t.oid from checked c join pg_catalog.pg_type t on t.typbasetype = c.oid or t.typelem = c.oid \
              or t.oid = (select r.reltype from pg_catalog.pg_class r join pg_catalog.pg_attribute a \
              on a.attrelid = r.oid where a.atttypid = c.oid and r.reltype = t.oid and r.relkind = 'c' limit 1)) \
              select ad.adrelid::text from calls join pg_catalog.pg_attrdef ad on ad.oid = calls.objid \
              where calls.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass \
              union select k.conrelid::text from calls join pg_catalog.pg_constraint k on k.oid = calls.objid \
              where calls.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass and k.conrelid <> 0 \
              union select a.attrelid::text from checked join pg_catalog.pg_attribute a on a.atttypid = checked.oid \
              union select p.partrelid::text from calls join pg_catalog.pg_partitioned_table p \
              on p.partrelid = calls.objid where calls.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
              union select i.indrelid::text from calls join pg_catalog.pg_index i on i.indexrelid = calls.objid \
              where calls.classid = 'pg_catalog.pg_class'::pg_catalog.regclass",
    },
    CatalogQuery {
        name: "policies",
        sql: "select p.polrelid::text, (case when d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass \
              then d.refobjid else 0 end)::text, d.refobjsubid::text \
              from pg_catalog.pg_policy p join pg_catalog.pg_class c on c.oid = p.polrelid \
              join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass and d.objid = p.oid \
              where c.relrowsecurity and d.refclassid in ('pg_catalog.pg_class'::pg_catalog.regclass, \
              'pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass)",
    },
    CatalogQuery {
        // The third: pure by what the server itself says of all functions of that name. What initdb made (OIDs below
        // FirstNormalObjectId, access/transam.h) in C within the server, and immutable, reads nothing but its
        // arguments; `internal` marks what SQL cannot call.
        name: "functions",
        sql: "select n.nspname::text, p.proname::text, \
              pg_catalog.bool_and(p.oid < 16384 and n.nspname = 'pg_catalog' and l.lanname = 'internal' \
              and p.provolatile = 'i' and p.prorettype <> 'pg_catalog.internal'::pg_catalog.regtype \
              and not coalesce('pg_catalog.internal'::pg_catalog.regtype = any(p.proargtypes::pg_catalog.oid[]), false))::text \
              from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace \
              join pg_catalog.pg_language l on l.oid = p.prolang group by 1, 2",
    },
    CatalogQuery {
        // Routines outside pg_catalog. A body is given where it is a text that can be read as it stands: not
        // BEGIN ATOMIC, no defaults of arguments that would be evaluated, no domains whose checks would, no settings
        // but search_path.
        name: "routines",
        sql: "select n.nspname::text, p.proname::text, p.proretset::text, \
              case when l.lanname = 'sql' and p.prokind = 'f' and p.proargdefaults is null \
              and (p.proconfig is null or (pg_catalog.cardinality(p.proconfig) = 1 and p.proconfig[1] like 'search\\_path=%')) \
              and not exists (select from pg_catalog.pg_type t left join pg_catalog.pg_type e on e.oid = t.typelem \
              left join pg_catalog.pg_attribute f on f.attrelid in (nullif(t.typrelid, 0), nullif(e.typrelid, 0)) \
              left join pg_catalog.pg_type ft on ft.oid = f.atttypid \
              where 'd' in (t.typtype, e.typtype, ft.typtype) and t.oid = any( \
              p.prorettype || coalesce(p.proallargtypes, p.proargtypes::pg_catalog.oid[]))) \
              then p.prosrc else '' end, \
              (p.prosecdef or p.proconfig is not null)::text, coalesce(pg_catalog.array_to_string(p.proargnames, ','), '') \
              from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace \
              join pg_catalog.pg_language l on l.oid = p.prolang where n.nspname <> 'pg_catalog'",
    },
    CatalogQuery {
        name: "operators",
        sql: "select distinct o.oprname::text from pg_catalog.pg_operator o where o.oid >= 16384 \
              and not exists (select from pg_catalog.pg_depend d where d.deptype = 'e' and d.objid = o.oid \
              and d.classid = 'pg_catalog.pg_operator'::pg_catalog.regclass)",
    },
    CatalogQuery {
        name: "casts",
        sql: "select k.castcontext::text from pg_catalog.pg_cast k where k.oid >= 16384 and k.castfunc <> 0 \
              and not exists (select from pg_catalog.pg_depend d where d.deptype = 'e' and d.objid = k.oid \
              and d.classid = 'pg_catalog.pg_cast'::pg_catalog.regclass)",
    },
    CatalogQuery {
        // The third: whose values are taken in by the server's or an extension's C alone: no checks of a domain, not
        // even of one within it.
        name: "types",
        sql: "select t.typname::text, pg_catalog.bool_or(t.typtype = 'd')::text, \
              pg_catalog.bool_and(t.typtype = 'e' or t.typtype = 'b' and t.typelem = 0)::text from pg_catalog.pg_type t \
              join pg_catalog.pg_namespace n on n.oid = t.typnamespace \
              where n.nspname not in ('pg_catalog', 'pg_toast') group by 1",
    },
    // With who may use them: the effective search path leaves out what may not be used.
    CatalogQuery {
        name: "schemas",
        sql: "select n.nspname::text, coalesce((select pg_catalog.string_agg(distinct a.grantee::text, ',') \
              from pg_catalog.aclexplode(coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) a \
              where a.privilege_type = 'USAGE'), '') from pg_catalog.pg_namespace n",
    },
];

/// One text value that changes when anything that [`CATALOG_QUERIES`] reads changes, statistics and temporary
/// objects apart (a session's own it knows by its own statements). Cheap enough to ask every few seconds: sums
/// of row versions (`xmin`) over user objects.
pub const CATALOG_FINGERPRINT_QUERY: &str = "with temp as (select oid from pg_catalog.pg_class where relpersistence = 't') \
    select pg_catalog.concat_ws('/', \
    (select pg_catalog.sum(oid::text::numeric * (xmin::text::numeric + 7)) from pg_catalog.pg_class where oid >= 16384 and relpersistence <> 't'), \
    (select pg_catalog.sum((attrelid::text::numeric * 1601 + attnum) * (xmin::text::numeric + 7)) from pg_catalog.pg_attribute where attrelid >= 16384 and attrelid not in (select oid from temp)), \
    (select pg_catalog.sum(oid::text::numeric * (xmin::text::numeric + 7)) from pg_catalog.pg_rewrite where oid >= 16384 and ev_class not in (select oid from temp)), \
    (select pg_catalog.sum(oid::text::numeric * (xmin::text::numeric + 7)) from pg_catalog.pg_proc where oid >= 16384), \
    (select pg_catalog.sum(inhrelid::text::numeric * (xmin::text::numeric + 7)) from pg_catalog.pg_inherits), \
    (select pg_catalog.sum(oid::text::numeric * (xmin::text::numeric + 7)) from pg_catalog.pg_constraint where oid >= 16384 and conrelid not in (select oid from temp)), \
    (select pg_catalog.sum(oid::text::numeric * (xmin::text::numeric + 7)) from pg_catalog.pg_attrdef where adrelid not in (select oid from temp)), \
    (select pg_catalog.sum(oid::text::numeric * (xmin::text::numeric + 7)) from pg_catalog.pg_trigger where oid >= 16384 and tgrelid not in (select oid from temp)), \
    (select pg_catalog.sum(oid::text::numeric * (xmin::text::numeric + 7)) from pg_catalog.pg_type where oid >= 16384 and typrelid = 0 and typelem = 0), \
    (select pg_catalog.sum(oid::text::numeric * (xmin::text::numeric + 7)) from pg_catalog.pg_operator where oid >= 16384), \
    (select pg_catalog.sum(oid::text::numeric * (xmin::text::numeric + 7)) from pg_catalog.pg_cast where oid >= 16384), \
    (select pg_catalog.sum(oid::text::numeric * (xmin::text::numeric + 7)) from pg_catalog.pg_namespace where nspname not like 'pg\\_temp\\_%' and nspname not like 'pg\\_toast\\_temp\\_%'), \
    (select pg_catalog.sum(oid::text::numeric * (xmin::text::numeric + 7)) from pg_catalog.pg_policy))";

//! What tells that a snapshot is out of date, without reading the catalog anew.

/// What changes when some table has grown or shrunk by a quarter, which no DDL says.
pub const SIZES_QUERY: &str = "select pg_catalog.encode(pg_catalog.sha256(pg_catalog.string_agg(c.oid::text || ':' || \
    pg_catalog.floor(pg_catalog.ln(greatest(c.reltuples::float8, pg_catalog.pg_stat_get_live_tuples(c.oid)::float8, 0) \
    + 1000) / pg_catalog.ln(1.25))::text, ',' order by c.oid)::bytea), 'hex') from pg_catalog.pg_class c \
    where c.relkind in ('r', 'm') and c.oid >= 16384 and c.relpersistence <> 't'";

/// Numbers of rows and their versions (`xmin`), in whatever order, as one number.
macro_rules! versions {
    ($number:literal, $from:literal) => {
        concat!(
            "(select pg_catalog.sum(pg_catalog.hashint8extended(",
            $number,
            ", xmin::text::pg_catalog.int8)) from pg_catalog.",
            $from,
            ")"
        )
    };
}

/// Five text values, of relations, of what makes them work, of code (functions, languages, schemas, roles), of what values
/// are (types, operators, collations, text search) and of views. They change when anything that [`CATALOG_QUERIES`] reads
/// changes, statistics and temporary objects apart (a session's own it knows by its own statements). Cheap enough to ask
/// every few seconds.
///
/// The second is the same after what is done to tables every night (TRUNCATE, VACUUM FULL); not the first, for which a row
/// of pg_class that was written anew is another.
pub const CATALOG_FINGERPRINT_QUERY: &str = concat!(
    "with temp as (select oid from pg_catalog.pg_class where relpersistence = 't'), \
     temp_schema as (select oid from pg_catalog.pg_namespace where nspname like 'pg\\_temp\\_%') \
     select pg_catalog.concat_ws('/', ",
    versions!("oid::pg_catalog.int8", "pg_class where oid >= 16384 and relpersistence <> 't'"),
    ", ",
    versions!(
        "indexrelid::pg_catalog.int8",
        "pg_index where indexrelid >= 16384 and indrelid not in (select oid from temp)"
    ),
    ", ",
    versions!("oid::pg_catalog.int8", "pg_statistic_ext"),
    "), pg_catalog.concat_ws('/', ",
    // Which relation each name stands for.
    "(select pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.concat_ws('.', oid, relnamespace, relname), 0)) \
     from pg_catalog.pg_class where oid >= 16384 and relpersistence <> 't' and relkind not in ('i', 'I', 't'))",
    ", ",
    versions!(
        "attrelid::pg_catalog.int8 * 2048 + attnum",
        "pg_attribute where attrelid >= 16384 and attnum > 0 and attrelid not in (select oid from temp)"
    ),
    ", ",
    versions!("inhrelid::pg_catalog.int8", "pg_inherits"),
    ", ",
    versions!(
        "oid::pg_catalog.int8",
        "pg_constraint where oid >= 16384 and contypid = 0 and conrelid not in (select oid from temp)"
    ),
    ", ",
    versions!("oid::pg_catalog.int8", "pg_attrdef where adrelid not in (select oid from temp)"),
    ", ",
    versions!(
        "oid::pg_catalog.int8",
        "pg_trigger where oid >= 16384 and tgrelid not in (select oid from temp)"
    ),
    ", ",
    versions!("oid::pg_catalog.int8", "pg_policy"),
    ", ",
    versions!("oid::pg_catalog.int8", "pg_event_trigger"),
    "), pg_catalog.concat_ws('/', ",
    versions!("oid::pg_catalog.int8", "pg_proc where oid >= 16384"),
    ", ",
    // What is temporary is another session's, or found by code alone.
    versions!(
        "oid::pg_catalog.int8",
        "pg_type where oid >= 16384 and typrelid = 0 and (typelem = 0 or typtype = 'd') \
         and typnamespace in (select oid from temp_schema)"
    ),
    ", ",
    versions!("oid::pg_catalog.int8", "pg_language"),
    ", ",
    // What belongs to an extension.
    versions!(
        "classid::pg_catalog.int8 * 4294967296 + objid::pg_catalog.int8",
        "pg_depend where refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and deptype = 'e'"
    ),
    ", ",
    versions!(
        "oid::pg_catalog.int8",
        "pg_namespace where nspname not like 'pg\\_temp\\_%' and nspname not like 'pg\\_toast\\_temp\\_%'"
    ),
    ", ",
    versions!("roleid::pg_catalog.int8 * 4294967296 + member::pg_catalog.int8", "pg_auth_members"),
    ", (select pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.concat(oid, rolsuper, rolinherit), 0)) \
     from pg_catalog.pg_roles)",
    "), pg_catalog.concat_ws('/', ",
    // Up to 13, a domain of arrays has their elements' type.
    versions!(
        "oid::pg_catalog.int8",
        "pg_type where oid >= 16384 and typrelid = 0 and (typelem = 0 or typtype = 'd') \
         and typnamespace not in (select oid from temp_schema)"
    ),
    ", ",
    versions!(
        "oid::pg_catalog.int8",
        "pg_constraint where contypid <> 0 and oid >= 16384 \
         and connamespace not in (select oid from temp_schema)"
    ),
    ", ",
    versions!("oid::pg_catalog.int8", "pg_enum where oid >= 16384"),
    ", ",
    versions!("rngtypid::pg_catalog.int8", "pg_range where rngtypid >= 16384"),
    ", ",
    versions!("oid::pg_catalog.int8", "pg_operator where oid >= 16384"),
    ", ",
    versions!("oid::pg_catalog.int8", "pg_cast where oid >= 16384"),
    ", ",
    versions!("oid::pg_catalog.int8", "pg_opclass where oid >= 16384"),
    ", ",
    versions!("oid::pg_catalog.int8", "pg_opfamily where oid >= 16384"),
    ", ",
    versions!("oid::pg_catalog.int8", "pg_am where oid >= 16384"),
    ", ",
    versions!("oid::pg_catalog.int8", "pg_transform"),
    ", ",
    versions!("oid::pg_catalog.int8", "pg_foreign_data_wrapper"),
    ", ",
    versions!("oid::pg_catalog.int8", "pg_foreign_server"),
    ", ",
    versions!("oid::pg_catalog.int8", "pg_extension"),
    ", ",
    versions!("oid::pg_catalog.int8", "pg_amop where oid >= 16384"),
    ", ",
    versions!("oid::pg_catalog.int8", "pg_amproc where oid >= 16384"),
    ", ",
    versions!("oid::pg_catalog.int8", "pg_collation where oid >= 16384"),
    ", ",
    versions!("oid::pg_catalog.int8", "pg_conversion where oid >= 16384"),
    ", ",
    versions!("oid::pg_catalog.int8", "pg_ts_parser where oid >= 16384"),
    ", ",
    versions!("oid::pg_catalog.int8", "pg_ts_template where oid >= 16384"),
    ", ",
    versions!("oid::pg_catalog.int8", "pg_ts_dict where oid >= 16384"),
    ", ",
    versions!("oid::pg_catalog.int8", "pg_ts_config where oid >= 16384"),
    ", ",
    versions!(
        "mapcfg::pg_catalog.int8 * 4294967296 + maptokentype * 4096 + mapseqno",
        "pg_ts_config_map where mapcfg >= 16384"
    ),
    "), pg_catalog.concat_ws('/', ",
    versions!(
        "oid::pg_catalog.int8",
        "pg_rewrite where oid >= 16384 and ev_class not in (select oid from temp)"
    ),
    ", ",
    // What a view's definition does not say: its name and schema, whose rights it has, and what its columns are called.
    versions!(
        "oid::pg_catalog.int8",
        "pg_class where oid >= 16384 and relkind = 'v' and relpersistence <> 't'"
    ),
    ", ",
    versions!(
        "attrelid::pg_catalog.int8 * 2048 + attnum",
        "pg_attribute where attnum > 0 and attrelid = any (array(select oid from pg_catalog.pg_class \
         where oid >= 16384 and relkind = 'v' and relpersistence <> 't'))"
    ),
    ")"
);

/// One text value that changes when anything changes that is temporary, whosever it is.
pub const TEMPORARY_FINGERPRINT_QUERY: &str = concat!(
    "with temp (oids) as materialized (select array(select oid from pg_catalog.pg_class where relpersistence = 't')) \
     select pg_catalog.concat_ws('/', ",
    versions!("oid::pg_catalog.int8", "pg_class where relpersistence = 't'"),
    ", ",
    versions!(
        "attrelid::pg_catalog.int8 * 2048 + attnum",
        "pg_attribute where attnum > 0 and attrelid = any ((select oids from temp)::pg_catalog.oid[])"
    ),
    ", ",
    versions!(
        "indexrelid::pg_catalog.int8",
        "pg_index where indrelid = any ((select oids from temp)::pg_catalog.oid[])"
    ),
    ", ",
    versions!(
        "oid::pg_catalog.int8",
        "pg_constraint where conrelid = any ((select oids from temp)::pg_catalog.oid[])"
    ),
    ", ",
    versions!(
        "oid::pg_catalog.int8",
        "pg_attrdef where adrelid = any ((select oids from temp)::pg_catalog.oid[])"
    ),
    ", ",
    versions!(
        "oid::pg_catalog.int8",
        "pg_trigger where tgrelid = any ((select oids from temp)::pg_catalog.oid[])"
    ),
    ", ",
    versions!(
        "oid::pg_catalog.int8",
        "pg_rewrite where ev_class = any ((select oids from temp)::pg_catalog.oid[])"
    ),
    ", ",
    versions!("oid::pg_catalog.int8", "pg_namespace where nspname like 'pg\\_temp\\_%'"),
    ")"
);

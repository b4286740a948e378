//! What several of the queries have in common.

/// Which function is run, as a text: 0 if it is the server's own and only computes. A shell operator runs none yet. What
/// initdb made has OIDs below FirstNormalObjectId (access/transam.h): internal and immutable are also aggregates and the
/// constructors of range types, whoever made them.
macro_rules! runs {
    ($function:literal) => {
        concat!(
            "coalesce((select case when p.oid < 16384 and p.provolatile = 'i' and l.lanname = 'internal' then '0' \
             else p.oid::text end from pg_catalog.pg_proc p join pg_catalog.pg_language l on l.oid = p.prolang \
             where p.oid = ",
            $function,
            "), '')"
        )
    };
}

/// `calls (classid, objid)`: objects that call a function or operator outside pg_catalog.
macro_rules! calls {
    () => {
        "calls as (select d.classid, d.objid from pg_catalog.pg_depend d \
         join pg_catalog.pg_proc p on p.oid = d.refobjid join pg_catalog.pg_namespace n on n.oid = p.pronamespace \
         where d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass and n.nspname <> 'pg_catalog' \
         union select d.classid, d.objid from pg_catalog.pg_depend d \
         where d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass and d.refobjid >= 16384)"
    };
}

/// `kin (oid, other)`: operators, each with itself and those that the planner may put in its place: NOT of it is its negator,
/// its sides change places with its commutator, estimates ask for either (`negate_clause` of clauses.c, `CommuteOpExpr`,
/// selfuncs.c), and so on with those. A shell is run by nothing, and is none of them.
macro_rules! kin {
    () => {
        "kin (oid, other) as (select o.oid, o.oid from pg_catalog.pg_operator o \
         where greatest(o.oid, o.oprcom, o.oprnegate) >= 16384 \
         union select k.oid, o.oid from kin k join pg_catalog.pg_operator m on m.oid = k.other \
         join pg_catalog.pg_operator o on o.oid in (m.oprcom, m.oprnegate) where o.oprcode <> 0)"
    };
}

/// `parts (part, whole)`: types that values of other types are made of. From OID 12000 on, types are not the server's
/// own (access/transam.h); those of information_schema are among them.
macro_rules! parts {
    () => {
        "parts (part, whole) as materialized (select t.typbasetype, t.oid from pg_catalog.pg_type t where t.typbasetype >= 12000 \
         union all select t.typelem, t.oid from pg_catalog.pg_type t where t.typelem >= 12000 \
         union all select a.atttypid, c.reltype from pg_catalog.pg_attribute a \
         join pg_catalog.pg_class c on c.oid = a.attrelid \
         where a.atttypid >= 12000 and a.attnum > 0 and not a.attisdropped and c.reltype <> 0 \
         union all select r.rngsubtype, r.rngtypid from pg_catalog.pg_range r where r.rngsubtype >= 12000 \
         union all select r.rngtypid, (pg_catalog.to_jsonb(r) ->> 'rngmultitypid')::pg_catalog.oid \
         from pg_catalog.pg_range r where r.rngtypid >= 12000)"
    };
}

/// Whether an expression may run something of somebody's own though it calls no function of theirs: it has a domain's checks
/// run, also by way of text, XML and JSON, or may call what is_plain is asked about.
macro_rules! may_run {
    ($tree:literal) => {
        concat!(
            "(",
            $tree,
            "::text like '%:funcid %' or ",
            $tree,
            "::text like '%{COERCETODOMAIN %' or ",
            $tree,
            "::text like '%{COERCEVIAIO %' or ",
            $tree,
            "::text like '%{XML%' or ",
            $tree,
            "::text like '%{JSON%')"
        )
    };
}

/// What an expression's tree may be made of besides functions and operators that are looked at by themselves. The names are those
/// of nodes/outfuncs.c, before 16 and since.
macro_rules! plain_nodes {
    () => {
        "('', '(', 'VAR', 'CONST', \
         'OPEXPR', 'FUNCEXPR', 'BOOLEXPR', 'NULLTEST', 'BOOLEANTEST', 'RELABELTYPE', 'SCALARARRAYOPEXPR', 'ARRAYCOERCEEXPR', \
         'ARRAY', 'ARRAYEXPR', 'DISTINCTEXPR', 'NULLIFEXPR', 'CASE', 'CASEEXPR', 'WHEN', 'CASEWHEN', 'CASETESTEXPR', \
         'COALESCE', 'COALESCEEXPR', 'COLLATE', 'COLLATEEXPR', 'SUBSCRIPTINGREF')"
    };
}

/// `unstable (oid)`: checks that may fail for a row that met them before: what they compute may hang on settings or on the
/// time. pg_depend has nothing of the server's own functions: the tree names them. Copies that children have say 0 for
/// the function of an operator. With `kin`. `quote_ident` (1282) hangs on a setting, whatever it says; of other nodes than these
/// (casts by way of text, of domains, CURRENT_DATE, XML, JSON, greatest, row comparisons) nobody says.
macro_rules! unstable {
    () => {
        // By splitting the text, which is twenty times as fast as a regular expression.
        concat!(
            "unstable (oid) as materialized (select k.oid from pg_catalog.pg_constraint k \
         cross join lateral pg_catalog.unnest(pg_catalog.string_to_array(k.conbin::text, '{')) n (node) \
         where k.contype = 'c' and k.conrelid >= 16384 and pg_catalog.split_part(n.node, ' ', 1) not in ",
            plain_nodes!(),
            " union select c.oid from (select k.oid, pg_catalog.split_part(f.field, ' ', 1) as kind, \
         pg_catalog.split_part(f.field, ' ', 2) as number from pg_catalog.pg_constraint k \
         cross join lateral pg_catalog.unnest(pg_catalog.string_to_array(k.conbin::text, ' :')) f (field) \
         where k.contype = 'c' and k.conrelid >= 16384 \
         and (f.field like 'opno %' or f.field like 'opfuncid %' or f.field like 'funcid %')) c \
         left join pg_catalog.pg_operator n on c.kind = 'opno' and n.oid::text = c.number \
         left join kin on kin.oid = n.oid left join pg_catalog.pg_operator o on o.oid = coalesce(kin.other, n.oid) \
         join pg_catalog.pg_proc p on p.oid::text = coalesce(o.oprcode::pg_catalog.oid::text, c.number) \
         where p.provolatile <> 'i' or p.oid = 1282)"
        )
    };
}

/// `total (field)`: operators and functions, as the text of a tree names them, that make something of all that they are given:
/// no error of theirs tells anything but that a text is too long for the server. Comparisons, `||` of texts, casts to what
/// holds more, fields of JSON, and what searches of texts are made of (`setweight` is given a letter that is written out).
macro_rules! total {
    () => {
        "total (field) as materialized (select f.field from pg_catalog.pg_proc p \
         left join pg_catalog.pg_operator o on o.oprcode = p.oid and o.oid < 16384 \
         cross join lateral (values ('funcid ' || p.oid), ('opno ' || o.oid)) f (field) \
         where p.oid < 16384 and f.field is not null and (o.oprname in ('=', '<>', '<', '<=', '>', '>=') \
         or p.oid in (313, 481, 754, 1740, 1781, 1782) or (p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace \
         and p.proname in ('textcat', 'lower', 'upper', 'btrim', 'ltrim', 'rtrim', 'text', 'md5', 'to_tsvector', 'setweight', \
         'tsvector_concat', 'json_object_field', 'json_object_field_text', 'jsonb_object_field', \
         'jsonb_object_field_text'))))"
    };
}

/// `locked (relation)`: what somebody else holds or awaits for themselves alone.
macro_rules! locked {
    () => {
        "locked (relation) as materialized (select l.relation from pg_catalog.pg_locks l \
         where l.locktype = 'relation' and l.mode = 'AccessExclusiveLock' \
         and l.pid is distinct from pg_catalog.pg_backend_pid() and l.database = (select d.oid \
         from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()))"
    };
}

/// Whether it puts a range together, or several: nobody but a superuser makes others that are internal, aggregates apart.
macro_rules! constructs {
    ($function:literal) => {
        concat!(
            $function,
            ".prolang = 12 and ",
            $function,
            ".prosrc in ('range_constructor2', 'range_constructor3', 'multirange_constructor0', \
             'multirange_constructor1', 'multirange_constructor2')"
        )
    };
}

/// `computing (oid)`: functions in C of PostgreSQL's own extensions that read nothing but their arguments. An extension's name
/// and the library together say whose they are: only a superuser makes a function in C, and what its owner may change of it
/// besides (SET, SECURITY DEFINER) is looked at. Immutable ones compute, and those that are named make random values or
/// look into a dictionary; some are the server's by other names. None that is given any type there is: it may call what belongs
/// to that. Besides, what CREATE TYPE makes to put ranges together: how bounds compare, only a superuser says; a canonical
/// function is not looked at.
macro_rules! computing {
    () => {
        concat!(
            "computing (oid) as materialized (select p.oid from (values ('citext', 'citext'), ('cube', 'cube'), \
         ('earthdistance', 'earthdistance'), ('fuzzystrmatch', 'fuzzystrmatch'), ('hstore', 'hstore'), ('intarray', '_int'), \
         ('isn', 'isn'), ('ltree', 'ltree'), ('pg_trgm', 'pg_trgm'), ('pgcrypto', 'pgcrypto'), ('seg', 'seg'), \
         ('unaccent', 'unaccent'), ('uuid-ossp', 'uuid-ossp')) k (name, library) \
         join pg_catalog.pg_extension e on e.extname = k.name \
         join pg_catalog.pg_depend d on d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and d.refobjid = e.oid \
         and d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.deptype = 'e' \
         join pg_catalog.pg_proc p on p.oid = d.objid join pg_catalog.pg_language l on l.oid = p.prolang \
         and (l.lanname = 'c' and p.probin in (k.library, '$libdir/' || k.library) or l.lanname = 'internal' and not (",
            constructs!("p"),
            ")) where p.prokind = 'f' and not p.prosecdef and p.proconfig is null and (p.provolatile = 'i' or p.proname in \
         ('gen_random_bytes', 'gen_random_uuid', 'gen_salt', 'pgp_pub_encrypt', 'pgp_pub_encrypt_bytea', 'pgp_sym_encrypt', \
         'pgp_sym_encrypt_bytea', 'unaccent', 'uuid_generate_v1', 'uuid_generate_v1mc', 'uuid_generate_v4')) \
         and not exists (select from pg_catalog.pg_type t where t.typtype = 'p' and (t.oid = any (p.proargtypes::pg_catalog.oid[]) \
         or t.oid = p.prorettype and t.oid <> 'pg_catalog.record'::pg_catalog.regtype)) \
         union all select p.oid from pg_catalog.pg_proc p where p.oid >= 16384 and ",
            constructs!("p"),
            " and not p.prosecdef and p.proconfig is null and not exists (select from pg_catalog.pg_range r \
         where r.rngcanonical::pg_catalog.oid <> 0 and p.prorettype::text in (r.rngtypid::text, pg_catalog.to_jsonb(r) ->> 'rngmultitypid')))"
        )
    };
}

/// `given (classid, objid)`: operators and casts that an extension brings with functions in C of its own. Whoever owns an
/// extension may put others into it: of their own making, or for types of their own. None that takes any type there is.
/// Internal ones are the server's by other names.
macro_rules! given {
    () => {
        concat!(
            "given (classid, objid) as materialized (select d.classid, d.objid from pg_catalog.pg_depend d \
         left join pg_catalog.pg_operator o on o.oid = d.objid and d.classid = 'pg_catalog.pg_operator'::pg_catalog.regclass \
         left join pg_catalog.pg_cast k on k.oid = d.objid and d.classid = 'pg_catalog.pg_cast'::pg_catalog.regclass \
         join pg_catalog.pg_depend f on f.objid = coalesce(o.oprcode::pg_catalog.oid, k.castfunc) \
         and f.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and f.deptype = 'e' \
         and f.refclassid = d.refclassid and f.refobjid = d.refobjid \
         join pg_catalog.pg_proc p on p.oid = f.objid join pg_catalog.pg_language l on l.oid = p.prolang \
         where d.deptype = 'e' and p.prokind = 'f' and l.lanname in ('c', 'internal') and not (",
            constructs!("p"),
            ") and not exists (select from pg_catalog.pg_type t where t.typtype = 'p' \
         and t.oid = any (p.proargtypes::pg_catalog.oid[]) and t.oid <> 'pg_catalog.record'::pg_catalog.regtype) \
         and not exists (select from (select o.oprowner union all select t.typowner from pg_catalog.pg_type t \
         where t.oid in (k.castsource, k.casttarget) and t.oid >= 16384) w (owner) where w.owner <> p.proowner \
         and w.owner not in (select r.oid from pg_catalog.pg_roles r where r.rolsuper)))"
        )
    };
}

/// Whether the expressions of a relation cannot be read for now: newer servers lock it for that.
macro_rules! unreadable {
    ($relation:literal) => {
        concat!(
            "pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 160000 and ",
            $relation,
            " in (select l.relation from locked l)"
        )
    };
}

/// The columns that an expression's tree names, `0` for all of the row; `-` where there is no expression.
macro_rules! tree_columns {
    ($tree:literal) => {
        concat!(
            "case when ",
            $tree,
            " is null then '-' when ",
            $tree,
            "::text like '%:varattno 0 %' then '0' else coalesce((select pg_catalog.string_agg(pg_catalog.split_part(f.field, ' ', 2), ' ') \
             from pg_catalog.unnest(pg_catalog.string_to_array(",
            $tree,
            "::text, ' :')) f (field) where f.field like 'varattno %'), '') end"
        )
    };
}

/// What changes whenever the answer to `functions` does, in the same snapshot: row versions of all that it reads. The same
/// row of the same server has another `xmin` after any change that anybody else could see. By `sha256`, since servers in
/// FIPS mode have no `md5`.
macro_rules! functions_version {
    () => {
        "(select pg_catalog.concat_ws('/', \
         (select pg_catalog.encode(pg_catalog.sha256(pg_catalog.string_agg(p.oid::text || ':' || p.xmin::text, ',' order by p.oid)::bytea), 'hex') from pg_catalog.pg_proc p), \
         (select pg_catalog.encode(pg_catalog.sha256(pg_catalog.string_agg(n.oid::text || ':' || n.xmin::text, ',' order by n.oid)::bytea), 'hex') from pg_catalog.pg_namespace n), \
         (select pg_catalog.encode(pg_catalog.sha256(pg_catalog.string_agg(l.oid::text || ':' || l.xmin::text, ',' order by l.oid)::bytea), 'hex') from pg_catalog.pg_language l)))"
    };
}

/// Columns, in order, as `$name` calls them: those that `$which` leaves.
macro_rules! columns {
    ($name:literal, $which:literal) => {
        concat!(
            "select a.attrelid::text, a.attnum::text, ",
            $name,
            ", a.attnotnull::text, a.atttypid::text || '/' || a.atttypmod \
             from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid \
             where a.attnum > 0 and c.relkind in ('r', 'p', 'f', 'v', 'm', 'S')",
            $which,
            " order by a.attrelid, a.attnum"
        )
    };
}

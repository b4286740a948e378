//! Generated columns as the catalogs of older servers tell of them.

use super::common::snapshot;
use super::{check, database};

/// Up to PostgreSQL 14 it is the column that depends on what it is computed from, and not its expression.
const AS_BEFORE_15: &str = "update pg_depend d set classid = 'pg_class'::regclass, objid = ad.adrelid, objsubid = ad.adnum
    from pg_attrdef ad join pg_attribute a on a.attrelid = ad.adrelid and a.attnum = ad.adnum
    where a.attgenerated <> '' and d.classid = 'pg_attrdef'::regclass and d.objid = ad.oid and d.deptype <> 'i'
    and not (d.refclassid = 'pg_class'::regclass and d.refobjid = ad.adrelid and d.refobjsubid = ad.adnum)";

#[test]
fn a_generated_column_has_the_label_of_what_it_is_computed_from_on_older_servers_too() {
    let (cluster, _) = database("calls.sql");
    cluster
        .load(
            "shop",
            "create table computed (id int, secret text, short text generated always as (left(secret, 1)) stored);
             create function im_eq(int, int) returns boolean language sql immutable as 'select email_of($1) is null';
             create operator <=>> (leftarg = int, rightarg = int, function = im_eq);
             create table by_operator (id int, b boolean generated always as (id <=>> 1) stored)",
        )
        .expect("tables");
    let cases = [
        ("select short from computed", "computed.secret"),
        ("select id from computed", ""),
        ("insert into by_operator (id) values (1)", "people.email"),
    ];
    check(&cases, &snapshot(&cluster, "shop"));
    let changed =
        cluster.psql("shop", &format!("with c as ({AS_BEFORE_15} returning 1) select count(*) from c"));
    assert_eq!(changed.expect("a superuser may").trim(), "3");
    check(&cases, &snapshot(&cluster, "shop"));
}

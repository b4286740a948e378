//! Values of columns that the server's own catalog has: what rows show that are older than ADD COLUMN … DEFAULT.

use super::common::snapshot;
use super::{check, database};

#[test]
fn what_the_catalog_has_of_a_columns_values_is_read_with_it() {
    let (cluster, _) = database("calls.sql");
    let nothing = [("select attmissingval from pg_attribute", ""), ("select a from pg_attribute a", "")];
    check(&nothing, &snapshot(&cluster, "shop"));
    cluster
        .load(
            "shop",
            "alter table plain add secret text default 'AAA';
             create view named as select attrelid, attname from pg_attribute;
             create view shown as select attname, attmissingval::text as m from pg_attribute;
             create view renamed as select z::text as z from pg_attribute a (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z);
             create view whole as select a::text as a from pg_attribute a",
        )
        .expect("a column");
    let told = "set search_path = pg_catalog; select attmissingval from pg_attribute where atthasmissing";
    assert!(cluster.psql("shop", told).expect("the server tells").contains("AAA"));
    let cases = [
        ("select attmissingval from pg_attribute where attrelid = 'plain'::regclass", "plain.secret"),
        ("select a from pg_attribute a", "plain.secret"),
        ("select * from pg_attribute", "plain.secret"),
        ("select 1 from pg_attribute where attmissingval::text like '{A%'", "plain.secret"),
        ("select attname, attnum from pg_catalog.pg_attribute", ""),
        ("select attname from named", ""),
        ("select m from shown", "?"),
        ("select z from renamed", "?"),
        ("select a from whole", "?"),
    ];
    check(&cases, &snapshot(&cluster, "shop"));
}

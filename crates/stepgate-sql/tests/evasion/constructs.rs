//! Constructs that sqlparser has no words for, or words of its own: what each reads, as in `leaks.rs`.

/// Statements, and the labelled columns that they read.
pub(crate) const CONSTRUCTS: &[(&str, &str)] = &[
    // SQL/XML: operands in every place.
    ("select xmlelement(name x, annual_pay) from doctors", "doctors.annual_pay"),
    (
        "select xmlelement(name x, xmlattributes(did, annual_pay as pay), name) from doctors",
        "doctors.annual_pay",
    ),
    ("select xmlforest(did, (select max(iban) from invoices) as i) from doctors", "invoices.iban"),
    ("select xmlconcat(null, xmlpi(name x, iban)) from invoices", "invoices.iban"),
    (
        "select xmlroot(xmlparse(content iban), version no value, standalone yes) from invoices",
        "invoices.iban",
    ),
    ("select xmlserialize(content xmlforest(iban) as text) from invoices", "invoices.iban"),
    ("select xmlserialize(content '<a/>' as \"int\")", "people.email"),
    ("select inv from invoices where xmlparse(content iban) is document", "invoices.iban"),
    ("select inv from invoices where xmlexists('/a' passing by ref xmlparse(content iban))", "invoices.iban"),
    (
        "select * from invoices i, xmltable('/x' passing xmlforest(i.iban) columns a text path '.')",
        "invoices.iban",
    ),
    (
        "select a from xmltable('/x' passing '<x/>' columns a text default (select max(iban) from invoices))",
        "invoices.iban",
    ),
    (
        "select a from doctors d, xmltable('/x' passing '<x/>' columns a text path '@' || d.annual_pay) x",
        "doctors.annual_pay",
    ),
    (
        "select n from xmltable((select iban from invoices limit 1) passing '<x/>' columns n for ordinality)",
        "invoices.iban",
    ),
    (
        "select a from xmltable(xmlnamespaces((select iban from invoices limit 1) as x), '/x' passing '<x/>' columns a text)",
        "invoices.iban",
    ),
    (
        "select (select annual_pay from xmltable('/x' passing '<x/>' columns a text) limit 1) from doctors",
        "doctors.annual_pay",
    ),
    (
        "select (select annual_pay from xmltable('/x' passing '<x/>' columns a text, b int) x(c) limit 1) from doctors",
        "doctors.annual_pay",
    ),
    (
        "select (select annual_pay from xmltable('/x' passing '<x/>' columns annual_pay text) x(c) limit 1) from doctors",
        "doctors.annual_pay",
    ),
    (
        "select (select annual_pay from xmltable('/x' passing '<x/>' columns annual_pay text) limit 1) from doctors",
        "",
    ),
    ("select a from xmltable('/x' passing '<x/>' columns a \"int\")", "people.email"),
    ("select x from v_as_xml", "people.email"),
    ("select town from v_as_xml", ""),
    ("select x from v_serialized", "?"),
    ("select a from v_xmltable", "?"),
    // Joins that name what they merge.
    ("select j.nhs_no from patients join training.patients t using (nhs_no) as j", "patients.nhs_no"),
    ("select j from patients join training.patients t using (nhs_no) as j", "patients.nhs_no"),
    ("select j.* from training.patients t left join patients using (pid, nhs_no) as j", "patients.nhs_no"),
    ("select k.nhs_no from (patients join training.patients t using (nhs_no) as j) as k", "patients.nhs_no"),
    (
        "select (select doctors.annual_pay from visits join invoices using (vid) as doctors limit 1) from doctors",
        "?doctors.annual_pay",
    ),
    (
        "select (select annual_pay from visits join invoices using (vid) as annual_pay limit 1) from doctors",
        "doctors.annual_pay",
    ),
    (
        "select (select x.annual_pay from visits join invoices using (vid) as j limit 1) from doctors x",
        "doctors.annual_pay",
    ),
    ("select 1 from visits join invoices using (vid, \"\u{1}doctors\")", "?"),
    (
        "select (select s.annual_pay from (select j.*, 1 as x from visits join invoices using (vid) as j) s(a, annual_pay) limit 1) from doctors",
        "",
    ),
    (
        "select (select annual_pay from (select j.*, 1 as annual_pay from visits join invoices using (vid) as j) s(a, b) limit 1) from doctors",
        "doctors.annual_pay",
    ),
    (
        "select (select annual_pay from (select *, 1 as annual_pay from (visits join invoices using (vid) as j)) s(a, b, c, d, e, f, g, h, i, j, k, l) limit 1) from doctors",
        "doctors.annual_pay visits.notes invoices.iban",
    ),
    // A join whose alias renames its columns, the merged ones first.
    (
        "select m from (visits v cross join doctors d) as j (a, b, c, d, e, f, g, h, i, k, l, m)",
        "doctors.annual_pay",
    ),
    (
        "select j.a from (visits v cross join doctors d) as j (a, b, c, d, e, f, g, h, i, k, l, m) where m > 3",
        "doctors.annual_pay",
    ),
    ("select j from (doctors join visits using (did)) as j (a)", "doctors.annual_pay visits.notes"),
    (
        "select (select annual_pay from (visits v join invoices i using (vid)) as j (a, b) limit 1) from doctors",
        "doctors.annual_pay",
    ),
    (
        "select (select annual_pay from (visits v join invoices i using (vid)) as j (a, annual_pay) limit 1) from doctors",
        "",
    ),
    (
        "select (select annual_pay from (visits v cross join unnest(array[1]) u) as j (x) limit 1) from doctors",
        "?doctors.annual_pay",
    ),
    // A recursive view, and EXPLAIN of what would make a table.
    (
        "create recursive view x (n, m) as select did, annual_pay from doctors union all select n + 1, m from x where n < 3",
        "doctors.annual_pay",
    ),
    (
        "create recursive view x (annual_pay) as select did from doctors union all select did from doctors, x where doctors.annual_pay > 1",
        "doctors.annual_pay",
    ),
    ("explain create table x as select annual_pay from doctors with no data", "doctors.annual_pay"),
    ("explain analyze create table x as select annual_pay from doctors", "doctors.annual_pay"),
    ("explain analyze create temp table x as execute p", "?"),
    ("explain analyze select annual_pay into temp x from doctors", "doctors.annual_pay"),
    // Several functions side by side.
    (
        "select x.v from invoices i, rows from (unnest(array[i.iban]), generate_series(1, 2)) as x(v, n)",
        "invoices.iban",
    ),
    ("select * from rows from (generate_series(1, 2), patient_mobile(3)) with ordinality", "patients.mobile"),
    (
        "select (select annual_pay from rows from (generate_series(1, 2)) as x(a) limit 1) from doctors",
        "doctors.annual_pay",
    ),
    ("select * from rows from (json_to_record('{}') as (a int, b \"int\")) x", "people.email"),
    (
        "select * from rows from (json_to_recordset((select json_agg(d) from doctors d)) as (did int)) x",
        "doctors.annual_pay",
    ),
    ("select rows from (select annual_pay as rows from doctors) x", "doctors.annual_pay"),
    (
        "select rows.did from doctors, rows from (generate_series(1, annual_pay::int)) as rows(did)",
        "doctors.annual_pay",
    ),
    ("select * from \"\u{1}rows\"(1)", "?"),
    (
        "select * from json_to_record((select to_json(d) from doctors d limit 1)) as (did int)",
        "doctors.annual_pay",
    ),
    // SEARCH and CYCLE add columns, and no others.
    (
        "with recursive t(n) as (select did from doctors union all select n + 1 from t where n < 3) search depth first by n set annual_pay select (select annual_pay from t limit 1) from doctors",
        "",
    ),
    (
        "with recursive t(n) as (select did from doctors union all select n + 1 from t where n < 3) search breadth first by n set o select (select annual_pay from t limit 1) from doctors",
        "doctors.annual_pay",
    ),
    (
        "with recursive t(n) as (select 1 union all select n + 1 from t, doctors where annual_pay > n) cycle n set c using p select c, p from t",
        "doctors.annual_pay",
    ),
    (
        "with recursive t(n) as (select 1 union all select d.annual_pay::int from t, doctors d where n < 3) cycle n set annual_pay using p select n from t",
        "doctors.annual_pay",
    ),
    (
        "with recursive t(n) as (select 1 union all select n + 1 from t where n < 3) cycle n set c to \"int\" 'x' default 'y' using p select n from t",
        "?",
    ),
    // Assignments to parts, which have expressions of their own.
    ("update arrs set a[(select max(annual_pay)::int from doctors)] = 1", "doctors.annual_pay"),
    (
        "update arrs set b[1:(select max(annual_pay)::int from doctors)] = '{1}' where id = 1",
        "doctors.annual_pay",
    ),
    ("update arrs set a[1][id] = (select length(iban) from invoices limit 1), p.b = 'x'", "invoices.iban"),
    ("insert into arrs (id, a[(select max(annual_pay)::int from doctors)]) values (1, 1)", "?"),
    (
        "insert into arrs (id) values (1) on conflict (id) do update set a[(select max(annual_pay)::int from doctors)] = excluded.id",
        "doctors.annual_pay",
    ),
    // What ON CONFLICT looks for.
    (
        "insert into doctors (did) values (1) on conflict (did) where annual_pay > 5 do nothing",
        "doctors.annual_pay",
    ),
    (
        "insert into keyed (id) values (1) on conflict (lower(secret) text_pattern_ops, abs(id)) where town is not null do nothing",
        "keyed.secret",
    ),
    ("insert into pairs (id) values (1) on conflict ((select 1)) do nothing", "?"),
    ("insert into pairs (id) values (1) on conflict (id) where pairs is not null do nothing", "?"),
    ("insert into pairs (id) values (1) on conflict (id) where pairs.* is not null do nothing", "?"),
    (
        "insert into people (id) values (1) on conflict (id) where town is not null do update set town = excluded.email returning town",
        "people.email",
    ),
    (
        "insert into doctors (did) values (1) on conflict on constraint doctors_pkey do update set name = doctors.annual_pay::text where excluded.did > 0 returning did",
        "doctors.annual_pay",
    ),
    // A function to this server, grammar to the next.
    ("select json_scalar(1)", "people.email"),
    // The current row of a cursor.
    ("update visits set kind = 'x' where current of somebodys", "?"),
    (
        "declare c cursor for select did from doctors for update; delete from doctors where current of c returning annual_pay",
        "doctors.annual_pay",
    ),
    (
        "declare c cursor for select query_to_xml('x', true, true, '') from doctors for update; delete from doctors where current of c",
        "?",
    ),
    ("declare d cursor for select did from doctors for update; delete from doctors where current of c", "?"),
    (
        "declare c cursor for select did from doctors for update; update doctors set name = query_to_xml('x', true, true, '')::text where current of c",
        "?",
    ),
    // Odds and ends of the grammar.
    ("select annual_pay::text collate \"C\" from doctors", "doctors.annual_pay"),
    ("select did from doctors where (array[annual_pay])[1]::text collate \"C\" > 'x'", "doctors.annual_pay"),
    (
        "select did from doctors where annual_pay operator(pg_catalog.=) any (array[1, 2])",
        "doctors.annual_pay",
    ),
    ("select inv from invoices where iban not like all (select 'GB%')", "invoices.iban"),
    (
        "select count(*) from doctors group by grouping sets (rollup (did, annual_pay), ())",
        "doctors.annual_pay",
    ),
    (
        "select annual_pay as x, count(*) from doctors group by grouping sets (cube (x), grouping sets (did, ()))",
        "doctors.annual_pay",
    ),
    (
        "select (select count(*) from (select 1 as x) s group by grouping sets (rollup (x, annual_pay))) from doctors",
        "doctors.annual_pay",
    ),
    ("select trim(leading from iban), trim(from iban) from invoices", "invoices.iban"),
    ("select normalize(iban, nfc) from invoices where iban is not nfc normalized", "invoices.iban"),
    (
        "select sum(did) over (order by annual_pay range between '1' preceding and current row) from doctors",
        "doctors.annual_pay",
    ),
    ("select written(n => 1), twice(n := 2)", "people.email"),
    ("select by_default(n := 'x')", "people.email"),
    ("select * from json_populate_recordset(null::doctors, '[]')", "?"),
    ("set standard_conforming_strings = off", "?"),
    ("set standard_conforming_strings to default", "?"),
    ("set client_encoding = 'SJIS'", "?"),
    ("set names 'gbk'", "?"),
    ("set search_path = training; select nhs_no from patients", "?"),
    ("begin; rollback; select nhs_no from training.patients", "?"),
    ("create table x (a int check (email_of(a) is null))", "?"),
    ("select inet '1.1.1.1', annual_pay from doctors", "doctors.annual_pay"),
    ("select 'a'\n'b', annual_pay from doctors", "doctors.annual_pay"),
    ("select d.annual_pay from doctors tablesample system (10) d", "?"),
    ("select annual_pay from doctors for update", "doctors.annual_pay"),
    ("select id from guarded", "people.email"),
    ("select 1 where 'x'::\"int\" is null", "people.email"),
    ("select \"int\" 'x'", "people.email"),
    ("select did from doctors where 1 === 1", "people.email"),
    ("select ceil(d) from doctors d", "doctors.annual_pay"),
    ("select from doctors where annual_pay > 7", "doctors.annual_pay"),
    (
        "insert into guarded default values returning (select iban from invoices limit 1)",
        "invoices.iban people.email",
    ),
    ("select * from (table doctors) d", "doctors.annual_pay"),
    ("select x.* from (doctors d join visits v using (did)) x", "doctors.annual_pay visits.notes"),
    (
        "select string_agg(x, '') from regexp_split_to_table((select iban from invoices limit 1), '') as x",
        "invoices.iban",
    ),
    ("select generate_series(1, (select max(annual_pay)::int from doctors))", "doctors.annual_pay"),
    ("select did from doctors limit (select 1 from invoices where iban like 'GB%' limit 1)", "invoices.iban"),
    ("select name from doctors where (did, annual_pay) > (1, 2)", "doctors.annual_pay"),
    ("select array(select annual_pay from doctors)", "doctors.annual_pay"),
    ("select (array(select annual_pay from doctors))[1]", "doctors.annual_pay"),
    ("select p.\"email\" collate \"C\" from people p", "people.email"),
    // Names that a subquery does not have after all reach the table outside.
    (
        "select (select annual_pay from (select ((p)).* as annual_pay from (select 1 as a) p) q) from doctors",
        "doctors.annual_pay",
    ),
    (
        "select (select annual_pay from (select ((p)).* annual_pay from (select 1 as a) p) q) from doctors",
        "doctors.annual_pay",
    ),
    (
        "select (select annual_pay from (select ((p)).*, 1 as annual_pay from (select from (select 1) o) p) q(y)) from doctors",
        "doctors.annual_pay",
    ),
    (
        "select (select annual_pay from (select * from (select 1::int, 2 as annual_pay) l join (select 1 as int4, 3 as b) r using (int4)) q(w, x)) from doctors",
        "doctors.annual_pay",
    ),
    (
        "select (select column2 from (select p, (select column2 from (values (((p)).*, 1)) q(y)) from (select from (select 1) o) p) r) from (select annual_pay as column2 from doctors) d",
        "doctors.annual_pay",
    ),
    (
        "with current_date as (select 1 as annual_pay) select (select annual_pay from current_date) from doctors",
        "?",
    ),
    (
        "with \"user\" as (select 1 as annual_pay) select (select annual_pay from user) from doctors",
        "doctors.annual_pay",
    ),
    ("select (select trim.annual_pay from trim('x')) from doctors as trim", "?"),
    // Whole rows as values.
    ("select (p.*)::text from people p", "people.email"),
    ("select count(*) from people p where p.*::text like '%x%'", "people.email"),
    ("select p.* is null, p.* = q.* from people p, people q", "people.email"),
    ("select (p.*).email from people p", "people.email"),
    ("select (p).email from people p", "people.email"),
    ("select row(p.*), (p.*, 1), array[p.*], coalesce(p.*, null) from people p", "people.email"),
    ("select public.people.*::text from public.people", "people.email"),
    ("select v.* from people p, lateral (values (p.*)) v", "people.email"),
    ("select column2 from people p, lateral (values (p.*)) v", "people.email"),
    (
        "select (select annual_pay from (values (x.*, 1)) v (a)) from (select from held) x, doctors",
        "doctors.annual_pay",
    ),
    (
        "select (select annual_pay from (select (x.*), 1 as b from (select from held) x) v (a)) from doctors",
        "doctors.annual_pay",
    ),
    ("select 1 from held h where (h.*)::text in (select p.*::text from people p)", "people.email"),
    ("select id from held h order by (select p.*::text from people p limit 1)", "people.email"),
    ("insert into pairs values (1, (select p.*::text from people p limit 1))", "people.email"),
    ("select x.*::text from (select 1 as a, annual_pay from doctors) x", "doctors.annual_pay"),
    ("select to_jsonb(p.*) - 'email', row_to_json((p.*)) from people p", "people.email"),
    // The old star of a table, and an alias after it.
    ("select email from people * p", "people.email"),
    (
        "select p.email from held h join public.people * as p on true, holding * \"H\", held * k",
        "people.email",
    ),
    ("select pg_typeof(id * badge::int) from nurses * n", "staff.badge"),
    ("delete from holding * h using people * p where h.id = length(p.email)", "people.email"),
    // Queries that are values.
    ("select did from doctors where name = any (values ('x'), (annual_pay::text))", "doctors.annual_pay"),
    (
        "select (values (annual_pay)), coalesce((values (iban)), 'x') from doctors, invoices",
        "doctors.annual_pay invoices.iban",
    ),
    ("select ((select email from people limit 1) union (select 'x'))", "people.email"),
    ("select ((select email from people) order by 1 limit 1), ((table held) limit 1)", "people.email"),
    ("select case when true then ((select 'x') except (select email from people)) end", "people.email"),
    ("select 1 = all (((select 1)) union all (select length(email) from people))", "people.email"),
    (
        "select (with x as (select 1) (select iban from invoices limit 1) union (select 'x')), (values ((select annual_pay from doctors limit 1)))",
        "invoices.iban doctors.annual_pay",
    ),
    // Any operator before ANY and ALL.
    (
        "select did from doctors where to_tsvector(name) @@ any (select annual_pay::text::tsquery from doctors)",
        "doctors.annual_pay",
    ),
    ("select did from doctors where name ^@ all (array[annual_pay::text])", "doctors.annual_pay"),
    ("select did from doctors where to_jsonb(annual_pay) <@ some (array['1'::jsonb])", "doctors.annual_pay"),
    (
        "select did from doctors where name ^@ any ((select email from people) union (select 'x'))",
        "people.email",
    ),
    (
        "select did from doctors where name ^@ any (values ('x'), ((select email from people limit 1)))",
        "people.email",
    ),
    ("select did from doctors where 1 === any (select 1)", "people.email"),
    ("select did from doctors where 1 === any (array[1])", "people.email"),
    (
        "select did from doctors where name operator(pg_catalog.^@) any (select email from people)",
        "people.email",
    ),
    // How many rows, and which.
    (
        "select did from doctors order by did fetch first ((select max(annual_pay) from doctors)) rows with ties",
        "doctors.annual_pay",
    ),
    ("select did from doctors order by annual_pay fetch first (1) rows with ties", "doctors.annual_pay"),
    (
        "select did from doctors order by 1 fetch next (1 + length((select email from people limit 1))) row only",
        "people.email",
    ),
    (
        "select did from doctors tablesample bernoulli (10) repeatable ((select annual_pay from doctors limit 1))",
        "doctors.annual_pay",
    ),
    (
        "select did from doctors tablesample system ((select 10 from people where email > 'x')) repeatable (1 + 1)",
        "people.email",
    ),
    ("select treat(annual_pay as int), treat(name as text) from doctors", "doctors.annual_pay"),
    ("select treat((select email from people limit 1) as pg_catalog.name)", "people.email"),
    ("select name from doctors where annual_pay::text = N'x' or name = n'y'", "doctors.annual_pay"),
    ("select - - annual_pay, + - did, - - - did from doctors", "doctors.annual_pay"),
    (
        "select - - - pay_grade ^ 2, @ -did, - @ did, ~ -did, |/ -did from doctors where - -annual_pay = - -5 -- - -name",
        "doctors.annual_pay",
    ),
    // Queries in brackets that are stored.
    ("insert into pairs ((select 1, email from people) union (select 2, 'x'))", "people.email"),
    ("insert into pairs (((select 1, email as e from people limit 1)))", "people.email"),
    (
        "insert into pairs as x (values (1, (select email from people limit 1))) on conflict do nothing",
        "people.email",
    ),
    (
        "insert into pairs (id, grantee) ((values (1, 'x')) union all (table pairs)) returning (select iban from invoices limit 1)",
        "pairs.grantee invoices.iban",
    ),
    // Functions without brackets.
    (
        "select (select annual_pay from current_user as x (y)), (select iban from session_user) from doctors, invoices",
        "doctors.annual_pay invoices.iban",
    ),
    ("select (select iban from localtime as iban) from invoices", ""),
    // Rows that are assigned to elements.
    (
        "update arrs set (a[1], b[2:3]) = row((select max(annual_pay)::int from doctors), '{1}') where id = 1",
        "doctors.annual_pay",
    ),
    ("update arrs set (a[1], a[2]) = (select length(email), 1 from people limit 1)", "people.email"),
    ("update arrs set (a[(select max(annual_pay)::int from doctors)], b) = (1, '{}')", "?"),
    ("select ceil.ceil from unnest(array(select d from doctors d)) ceil", "?"),
];

/// The same of what PostgreSQL 15 does not take, so that it cannot judge.
pub(crate) const UNJUDGED: &[(&str, &str)] = &[
    ("select inv from invoices where iban is not json object with unique keys", "invoices.iban"),
    ("select annual_pay at local from doctors", "doctors.annual_pay"),
    (
        "select json_object('a': iban, 'b' value 1 null on null returning jsonb) from invoices",
        "invoices.iban",
    ),
    ("select json_object(iban: 1 absent on null with unique keys) from invoices", "invoices.iban"),
    ("select json_array(1, iban format json) from invoices", "invoices.iban"),
    ("select json_array(select iban from invoices returning text)", "invoices.iban"),
    ("select json_objectagg(vid: iban) filter (where amount > 1) from invoices", "invoices.iban"),
    ("select json_arrayagg(vid order by iban) from invoices", "invoices.iban"),
    (
        "select json_arrayagg(vid returning jsonb) filter (where iban > 'a') over (partition by paid) from invoices",
        "invoices.iban",
    ),
    ("select json_value(iban, '$.a' returning int) from invoices", "invoices.iban"),
    ("select json_exists('{}', '$.a' passing iban as x unknown on error) from invoices", "invoices.iban"),
    (
        "select json_query('{}', '$.a' with conditional array wrapper keep quotes on scalar string) from invoices",
        "",
    ),
    ("select json_value('{}', '$.a' returning text default iban on empty) from invoices", "invoices.iban"),
    (
        "select json_value('{}', '$.a' null on empty default (select max(iban) from invoices) on error)",
        "invoices.iban",
    ),
    ("select json_value('{}', '$.a' returning \"int\")", "people.email"),
    ("select json(iban with unique keys), json_serialize(1 returning bytea) from invoices", "invoices.iban"),
    ("select a from invoices i, json_table(i.iban, '$' columns (a int path '$.a')) t", "invoices.iban"),
    (
        "select a from invoices i, json_table('{}', '$' as p passing i.iban as x columns (a int, n for ordinality)) t",
        "invoices.iban",
    ),
    (
        "select a from json_table('{}', '$' columns (a text path '$.a' default (select max(iban) from invoices) on empty) error on error) t",
        "invoices.iban",
    ),
    (
        "select (select annual_pay from json_table('{}', '$' columns (a int exists path '$.a', b text format json)) t(x) limit 1) from doctors",
        "doctors.annual_pay",
    ),
    (
        "select (select annual_pay from json_table('{}', '$' columns (annual_pay int)) limit 1) from doctors",
        "",
    ),
    ("select a from json_table('{}', '$' columns (a \"int\"))", "people.email"),
    ("select a from json_table('{}', '$' columns (nested path '$' columns (a int)))", ""),
    ("select a from json_table('{}', '$' columns (nested path '$' columns (a \"int\")))", "people.email"),
    (
        "select b from invoices i, json_table(i.iban, '$' columns (a int, nested '$.b[*]' as n columns (b text)))",
        "invoices.iban",
    ),
    (
        "select b from json_table('{}', '$' columns (nested '$.b' columns (b text default (select max(iban) from invoices) on empty)))",
        "invoices.iban",
    ),
    // Nested columns come after those beside them: `n` renames `a`, not `annual_pay`.
    (
        "select (select annual_pay from json_table('{}', '$' columns (nested '$.b' columns (annual_pay int), a int)) as t (n)) from doctors",
        "",
    ),
    (
        "select (select annual_pay from json_table('{}', '$' columns (nested '$.b' columns (annual_pay int), a int)) as t (n, m)) from doctors",
        "doctors.annual_pay",
    ),
    ("select json_arrayagg(did order by name returning text) from doctors", ""),
    ("select json_arrayagg(vid order by iban returning text) from invoices", "invoices.iban"),
    (
        "select json_arrayagg(iban order by vid, amount desc absent on null returning jsonb) filter (where paid) from invoices",
        "invoices.iban",
    ),
    ("select annual_pay from system_user, doctors", "?"),
    ("select extract(year from pay_grade * annual_pay) from doctors", "doctors.annual_pay"),
    ("insert into pairs (id) values (1) on conflict (email_of(1)) do nothing", "people.email"),
    (
        "merge into doctors using (values (1)) s(x) on did = x when matched then delete returning annual_pay",
        "doctors.annual_pay",
    ),
];

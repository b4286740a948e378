//! Ways round a reader of SQL, against a real catalog: each must be seen through or be unknown.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::format_push_string,
    reason = "a test"
)]

mod common;

use std::collections::BTreeSet;

use common::{everything, facts, risky, rows, touched};
use stepgate_sql::Catalog;
use stepgate_types::{Certainty, Kind};

const PATIENTS: &str = "patients.birth patients.family_name patients.given_name patients.mobile patients.nhs_no patients.postcode";

/// SQL, and the mapped columns it touches (`public.` left out); `?` where unknown is right.
const LEAKS: &[(&str, &str)] = &[
    // Whole rows.
    ("select p from patients p", PATIENTS),
    ("select patients from patients", PATIENTS),
    ("select patients.* from patients", PATIENTS),
    ("select public.patients.* from public.patients", PATIENTS),
    ("select (p).nhs_no from patients p", PATIENTS),
    (
        "select (p).* from patients p",
        "patients.birth patients.family_name patients.given_name patients.mobile patients.nhs_no patients.postcode",
    ),
    ("select row(p.*) from patients p", PATIENTS),
    ("select p.*::text from patients p", "?"),
    ("select to_jsonb(p) ->> 'nhs_no' from patients p", PATIENTS),
    ("select json_agg(p) from patients p", PATIENTS),
    ("select array_agg(p)::text from patients p", PATIENTS),
    ("select string_agg(p::text, ',') from patients p", PATIENTS),
    ("select count(p.*) from patients p where p is not null", PATIENTS),
    ("select (select p) from patients p", PATIENTS),
    ("select s from (select d from doctors d) s", "doctors.annual_pay"),
    ("select s.d from (select d from doctors d) s", "doctors.annual_pay"),
    ("select coalesce(d, d)::text from doctors d", "doctors.annual_pay"),
    ("select format('%s', d) from doctors d", "doctors.annual_pay"),
    ("select d is distinct from d from doctors d", "doctors.annual_pay"),
    ("select a.annual_pay from doctors a tablesample bernoulli (50) repeatable (3)", "doctors.annual_pay"),
    (
        "select vid from visits tablesample system ((select max(annual_pay) from doctors))",
        "doctors.annual_pay",
    ),
    ("select z from doctors sample (s, n, x, y, z)", "doctors.annual_pay"),
    // A literal that goes on after a newline keeps the quoting of its first part (scan.l, `quotecontinue`).
    ("select E'a'\n'\\' ', annual_pay::text, '--'\n from doctors", "?"),
    ("select E'a' -- x\n  '\\' ', annual_pay::text, '--'\n from doctors", "?"),
    ("set application_name = E'a'\n'\\' '; select annual_pay from doctors; --'", "?"),
    ("select U&'a'\n'\\0062', annual_pay from doctors", "?"),
    ("select x from unnest(array(select d from doctors d)) x", "doctors.annual_pay"),
    ("select x.annual_pay from doctors d, lateral (select d.*) x", "doctors.annual_pay"),
    ("select 1 from doctors d, lateral (select d) x where x::text like '%6%'", "doctors.annual_pay"),
    ("select e from doctors d, jsonb_each(to_jsonb(d)) e", "doctors.annual_pay"),
    ("select key, value from doctors d, jsonb_each_text(to_jsonb(d))", "doctors.annual_pay"),
    // Functions as columns and columns as functions.
    ("select nhs_no(p) from patients p", "?"),
    ("select annual_pay(doctors) from doctors", "?"),
    ("select p.town from people p", ""),
    ("select p.email_of from people p", "?"),
    ("select (1).email_of", "people.email"),
    ("select email_of(1)", "people.email"),
    ("select public.email_of(1)", "people.email"),
    ("select * from email_of(1)", "people.email"),
    ("select * from patient_mobile(3)", "patients.mobile"),
    ("select max(patient_mobile(pid)) from visits", "patients.mobile"),
    ("select ('select 1'::text).query_to_xml", "?"),
    // Joins.
    ("select 1 from patients join training.patients t using (nhs_no)", "patients.nhs_no"),
    ("select nhs_no from patients join training.patients t using (nhs_no)", "patients.nhs_no"),
    ("select nhs_no from training.patients t full join patients using (nhs_no)", "patients.nhs_no"),
    ("select 1 from patients natural join training.patients t", "patients.nhs_no"),
    ("select j.nhs_no from (patients a join visits b using (pid)) as j", "patients.nhs_no"),
    ("select j from (doctors a join visits b using (did)) as j", "doctors.annual_pay visits.notes"),
    ("select d.did from doctors d join doctors e on d.annual_pay > e.annual_pay", "doctors.annual_pay"),
    (
        "select v.vid from visits v cross join lateral (select p.mobile from patients p where p.pid = v.pid) m",
        "patients.mobile",
    ),
    ("select x.a from patients as x(a, b, c, d)", ""),
    ("select x.d from patients as x(a, b, c, d)", "patients.nhs_no"),
    ("select d from patients as x(a, b, c, d)", "patients.nhs_no"),
    // Scopes.
    ("select (select birth) from patients", "patients.birth"),
    ("select pid from patients where exists (select 1 from visits where kind = mobile)", "patients.mobile"),
    ("select (select nhs_no from (select lower('a')) s) from patients", "patients.nhs_no"),
    ("select (select nhs_no from (select 1 + 1) s) from patients", "patients.nhs_no"),
    (
        "select (select t.nhs_no from (select 1 as nhs_no) s, (select nhs_no) t) from patients",
        "patients.nhs_no",
    ),
    ("select (select t.nhs_no from (select 1 as nhs_no) s, lateral (select nhs_no) t) from patients", ""),
    (
        "select (select 1 from (select 1 as nhs_no) s, visits v join doctors d on nhs_no = v.kind limit 1) from patients",
        "patients.nhs_no",
    ),
    ("select (select nhs_no from (select case when true then 1 end) s) from patients", "patients.nhs_no"),
    ("select (select nhs_no from (select 1 as x) s, (select nhs_no) t) from patients", "patients.nhs_no"),
    ("select (select nhs_no from unnest(array[1]) u) from patients", "patients.nhs_no"),
    ("with p as (select * from patients) select pid from p", PATIENTS),
    ("with patients as (select * from patients) select nhs_no from patients", PATIENTS),
    ("with a as (with b as (select iban from invoices) select * from b) select 1 from a", "invoices.iban"),
    ("with doctors as (select 1 as did) select annual_pay from public.doctors", "doctors.annual_pay"),
    (
        "with recursive t(n) as (select 1 union all select n + 1 from t, doctors where annual_pay > n and n < 3) select * from t",
        "doctors.annual_pay",
    ),
    ("with recursive a as (select x from customers), customers as (select 1 as x) select * from a", "?"),
    ("select s.x from (select annual_pay from doctors) as s(x)", "doctors.annual_pay"),
    ("select 1 from (select annual_pay from doctors) s", "doctors.annual_pay"),
    ("select * from (values ((select iban from invoices limit 1))) v", "invoices.iban"),
    // Everywhere in a query.
    ("select did from doctors order by annual_pay", "doctors.annual_pay"),
    ("select did, annual_pay a from doctors order by 2", "doctors.annual_pay"),
    ("select did from doctors group by did, annual_pay", "doctors.annual_pay"),
    ("select annual_pay > 7 as rich, count(*) from doctors group by rich", "doctors.annual_pay"),
    ("select count(*) from doctors having max(annual_pay) > 7", "doctors.annual_pay"),
    ("select distinct on (annual_pay) did from doctors", "doctors.annual_pay"),
    ("select count(*) filter (where annual_pay > 7) from doctors", "doctors.annual_pay"),
    ("select array_agg(did order by annual_pay) from doctors", "doctors.annual_pay"),
    ("select percentile_cont(0.5) within group (order by annual_pay) from doctors", "doctors.annual_pay"),
    ("select rank() over w from doctors window w as (partition by annual_pay)", "doctors.annual_pay"),
    (
        "select sum(did) over (order by did rows between (select max(annual_pay)::int from doctors) preceding and current row) from doctors",
        "doctors.annual_pay",
    ),
    ("select vid from visits offset (select length(iban) from invoices limit 1)", "invoices.iban"),
    (
        "select vid from visits fetch first (select 1 from invoices where iban > 'a' limit 1) rows only",
        "?invoices.iban",
    ),
    ("select case when annual_pay > 7 then 1 end from doctors", "doctors.annual_pay"),
    ("select vid = any(array(select annual_pay::int from doctors)) from visits", "doctors.annual_pay"),
    ("select 1 where (1, 'x') in (select did, annual_pay::text from doctors)", "doctors.annual_pay"),
    ("select 1 where row(1, 2) = (select did, annual_pay from doctors limit 1)", "doctors.annual_pay"),
    ("select grouping(annual_pay) from doctors group by rollup (annual_pay)", "doctors.annual_pay"),
    ("select did from doctors except select annual_pay::int from doctors", "doctors.annual_pay"),
    (
        "(select did from doctors) union all (select annual_pay::int from doctors) order by 1",
        "doctors.annual_pay",
    ),
    ("select did from doctors where annual_pay between 1 and 2 or annual_pay is null", "doctors.annual_pay"),
    ("select substring(iban from 1 for 2), position('x' in iban), trim(iban) from invoices", "invoices.iban"),
    ("select 1 / (annual_pay - 7)::int from doctors", "doctors.annual_pay"),
    ("table patients", PATIENTS),
    ("select 1, 'a', 'b', 2, 3 union table doctors", "doctors.annual_pay"),
    ("select U&\"annual\\005Fpay\" from doctors", "doctors.annual_pay"),
    ("select ssn isnull from doctors", "?"),
    // Names.
    ("SELECT ANNUAL_PAY FROM DOCTORS", "doctors.annual_pay"),
    ("select \"annual_pay\" from \"public\".\"doctors\"", "doctors.annual_pay"),
    ("select \"Referral\".\"Letter\" from \"Referral\"", "Referral.Letter"),
    ("select letter from referral", "?"),
    ("select annual_pay/**/from/* /* nested */ */doctors--x", "doctors.annual_pay"),
    ("select 1 --x\r, annual_pay from doctors", "doctors.annual_pay"),
    ("select $$ -- $$, annual_pay from doctors", "doctors.annual_pay"),
    ("select 'x\\', annual_pay, '' from doctors", "doctors.annual_pay"),
    ("select E'\\' from products --', annual_pay from doctors", "doctors.annual_pay"),
    ("select 1 as \"from\", annual_pay from doctors", "doctors.annual_pay"),
    ("select annual_pay\u{a0}from doctors", "?"),
    ("select clinic.public.doctors.annual_pay from clinic.public.doctors", "?"),
    ("select annual_pay from pg_temp.doctors", "?"),
    ("select semi.annual_pay from doctors semi", "?doctors.annual_pay"),
    // Views, children, generated columns, materialised views.
    ("select j from v_whole", "people.email"),
    ("select town, mail_domain from v_star", "people.email"),
    ("select * from v_stats", "?"),
    ("select * from v_xml", "?"),
    ("select email from mv_people", "people.email"),
    ("select mail_domain from people", "people.email"),
    ("select ip_addr from visits_log_2024", "visits_log.ip_addr"),
    ("select badge from nurses", "staff.badge"),
    ("select * from only staff", "staff.badge"),
    // Copies and writes.
    ("copy doctors (did, annual_pay) to stdout", "doctors.annual_pay"),
    ("copy (table doctors) to stdout", "doctors.annual_pay"),
    ("copy doctors to '/tmp/x'", "?doctors.annual_pay"),
    ("copy doctors to program 'cat'", "?doctors.annual_pay"),
    ("copy doctors from program 'cat'", "?"),
    ("create table t2 as select annual_pay from doctors", "doctors.annual_pay"),
    (
        "create temp table if not exists t2 (a) as (select annual_pay from doctors) with no data",
        "doctors.annual_pay",
    ),
    ("select annual_pay into t2 from doctors", "doctors.annual_pay"),
    ("select into t2 from doctors", "?"),
    ("create view v2 as select annual_pay from doctors", "doctors.annual_pay"),
    ("create or replace temporary view v2 (a) as select annual_pay from doctors", "doctors.annual_pay"),
    ("create materialized view m2 as select annual_pay from doctors", "doctors.annual_pay"),
    ("create function f2() returns numeric language sql as 'select annual_pay from doctors'", "?"),
    ("create index on doctors ((1 / (annual_pay - 7)))", "doctors.annual_pay"),
    ("create index on visits (vid) where exists (select 1 from doctors)", "?"),
    (
        "merge into visits v using doctors d on d.did = v.did when matched then update set kind = d.annual_pay::text",
        "doctors.annual_pay visits.notes",
    ),
    (
        "merge into visits v using visits w on w.vid = v.vid when matched and exists (select 1 from invoices where iban like 'GB%') then delete",
        "invoices.iban",
    ),
    (
        "merge into invoices i using (values ('GB1')) s(x) on i.iban = s.x when matched then do nothing",
        "invoices.iban",
    ),
    (
        "merge into people p using (values (1, 'x@y')) s(id, e) on p.id = s.id when not matched then insert (id, email) values (s.id, s.e)",
        "people.email",
    ),
    (
        "merge into doctors using (values (1)) s(x) on true when matched then update set did = null",
        "doctors.annual_pay",
    ),
    ("listen told_by_a_trigger", "?"),
    ("select * from pg_stat_activity", "?"),
    ("select a from pg_stat_activity a", "?"),
    ("select pid from pg_stat_activity where query like '%GB%'", "?"),
    ("select subconninfo from pg_subscription", "?"),
    ("select set_config(name, 'none', false) from pg_settings where name = 'role'", "?"),
    (
        "select set_config(name, 'off', false) from pg_settings where name <> 'standard_conforming_strings'",
        "?",
    ),
    ("select (d).* from doctors d", "doctors.annual_pay"),
    ("select (select d from doctors d limit 1).*", "doctors.annual_pay"),
    ("select ((select d from doctors d limit 1)).*", "doctors.annual_pay"),
    ("select concat(variadic array[annual_pay::text]) from doctors", "doctors.annual_pay"),
    ("select did from doctors where 3 between symmetric annual_pay and 5", "doctors.annual_pay"),
    ("select count(*) from doctors group by distinct annual_pay", "doctors.annual_pay"),
    ("select did from doctors where annual_pay::text like any (array['1%'])", "doctors.annual_pay"),
    (
        "insert into visits overriding user value select did, null, null, annual_pay::text from doctors",
        "doctors.annual_pay",
    ),
    (
        "update visits set kind = 'x' where vid = 1 returning (select annual_pay from doctors limit 1)",
        "doctors.annual_pay",
    ),
    ("alter table doctors add check (annual_pay > 50000)", "doctors.annual_pay"),
    ("alter table doctors add check (doctors is not null)", "?"),
    ("alter table doctors alter annual_pay type text using annual_pay || ''", "doctors.annual_pay"),
    ("alter table doctors alter did type text using query_to_xml('select 1', true, false, '')::text", "?"),
    ("alter table doctors alter annual_pay set not null", "doctors.annual_pay"),
    ("alter table invoices add constraint u unique (iban)", "invoices.iban"),
    ("alter table visits add foreign key (kind) references invoices (iban)", "invoices.iban"),
    ("alter table visits add foreign key (vid) references invoices", "?"),
    ("alter table doctors rename annual_pay to x", "?"),
    ("alter table doctors rename to x", "?"),
    ("alter table doctors set schema training", "?"),
    ("alter table doctors inherit visits", "?"),
    ("alter table doctors alter did drop expression", "?"),
    ("alter table doctors validate constraint c", "?"),
    ("alter table visits add column x int default (select 1)", "?"),
    ("create table x (a int check (query_to_xml('select 1', true, false, '') is null))", "?"),
    ("create table x (a int generated always as (ward_size('a')) stored)", "?"),
    ("create rule r as on select to visits do instead select 1", "?"),
    ("create unique index on invoices (iban)", "invoices.iban"),
    ("create index on patients using btree (ward, nhs_no)", "patients.nhs_no"),
    ("alter table doctors rename column annual_pay to x", "?"),
    ("alter table doctors alter annual_pay type text using raise(annual_pay)", "?"),
    ("insert into training.patients select pid, mobile, '' from patients", "patients.mobile"),
    ("insert into training.patients values (1, (select iban from invoices limit 1), '')", "invoices.iban"),
    ("insert into doctors values (1, '', '', 1, 2) returning *", "doctors.annual_pay"),
    (
        "insert into doctors as d (did) values (1) on conflict (did) do update set name = d.annual_pay::text",
        "doctors.annual_pay",
    ),
    ("insert into people (id, email) values (1, 'x') on conflict (email) do nothing", "people.email"),
    ("insert into people (id, email) values (1, 'x')", "people.email"),
    ("update doctors set name = annual_pay::text", "doctors.annual_pay"),
    (
        "update visits set kind = d.annual_pay::text from doctors d where d.did = visits.did",
        "doctors.annual_pay visits.notes",
    ),
    ("update doctors set name = 'x' where annual_pay > 7", "doctors.annual_pay"),
    ("update doctors set name = 'x' returning doctors.*", "doctors.annual_pay"),
    (
        "update doctors set (name, specialty) = (select iban, 'x' from invoices limit 1)",
        "doctors.annual_pay invoices.iban",
    ),
    ("update doctors set name = null where did = 1", "doctors.annual_pay"),
    ("update amount set cents = -1 where id = 1", "amount.holder"),
    ("update people set email = 'guess' where id = 1", "people.email"),
    ("delete from doctors where annual_pay > 7", "doctors.annual_pay"),
    (
        "delete from visits using patients p where p.pid = visits.pid and p.mobile like '%7'",
        "patients.mobile",
    ),
    ("delete from doctors returning annual_pay", "doctors.annual_pay"),
    ("insert into audited values (1, 'x')", "?"),
    ("insert into ruled values (1, 'x')", "?"),
    ("copy audited from stdin", "?"),
    ("select public.patient_mobile(1)", "patients.mobile"),
    ("select vid from visits where patient_mobile(pid) like '1%'", "patients.mobile"),
    ("select twice(3)", "people.email"),
    ("select same(1, 2)", "people.email"),
    ("select overloaded(1)", "people.email"),
    ("select training.pinned()", "?"),
    ("select training.pinned_and_named()", "people.email"),
    ("select as_owner()", "?"),
    ("select hidden_first(1), public.hidden_first(1), training.hidden_first(1)", "people.email"),
    ("select training.hidden_first(1), hidden_first(1)", "people.email"),
    ("select checked(1)", "?"),
    ("select checked_all('{1}')", "?"),
    ("select checked_in(null)", "?"),
    ("select pg_input_is_valid('1', 'int')", "?"),
    ("select endless(1)", "?"),
    ("select ceil(d) from doctors d", "?"),
    ("select spelled_out(1)", "?"),
    ("select by_default()", "?"),
    ("select written(1)", "people.email"),
    ("copy training.patients from stdin where doctor_pay(pid) > 1", "?"),
    ("copy training.patients from stdin where pid = (select min(pid) from patients)", "?"),
    ("truncate audited", "?"),
    ("delete from held where id = 1", "?"),
    ("update held set id = 2 where id = 1", "?"),
    (
        "with x as (insert into training.patients values (1) returning pid) select * from x, doctors",
        "doctors.annual_pay",
    ),
    ("with x as (delete from doctors returning *) select 1 from x", "doctors.annual_pay"),
    (
        "merge into doctors d using patients p on p.nhs_no = 'x' when matched then do nothing",
        "patients.nhs_no",
    ),
    // Elsewhere.
    ("explain select annual_pay from doctors", "doctors.annual_pay"),
    ("explain (analyze, verbose) select 1 from doctors where annual_pay > 7", "doctors.annual_pay"),
    ("explain analyze select annual_pay from doctors", "doctors.annual_pay"),
    ("explain (select annual_pay from doctors)", "doctors.annual_pay"),
    ("explain execute s1", "?"),
    ("prepare s2 (int) as select annual_pay from doctors where did = $1", "doctors.annual_pay"),
    ("execute s2(1)", "?"),
    ("declare c no scroll cursor with hold for select annual_pay from doctors", "doctors.annual_pay"),
    ("fetch all c", "?"),
    ("do $$ begin perform 1; end $$", "?"),
    ("call something()", "?"),
    ("select * from pg_stats", "?"),
    ("select * from pg_catalog.pg_statistic", "?"),
    ("select query from pg_stat_activity", "?"),
    ("select * from pg_prepared_statements", "?"),
    ("select data from pg_largeobject", "?"),
    ("select passwd from pg_shadow", "?"),
    ("select * from information_schema.user_mapping_options", "?"),
    ("select table_to_xml('doctors', true, true, '')", "?"),
    ("select * from ts_stat('select annual_pay from doctors')", "?"),
    ("select lo_export(1, '/tmp/x')", "?"),
    ("select pg_read_file('x')", "?"),
    ("select set_config('search_path', 'training', false); select nhs_no from patients", "?"),
    ("select set_config('standard_conforming_strings', 'off', false)", "?"),
    ("select set_config('ro' || 'le', 'x', false)", "?"),
    ("select set_config('jit', 'off', false), set_config(name, 'x', false) from pg_settings", "?"),
    ("select xmlelement(name x, annual_pay) from doctors", "?"),
    ("select * from xmltable('/x' passing '<x/>' columns a text)", "?"),
    ("select null::pair", "?"),
    ("select * from json_populate_recordset(null::doctors, '[]')", "?"),
    ("set standard_conforming_strings = off", "?"),
    ("set client_encoding = 'SJIS'", "?"),
    ("set names 'latin1'", "?"),
    ("set search_path = training; select nhs_no from patients", "?"),
    ("begin; rollback; select nhs_no from training.patients", "?"),
    ("create table x (a int check (email_of(a) is null))", "?"),
    ("create function f() begin atomic select 1; select 2; end", "?"),
    ("select inet '1.1.1.1', annual_pay from doctors", "doctors.annual_pay"),
    ("select 'a'\n'b', annual_pay from doctors", "doctors.annual_pay"),
    ("select d.annual_pay from doctors tablesample system (10) d", "?"),
    ("select annual_pay from doctors for update", "doctors.annual_pay"),
    ("select id from guarded", "people.email"),
    ("select 1 where 'x'::\"int\" is null", "?"),
    ("select \"int\" 'x'", "?"),
    ("select did from doctors where 1 === 1", "?"),
    ("select ceil(d) from doctors d", "?"),
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
];

#[test]
fn every_way_round_is_seen_through_or_unknown() {
    let (_cluster, catalog, pii) = everything();
    let mut wrong = Vec::new();
    for (sql, expected) in LEAKS {
        let all = facts(sql, &catalog);
        let unknown =
            all.iter().any(|facts| facts.certainty == Certainty::Unknown || facts.kind == Kind::Control);
        let reasons: Vec<_> =
            all.iter().flat_map(|facts| facts.reasons.iter().map(|reason| reason.code)).collect();
        let seen: BTreeSet<String> = all.iter().flat_map(|facts| touched(facts, &pii)).collect();
        let wanted: BTreeSet<String> = expected
            .trim_start_matches('?')
            .split_whitespace()
            .map(|column| format!("public.{column}"))
            .collect();
        let right = if expected.starts_with('?') { unknown } else { !unknown && seen == wanted };
        if !right {
            wrong.push(format!("{sql}: unknown {unknown} {reasons:?}, {seen:?}"));
        }
    }
    assert!(LEAKS.len() >= 80);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn changes_of_rights_are_control() {
    let (_cluster, catalog, _) = everything();
    for sql in [
        "create role x",
        "alter user x password 'y'",
        "drop group x",
        "grant select on doctors to x",
        "revoke all on doctors from x",
        "reassign owned by x to y",
        "drop owned by x",
        "set role x",
        "set local role x",
        "set session authorization x",
        "set \"role\" to x",
        "set session_authorization = x",
        "alter default privileges grant select on tables to x",
        "alter table doctors owner to x",
        "security label on table doctors is 'x'",
        "create publication p for all tables",
        "create subscription s connection 'x' publication p",
        "create server s foreign data wrapper f",
        "create user mapping for x server s",
        "create foreign data wrapper f",
        "alter system set x = 1",
        "alter database clinic set search_path = x",
        "alter role x set search_path = y",
        "create policy p on doctors",
        "alter table doctors enable row level security",
        "import foreign schema s from server t into u",
    ] {
        let all = facts(sql, &catalog);
        assert_eq!(all.iter().map(|facts| facts.kind).collect::<Vec<_>>(), [Kind::Control], "{sql}");
    }
}

/// Everyday work on unmapped columns, and what drivers send by themselves.
const BENIGN: &[&str] = &[
    "select town from v_star",
    "merge into invoices v using (values (1, 2)) s(x, y) on s.x = v.vid when matched and s.y > 1 then update set paid = true",
    "select (w).* from v_ward_load w",
    "select concat(variadic array[kind, 'x']) from visits",
    "select kind from visits where vid between symmetric 3 and 1 and kind like any (array['a%', 'b%'])",
    "select kind, count(*) from visits group by distinct rollup (kind), kind",
    "insert into visits (vid, kind) overriding system value values (1000, 'x')",
    "select vid as a_name_that_is_much_longer_than_sixty_three_bytes_and_so_is_cut_by_the_server from visits",
    "select ward_size('A1'), public.ward_size('B2')",
    "select kind, count(*) from open_visits('2024-02-03') group by kind",
    "select count(*) from patients",
    "select ward, count(*), min(admitted), max(admitted) from patients where consent group by ward order by 2 desc",
    "select date_trunc('month', admitted)::date as month, count(distinct ward) from patients group by 1",
    "select d.specialty, avg(v.fee)::numeric(10,2) from visits v left join doctors d on d.did = v.did group by d.specialty",
    "with w as (select ward, count(*) as n from patients group by ward) select ward, n, sum(n) over (order by ward) from w",
    "select pid from patients where admitted >= now() - interval '7 days' and ward in ('A1', 'B2') limit 10",
    "select case when fee > 100 then 'high' else 'low' end as band, count(*) from visits group by band",
    "select vid, fee, lag(fee) over (partition by did order by at) from visits",
    "select extract(year from at) as y, to_char(at, 'YYYY-MM') from visits",
    "select coalesce(kind, 'none'), round(fee, 1), fee::int from visits where kind ilike 'c%'",
    "select v.vid from visits v where exists (select 1 from invoices i where i.vid = v.vid and not i.paid)",
    "select g, g * 2 from generate_series(1, 10) g",
    "select x.a, x.b from (values (1, 'a'), (2, 'b')) as x(a, b)",
    "select specialty from doctors union select kind from visits order by 1",
    "select distinct ward from patients order by ward",
    "select kind as nhs_no from visits order by nhs_no",
    "with recursive t(n) as (select 1 union all select n + 1 from t where n < 10) select n from t",
    "select 1",
    "select 1 as one, 'a'::text, null, true",
    "values (1, 2), (3, 4)",
    "",
    " ; ;; ",
    "-- only a comment",
    "insert into training.patients (pid, alias) values (1000, 'x') on conflict (pid) do update set alias = excluded.alias",
    "update patients set ward = 'B2', admitted = now() where pid = 4",
    "update visits set fee = fee * 1.1 where vid = 4",
    "delete from training.patients where pid = 3 returning pid",
    "copy (select pid, ward from patients) to stdout with (format csv, header)",
    "copy training.patients from stdin",
    "copy training.patients from stdin where pid > 5 and nhs_no <> 'x'",
    "explain (costs off) select ward from patients",
    "create table scratch (id serial primary key, note text not null default 'x', amount numeric(10,2), at timestamp with time zone)",
    "create temp table t as select pid, ward from patients",
    "drop table if exists scratch",
    "create index on visits (kind, at)",
    "create schema scratch",
    "truncate training.patients",
    "vacuum analyze visits",
    "lock table visits in share mode",
    "analyze",
    "notify x, 'y'",
    "unlisten *",
    "close all",
    // Drivers.
    "BEGIN",
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY DEFERRABLE",
    "START TRANSACTION READ ONLY",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT a",
    "ROLLBACK TO SAVEPOINT a",
    "RELEASE SAVEPOINT a",
    "END",
    "ABORT",
    "SET extra_float_digits = 3",
    "SET application_name = 'psql'",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "SET datestyle TO 'ISO'",
    "SET TIME ZONE 'UTC'",
    "SET client_encoding TO 'UTF8'",
    "SET NAMES 'utf-8'",
    "SET client_min_messages TO warning",
    "SET statement_timeout = 0; SET lock_timeout = 0",
    "SET search_path TO public",
    "RESET ALL",
    "DISCARD ALL",
    "DEALLOCATE ALL",
    "DEALLOCATE \"_pg3_0\"",
    "SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;",
    "show transaction_isolation",
    "SHOW standard_conforming_strings",
    "show server_version",
    "SHOW TRANSACTION ISOLATION LEVEL",
    "select pg_catalog.version()",
    "select version()",
    "select current_schema()",
    "select current_schema",
    "select current_database(), current_user, session_user",
    "select pg_is_in_recovery()",
    "select pg_backend_pid()",
    "SELECT current_setting('transaction_isolation')",
    "SELECT CAST('test plain returns' AS VARCHAR(60)) AS anon_1",
    "select oid, typarray from pg_type where typname = 'hstore'",
    "SELECT t.oid, t.typname, t.typarray FROM pg_catalog.pg_type t WHERE t.oid = to_regtype('hstore')",
    "SELECT typname AS name, oid, typarray AS array_oid, oid::regtype::text AS regtype, typdelim AS delimiter FROM pg_type t WHERE t.oid = to_regtype($1) ORDER BY t.oid",
    "SELECT n.nspname = ANY(current_schemas(true)), n.nspname, t.typname FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON t.typnamespace = n.oid WHERE t.oid = $1",
    "SELECT pg_catalog.pg_class.relname FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace WHERE pg_catalog.pg_class.relname = $1::VARCHAR AND pg_catalog.pg_class.relkind = ANY (ARRAY[$2::VARCHAR, $3::VARCHAR]) AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_namespace.nspname != $4::VARCHAR",
    "select table_schema, table_name from information_schema.tables where table_schema not in ('pg_catalog', 'information_schema')",
    // asyncpg, npgsql, pg_dump.
    "SELECT current_setting('jit') AS cur, set_config('jit', 'off', false) AS new",
    "SELECT pg_catalog.set_config('search_path', '', false)",
    "WITH RECURSIVE typeinfo_tree(oid, ns, name, kind, basetype, elemtype, attrtypoids, depth) AS (
       SELECT ti.oid, ti.ns, ti.name, ti.kind, ti.basetype, ti.elemtype, ti.attrtypoids, 0 FROM (
         SELECT t.oid AS oid, ns.nspname AS ns, t.typname AS name, t.typtype AS kind,
           (CASE WHEN t.typtype = 'd' THEN (WITH RECURSIVE typebases(oid, depth) AS (
              SELECT t2.typbasetype AS oid, 0 AS depth FROM pg_type t2 WHERE t2.oid = t.oid
              UNION ALL SELECT t2.typbasetype AS oid, tb.depth + 1 AS depth FROM pg_type t2, typebases tb
              WHERE tb.oid = t2.oid AND t2.typbasetype != 0) SELECT oid FROM typebases ORDER BY depth DESC LIMIT 1)
            ELSE NULL END) AS basetype, t.typelem AS elemtype,
           (CASE WHEN t.typtype = 'c' THEN (SELECT array_agg(ia.atttypid ORDER BY ia.attnum) FROM pg_attribute ia
              INNER JOIN pg_class c ON (ia.attrelid = c.oid) WHERE ia.attnum > 0 AND NOT ia.attisdropped
              AND c.reltype = t.oid) ELSE NULL END) AS attrtypoids
         FROM pg_catalog.pg_type AS t INNER JOIN pg_catalog.pg_namespace ns ON (ns.oid = t.typnamespace)
         LEFT JOIN pg_type elem_t ON (t.typlen = -1 AND t.typelem != 0 AND t.typelem = elem_t.oid)) AS ti
       WHERE ti.oid = any($1::oid[])
       UNION ALL
       SELECT ti.oid, ti.ns, ti.name, ti.kind, ti.basetype, ti.elemtype, ti.attrtypoids, tt.depth + 1
       FROM (SELECT 1 AS oid, 'a' AS ns, 'b' AS name, 'c' AS kind, 2 AS basetype, 3 AS elemtype, null AS attrtypoids) ti,
         typeinfo_tree tt WHERE (tt.elemtype IS NOT NULL AND ti.oid = tt.elemtype))
     SELECT DISTINCT *, basetype::regtype::text AS basetype_name, elemtype::regtype::text AS elemtype_name
     FROM typeinfo_tree ORDER BY depth DESC",
    "SELECT ns.nspname, t.oid, t.typname, t.typtype, t.typnotnull, t.elemtypoid FROM (
       SELECT typ.oid, typ.typnamespace, typ.typname, typ.typtype, typ.typrelid, typ.typnotnull, typ.relkind,
         elemtyp.oid AS elemtypoid, elemtyp.typname AS elemtypname,
         CASE WHEN elemproc.proname='array_recv' THEN 'a' ELSE elemtyp.typtype END AS elemtyptype
       FROM (SELECT typ.oid, typnamespace, typname, typrelid, typnotnull, relkind, typelem AS elemoid,
           CASE WHEN proc.proname='array_recv' THEN 'a' ELSE typ.typtype END AS typtype,
           CASE WHEN proc.proname='array_recv' THEN typ.typelem WHEN typ.typtype='r' THEN rngsubtype END AS typelem
         FROM pg_type AS typ LEFT JOIN pg_class AS cls ON (cls.oid = typ.typrelid)
         LEFT JOIN pg_proc AS proc ON proc.oid = typ.typreceive
         LEFT JOIN pg_range ON (pg_range.rngtypid = typ.oid)) AS typ
       LEFT JOIN pg_type AS elemtyp ON elemtyp.oid = elemoid
       LEFT JOIN pg_proc AS elemproc ON elemproc.oid = elemtyp.typreceive) AS t
     JOIN pg_namespace AS ns ON (ns.oid = typnamespace)
     WHERE typtype IN ('b', 'r', 'm', 'e', 'd') OR (typtype = 'c' AND relkind='c') ORDER BY typtype, typname",
    "select nextval('some_seq')",
    "select xmin, pid from training.patients where ctid is not null",
];

#[test]
fn everyday_work_and_what_drivers_send_passes() {
    let (_cluster, catalog, pii) = everything();
    let mut wrong = Vec::new();
    for sql in BENIGN {
        for facts in facts(sql, &catalog) {
            if risky(&facts, &pii) {
                wrong.push(format!(
                    "{sql}: {:?} {:?}",
                    facts.reasons.iter().map(|it| it.code).collect::<Vec<_>>(),
                    touched(&facts, &pii)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The queries that psql's backslash commands really send, from `psql -E`.
#[test]
fn the_backslash_commands_of_psql_pass() {
    let (cluster, catalog, pii) = everything();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for command in [
        "\\d",
        "\\dt",
        "\\dt+",
        "\\d patients",
        "\\d+ patients",
        "\\d visits_log",
        "\\d visits_log_2024",
        "\\d nurses",
        "\\d+ v_ward_load",
        "\\d mv_people",
        "\\d people",
        "\\d+ people",
        "\\l",
        "\\l+",
        "\\dn",
        "\\dn+",
        "\\df",
        "\\df+",
        "\\du",
        "\\dv",
        "\\dv+",
        "\\dx",
        "\\dp",
        "\\di",
        "\\ds",
        "\\dT",
        "\\dm",
        "\\sf patient_mobile",
        "\\conninfo",
        "\\db",
        "\\do",
        "\\dC",
        "\\dD",
        "\\dd",
        "\\ddp",
        "\\dy",
        "\\dL",
        "\\dO",
        "\\dc",
        "\\da",
        "\\d patients_pkey",
    ] {
        let output = cluster.psql_command("clinic").args(["-E", "-q", "-c", command]).output().expect("psql");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        for query in text.split("********* QUERY **********\n").skip(1) {
            let query = query.split("**************************\n").next().unwrap_or_default();
            seen += 1;
            for facts in facts(query, &catalog) {
                if risky(&facts, &pii) {
                    let codes: Vec<_> = facts.reasons.iter().map(|reason| reason.code).collect();
                    wrong.push(format!("{command}: {codes:?}\n{query}"));
                }
            }
        }
    }
    assert!(seen > 60, "{seen} queries");
    assert!(wrong.is_empty(), "{} of {seen}:\n{}", wrong.len(), wrong.join("\n"));
}

/// PostgreSQL itself as the judge: a role that may read exactly the columns reported must be able to run the
/// statement. A column that the analysis misses is a `permission denied` here. It may also read what the views of
/// the statement name: the server asks for all of that, whichever of their columns are read (`tests/views.rs`
/// judges those).
#[test]
fn a_role_with_exactly_the_reported_columns_may_run_each_statement() {
    let (cluster, catalog, _) = everything();
    cluster
        .load(
            "clinic",
            "create role probe; grant usage on schema public, lab, training to probe;
             do $$ declare v regclass; begin
               for v in select oid from pg_class where relkind = 'v' and relnamespace = 'public'::regnamespace loop
                 execute format('alter view %s set (security_invoker = true); grant select on %s to probe', v, v);
               end loop;
             end $$;
             grant insert, update, delete on all tables in schema public, training to probe",
        )
        .expect("a role");
    let by_views = rows(
        &cluster,
        "clinic",
        "select view_name::text, table_schema::text, table_name::text, column_name::text
         from information_schema.view_column_usage where view_schema = 'public'",
    );
    let mut judged = 0;
    let mut wrong = Vec::new();
    for sql in LEAKS.iter().map(|(sql, _)| *sql).chain(BENIGN.iter().copied()).chain(MORE.iter().copied()) {
        let all = facts(sql, &catalog);
        let [facts] = all.as_slice() else { continue };
        let queries = [Kind::Select, Kind::Insert, Kind::Update, Kind::Delete, Kind::Merge];
        if facts.certainty == Certainty::Unknown
            || !queries.contains(&facts.kind)
            || sql.contains('$')
            || sql.contains("ctid")
        {
            continue;
        }
        let mut script = String::from("begin;");
        for relation in &facts.relations {
            // Any column at all, where only rows count.
            let first = catalog.columns(relation).and_then(|mut columns| columns.next().map(str::to_owned));
            let first = stepgate_types::quote_ident(&first.expect("a column")).into_owned();
            if !facts.columns.keys().any(|column| column.relation == *relation) {
                script.push_str(&format!("grant select ({first}) on {relation} to probe;"));
            }
        }
        for (column, uses) in &facts.columns {
            if uses.iter().any(|used| *used != stepgate_types::Use::Write) {
                let name = stepgate_types::quote_ident(&column.column);
                script.push_str(&format!("grant select ({name}) on {} to probe;", column.relation));
            }
        }
        for row in &by_views {
            let [Some(view), Some(schema), Some(table), Some(column)] = row.as_slice() else { continue };
            if sql.contains(&**view) || (sql.contains("v_card_short") && view == "v_patient_card") {
                let column = stepgate_types::quote_ident(column);
                script.push_str(&format!("grant select ({column}) on {schema}.{table} to probe;"));
            }
        }
        script.push_str(&format!("set local role probe; explain (costs off) {sql}\n; rollback"));
        let output = cluster.psql_command("clinic").args(["-q", "-c", &script]).output().expect("psql");
        judged += 1;
        if !output.status.success() {
            wrong.push(format!(
                "{sql}\n  {}",
                String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default()
            ));
        }
    }
    assert!(judged > 150, "{judged}");
    assert!(wrong.is_empty(), "{} of {judged}:\n{}", wrong.len(), wrong.join("\n"));
}

/// More for the judge: shapes in which a name could be taken for another.
const MORE: &[&str] = &[
    "select (select name from visits v where v.did = doctors.did limit 1) from doctors",
    "select (select kind from (select did from doctors) s limit 1) from visits",
    "select (select ward from (select 1 as ward) s) from patients",
    "select (select s.ward from (select 1 as ward) s) from patients",
    "select (with patients as (select 1 as ward) select ward from patients) from patients",
    "with patients as (select 1 as ward) select (select p.mobile from public.patients p limit 1), ward from patients",
    "with a as (select pid from patients), b as (select a.pid from a join visits using (pid)) select * from b",
    "with a(x) as (select mobile from patients) select x from a where exists (with a as (select 2 as y) select y from a)",
    "select 1 from patients p where exists (select from visits p where p.notes is not null)",
    "select p.ward from patients p, lateral (select p.vid from visits p where p.kind = 'x') q",
    "select * from visits v, lateral (select name from doctors where did = v.did) d",
    "select * from (visits v join doctors d using (did)) join patients p using (pid)",
    "select v.kind, j.* from visits v cross join (doctors join training.patients on did = patients.pid) j",
    "select alias from patients p right join training.patients t on t.pid = p.pid and p.ward = 'x'",
    "select pid from patients join training.patients using (pid)",
    "select count(*) from patients natural join visits",
    "select p.* from training.patients p, patients q where q.pid = p.pid",
    "select a.* from training.patients a(x, y, z) where y > 'a' order by z",
    "select max(fee) over w, min(fee) over (w rows unbounded preceding) from visits window w as (partition by kind order by at)",
    "select kind as at, at as kind from visits order by at",
    "select kind as fee from visits group by fee, kind",
    "select length(ward) as consent from patients group by consent, ward",
    "select kind, sum(fee) from visits group by grouping sets ((kind), (did), ())",
    "select did from visits union select did from doctors intersect select pid from patients order by did",
    "(select kind from visits order by fee limit 1) union all (select name from doctors order by pay_grade limit 1)",
    "select * from (select kind k, fee from visits) x(a) where a > 'b'",
    "select x.kind from (select * from visits) x where x.fee > 3",
    "select distinct on (kind, date_trunc('day', at)) vid from visits order by kind, date_trunc('day', at), fee",
    "select case when exists (select 1 from invoices i where i.vid = v.vid and paid) then kind end from visits v",
    "select (select array_agg(x order by x) from unnest(array[v.fee, v.did]) x) from visits v",
    "select g, (select count(*) from visits where vid = g) from generate_series(1, 3) g",
    "select t.n from generate_series(1, 3) with ordinality as t(v, n)",
    "select v from visits v where v.vid in (select vid from invoices where v.fee > amount)",
    "select row(kind, fee)::text, (kind, fee) < ('x', 1) from visits",
    "select kind || ' ' || fee::text || ' ' || at from visits where not (fee > 1 and fee < 9 or kind is null)",
    "select coalesce((select name from doctors d where d.did = v.did), 'none') from visits v",
    "select jsonb_build_object('k', kind, 'f', fee) from visits",
    "select public.visits.kind from public.visits",
    "select public.visits.* from public.visits",
    "select visits.kind from public.visits, training.patients where patients.pid = 1",
    "select mail_domain from people where town = 'x'",
    "select town from mv_people",
    "select vid from visits_log where at > '2024-01-01'",
    "select shift from nurses",
    "select beds from v_ward_load",
    "select c.label, w.ward from v_card_short c join v_ward_load w on c.label > w.ward",
    "insert into training.patients (pid, alias) select did, name from doctors where pay_grade > 2",
    "insert into training.patients as t (pid) values (1) on conflict (pid) do update set alias = t.alias || excluded.alias where t.nhs_no is null",
    "update visits v set kind = d.name from doctors d where d.did = v.did and v.fee > 3 returning v.vid, d.specialty",
    "update training.patients set alias = (select name from doctors where did = pid) where pid in (select pid from visits)",
    "delete from training.patients t using visits v where v.pid = t.pid and v.kind = 'x' returning t.alias, v.fee",
    "with moved as (delete from training.patients where pid > 9 returning pid, alias) insert into training.patients select pid + 1, alias from moved",
    "with recursive r as (select did, pay_grade from doctors where did = 1 union all select d.did, d.pay_grade from doctors d join r on d.did = r.did + 1) select count(*) from r",
    "select sum(case when paid then amount else 0 end) filter (where amount > 1) from invoices group by vid having count(*) > 1",
    "select percentile_cont(0.5) within group (order by fee) from visits",
    "select \"Urgency\" from \"Referral\" r where r.\"RefId\" > 3 order by r.\"Urgency\"",
    "select extract(hour from at), at at time zone 'utc', substring(kind from 1 for 2), position('a' in kind) from visits",
    "values ((select max(fee) from visits)), (2)",
    "select * from (values (1, (select kind from visits limit 1))) v(a, b) where b = 'x'",
    "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relname = 'visits'",
    "select ward from patients where (select bool_and(flagged) from lab.results r where r.pid = patients.pid)",
    "select test, count(*) from lab.results group by test",
];

#[test]
fn no_mutilated_statement_makes_it_panic() {
    let (_cluster, catalog, _) = everything();
    let all: Vec<&str> =
        LEAKS.iter().map(|(sql, _)| *sql).chain(MORE.iter().copied()).chain(BENIGN.iter().copied()).collect();
    let mut random: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % below.max(1) as u64).expect("small")
    };
    for _ in 0..4_000 {
        let mut bytes = all[next(all.len())].as_bytes().to_vec();
        for _ in 0..=next(4) {
            let at = next(bytes.len());
            match next(4) {
                0 if !bytes.is_empty() => drop(bytes.remove(at)),
                1 => bytes.insert(at, b"'\"$();.,*-/:[]\\\x00\xc3 e"[next(19)]),
                2 => bytes.truncate(at),
                _ => {
                    let other = all[next(all.len())].as_bytes();
                    bytes.extend_from_slice(&other[next(other.len())..]);
                }
            }
        }
        let _ = stepgate_sql::analyze(&bytes, &catalog, &common::session());
    }
}

/// The stack of a thread that analyses: a Tokio worker's.
const STACK: usize = 2 * 1024 * 1024;

#[test]
fn long_chains_and_deep_nesting_end_in_unknown_and_not_in_a_crash() {
    let catalog = Catalog::default();
    let chain = |unit: &str, count: usize| format!("select 1{}", unit.repeat(count));
    let mut texts = Vec::new();
    for count in [30, 150, 190, 1_000, 20_000] {
        for unit in [
            " or 1",
            " || 'a'",
            "::int",
            "[1]",
            " -> 1",
            " is null",
            " union select 1",
            " and not 1",
            " + (1)",
            ", 1",
        ] {
            texts.push(chain(unit, count));
        }
        texts.push(format!("select {}1{}", "(".repeat(count), ")".repeat(count)));
        texts.push(format!("select {}1{}", "f(".repeat(count), ")".repeat(count)));
        texts.push(format!("select {}1{}", "(select ".repeat(count), ")".repeat(count)));
        texts.push(format!("select {}1{}", "case when 1 then ".repeat(count), " end".repeat(count)));
        texts.push(format!("select {}1", "- ".repeat(count)));
        texts.push(format!("select {}1", "not ".repeat(count)));
        texts.push(format!("select 1 from a{}", " join b on true".repeat(count)));
        texts.push(format!("select 1 from {}a{}", "(".repeat(count), ")".repeat(count)));
        texts.push("/*".repeat(count));
        texts.push("with a as (".repeat(count));
        texts.push("explain ".repeat(count));
        texts.push(";".repeat(count));
    }
    // Names of ORDER BY, each standing for a subquery with more of them.
    let orders = (0..9)
        .fold("1".to_owned(), |inner, _| format!("(select {inner} as a order by a, a, a, a, a, a, a, a)"));
    texts.push(format!("select {orders}"));
    // Chains within each of the nested brackets.
    let inner = (0..40).fold("1".to_owned(), |inner, _| format!("({inner}{})", " + 1".repeat(25)));
    texts.push(format!("select {inner}"));
    std::thread::Builder::new()
        .stack_size(STACK)
        .spawn(move || {
            for text in texts {
                let all = facts(&text, &catalog);
                assert!(all.len() <= 1, "{}", &text[..40.min(text.len())]);
            }
        })
        .expect("a thread")
        .join()
        .expect("no crash");
}

-- Code of one's own, in every place where it runs. A label is on people.email.
create table people (id int primary key, email text, town text);
create table plain (id int primary key, note text);
create schema other;
insert into people values (1, 'a@b', 'York'), (2, 'c@d', 'Hull');
insert into plain values (1, 'x');
create function email_of(n int) returns text language sql as 'select email from people where id = n';
create function town_of(n int) returns text language sql as 'select town from people where id = n';
create function tidy(t text) returns text language sql as 'select lower(t)';

-- Bodies that were bound when they were made.
create function bound(n int) returns text language sql begin atomic select email from people where id = n; end;
create function bound_town(n int) returns text language sql begin atomic select p.town from people p where p.id = bound_town.n; end;
create function bound_two(n int) returns text language sql begin atomic select 1; select email_of($1); end;
create function expression(n int) returns int language sql return n * 2;
create function expression_reads(n int) returns text language sql return (select email from people where id = n);
create function returns_within(n int) returns text language sql begin atomic return (select email from people where id = n); end;
create function bound_writes(t text) returns void language sql begin atomic update plain set note = t where id = 1; end;
create function upper(int) returns text language sql as 'select email from people where id = $1';
create function calls_upper(t text) returns text language sql begin atomic select upper(t); end;
create function field(p people) returns text language sql begin atomic select (p).email; end;
create function whole(p people) returns text language sql as 'select p.town';

create function put(t text) returns text language sql as 'update plain set note = t returning note';

-- Arguments.
create function reads_by_default(n text default email_of(1)) returns text language sql as 'select n';
create function pure_default(n text default tidy('A'), m int default 3) returns text language sql as 'select n || m';
create function several(variadic n text[]) returns text language sql as 'select n[1]';
create function first_of(anyarray) returns anyelement language sql as 'select $1[1]';
create function some_people() returns setof people language sql as 'select * from people';
create function a_table(n int) returns table (a int, b text) language sql as 'select id, email from people where id = n';

create function last_of(text, text) returns text language sql as 'select $2';
create function look_up(text, int) returns text language sql as 'select email from people where id = $2';
create function slow(text, text) returns text language plpgsql as 'begin return $2; end';
create aggregate last_of (text) (sfunc = last_of, stype = text);
create aggregate product (float8) (sfunc = float8mul, stype = float8, initcond = 1);
create aggregate look_ups (int) (sfunc = look_up, stype = text);
create aggregate finally (text) (sfunc = textcat, stype = text, finalfunc = put);
create aggregate slow (text) (sfunc = slow, stype = text);

-- Domains.
create domain tidy_text as text check (value ~ '^[A-Z]');
create domain nosy as text check (email_of(length(value)) is null);
create domain "INT" as text check (email_of(length(value)) is null);
create domain initcap as text check (email_of(length(value)) is null);
create domain neat as text check (tidy(value) = value);
create domain nosy_twice as nosy;
create type has_nosy as (n nosy);
create type mood as enum ('up', 'down');
create table of_tidy (id int, t tidy_text);
create table of_nosy (id int, t nosy_twice);
create table of_nosies (id int, t nosy[]);
create table of_neat (id int primary key, t neat, secret text);
create function takes_nosy(n nosy_twice[]) returns int language sql as 'select 1';
create function takes_tidy(t tidy_text) returns text language sql as 'select t || town from people limit 1';

-- Operators.
create operator ## (leftarg = int, rightarg = int, function = int4eq);
create function nosy_eq(int, int) returns boolean language sql as 'select email_of($1) is null';
create operator <-> (leftarg = int, rightarg = int, function = nosy_eq);
-- Its commutator is a shell.
create operator <<<-> (leftarg = int, rightarg = int, function = int4mi, commutator = <->>>);
-- What the planner puts in their place.
create operator ==@ (leftarg = int, rightarg = int, function = int4eq, negator = <>@);
create operator <>@ (leftarg = int, rightarg = int, function = nosy_eq, negator = ==@);
create operator <<@ (leftarg = int, rightarg = int, function = int4lt, commutator = @>>, restrict = scalarltsel);
create operator @>> (leftarg = int, rightarg = int, function = nosy_eq, commutator = <<@);
create operator <=@ (leftarg = int, rightarg = int, function = int4le, commutator = @>=, restrict = scalarlesel);
create operator @>= (leftarg = int, rightarg = int, function = int4ge, commutator = <=@, negator = @<<);
create operator @<< (leftarg = int, rightarg = int, function = nosy_eq, negator = @>=);
create operator =@= (leftarg = int, rightarg = int, function = int4eq, negator = <@@>);
create operator <@@> (leftarg = int, rightarg = int, function = int4ne, negator = =@=);
create operator other.@@ (leftarg = int, rightarg = int, function = nosy_eq);

-- What a write runs.
create table defaulted (id int, note text default email_of(1));
create table neatly_defaulted (id int, note text default tidy('X'), secret text);
create table nosy_check (id int primary key, note text check (email_of(length(note)) is null), secret text);
create table neat_check (id int primary key, note text check (tidy(note) = note), secret text);
create function im_town(n int) returns text language sql immutable as 'select town from people where id = n';
create table indexed (id int primary key, note text, secret text);
create index on indexed (im_town(id));
create table parted (id int, note text) partition by list ((im_town(id)));
create table parted_x partition of parted default;
create table pieces (id int, note text default email_of(1)) partition by list (id);
do $$ begin for i in 1..300 loop execute format('create table pieces_%s partition of pieces for values in (%s)', i, i); end loop; end $$;
create table by_xml (id int, note text default (query_to_xml('select email from people', true, true, '')::text));

-- Policies.
create function is_mine(n int) returns boolean language sql stable as 'select n < 100';
create function is_known(n int) returns boolean language sql stable as 'select exists (select from people where id = n and email is not null)';
create function notes(n int) returns boolean language sql as 'update plain set note = n::text returning true';
create function is_odd(n int) returns boolean language plpgsql as 'begin return n % 2 = 1; end';
create table mine (id int, note text);
create policy mine on mine using (is_mine(id));
create table known (id int, note text);
create policy known on known using (is_known(id));
create table noted (id int, note text);
create policy noted on noted using (notes(id));
create table oddly (id int, note text);
create policy oddly on oddly using (is_odd(id));
create table near (id int, note text);
create policy near on near using (id <-> 1);
alter table mine enable row level security;
alter table known enable row level security;
alter table noted enable row level security;
alter table oddly enable row level security;
alter table near enable row level security;
insert into mine values (1, 'x');
insert into known values (1, 'x');

-- Views.
create view v_bound as select id, bound(id) as b from plain;
create view v_town as select id, town_of(id) as t from plain where expression(id) > 0;
create view v_over as select b from v_bound;
create view v_plpgsql as select id from plain where is_odd(id);
create view v_domain as select id, note::nosy as n from plain;
create view v_defined as select "left".n from jsonb_to_record('{"n":"x"}') as "left"(n nosy);
create view v_tidy as select id, note::tidy_text as n from plain;
create view v_has as select id, null::has_nosy as n from plain;
create view v_operator as select id <-> 1 as o from plain;
create view v_writes as select id, put(note) as p from plain;
create materialized view mv_bound as select id, bound(id) as b from plain;
create view v_field as select field(p.*) as f from people p;

create view v_known as select note from known;
create view v_of_nosies as select id, t from of_nosies;
create view v_noted as select note from noted;

-- Paths.
create function moves_path() returns text language sql as $$ select set_config('search_path', 'other', true) $$;
create function reads_plain() returns text language sql as 'select note from plain limit 1';
create table other.plain (id int, note text, secret text);

-- More than anybody reads.
do $$ begin for i in 1..30 loop
  execute format('create domain d_%s as int', i);
  execute format('create function fan_1(d_%s) returns int language sql as ''select 1''', i);
end loop;
for i in 1..30 loop execute format('create function fan_2(d_%s) returns int language sql as ''select fan_1(1::d_1)''', i); end loop;
for i in 1..30 loop execute format('create function fan_3(d_%s) returns int language sql as ''select fan_2(1::d_1)''', i); end loop;
end $$;

-- Round and round.
create function ping(n int) returns int language sql as 'select 1';
create function pong(n int) returns int language sql as 'select ping(n)';
create or replace function ping(n int) returns int language sql as 'select pong(n)';
create function even(n int) returns text language sql as 'select email from people where id = n';
create function odd(n int) returns text language sql as 'select even(n - 1)';
create or replace function even(n int) returns text language sql as 'select coalesce(odd(n - 1), email) from people where id = n';
create function spreads(t text) returns void language sql as 'update plain set note = t';
create or replace function spreads(t text) returns void language sql as
  'update plain set note = t; select spreads(email) from people where t is null';
create function at_depth(n int) returns text language sql as 'select email_of(n)';
create function deeper(n int) returns text language sql as 'select at_depth(n)';
create function deepest(n int) returns text language sql as 'select deeper(n)';
create function elsewhere() returns text language sql as 'select note from plain';
create function pinned() returns text language sql set search_path = other as 'select public.elsewhere()';
create or replace function elsewhere() returns text language sql as 'select coalesce(note, public.pinned()) from plain';

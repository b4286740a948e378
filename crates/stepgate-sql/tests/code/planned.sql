create schema other;
create table people (id int primary key, email text, town text);
insert into people values (1, 'a@b.test', 'Bern'), (2, 'c@d.test', 'Basel');
create table other.none (a int);

create function reads() returns int immutable language sql as 'select max(length(email)) from people';
create function reads_within(a int) returns int immutable language sql as 'select $1 + reads()';
create function adds(a int) returns int immutable language sql as 'select $1 + 1';
create function five() returns int immutable language sql as 'select 5';
create function slow(a int) returns int immutable language plpgsql as 'begin return a; end';
create function slow_five() returns int immutable language plpgsql as 'begin return 5; end';

create table indexed (a int, b int); create index on indexed ((a + reads()));
create table partial (a int, b int); create index on partial (a) where b > reads();
create table within (a int, b int); create index on within (reads_within(a));
create table checked (a int, b int check (b > 0), check (a <> reads() + 100));
create table counted (a int, b int); create statistics counted_s on (a + reads()), b from counted;
create table parted (a int, b int) partition by range ((a + reads()));
create table parted_1 partition of parted for values from (0) to (1000);
create table parent (a int, b int);
create table child () inherits (parent); create index on child ((a + reads()));
create table key (a int primary key, b int); create index on key ((b + reads()));
create table refers (a int references key, b int);
create view seen as select a, b from indexed;
create materialized view kept as select id as a, id as b from people; create index on kept ((a + reads()));

create materialized view kept_plain as select 1 as a; create index on kept_plain ((a + reads()));
create materialized view kept_indexed as select a from indexed; create materialized view kept_seen as select a from seen;
create table emptied (a int); create table emptied_too () inherits (emptied);
create function tells() returns trigger language plpgsql as
    'begin raise notice ''%'', (select max(email) from people); return null; end';
create trigger told before truncate on emptied_too execute function tells();

create function apart(a int, b int) returns float8 immutable language sql as 'select (a - b + reads())::float8';
create function apart_slowly(a int, b int) returns float8 immutable language plpgsql as 'begin return a - b; end';
create type span as range (subtype = int, subtype_diff = apart);
create type span_slow as range (subtype = int, subtype_diff = apart_slowly);
create type floats as range (subtype = float8, subtype_diff = float8mi);
create table spans (a int, r span); create table spans_within (a int, r span[]);
create table spans_slow (a int, r span_slow); create table of_floats (a int, r floats);
insert into spans select i, span(i, i + 5) from generate_series(1, 50) i; analyze spans;

create type mood as enum ('a');
create function other.count(mood) returns bigint language sql as 'select 1::bigint';
create table plain (a int, b int);
create table adding (a int, b int); create index on adding (adds(a)); create index on adding ((a + five()));
create table slowly (a int, b int); create index on slowly (slow(a)); create index on slowly (slow(abs(a)::int + 0));
create table slowly_too (a int, b int); create index on slowly_too (slow(a)); create index on slowly_too (slow((b)::int));
create index on slowly_too (a) where slow(abs(a)) > 3;
-- The second argument is a value.
create table slow_const (a int, b int); create index on slow_const ((a + slow_five()));
create table slow_null (a int, b int); create index on slow_null (slow(mod(a, nullif(1, 1))));
insert into indexed values (1, 1), (2, 2); insert into partial values (1, 1); insert into within values (1, 1), (2, 2);
insert into checked values (1, 1); insert into counted values (1, 1), (2, 2); insert into parted values (1, 1);
insert into child values (1, 1); insert into key values (1, 1), (2, 2); insert into refers values (1, 1);
insert into adding values (1, 1); insert into slowly_too values (1, 1);
analyze people; analyze indexed; analyze key;

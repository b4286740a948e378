-- Triggers of every plain shape, and some that are not plain. Labels are on columns called `secret`.
create table audit (at timestamptz not null default now(), op text not null, who text, id int, note text, old_row jsonb, new_row jsonb);
create table strict_audit (id int, note text not null, secret text);
create table keyed_audit (copy text unique);
create table checked_audit (note text check (note <> 'forbidden'), copy text);
create table typed_audit (number int);
create table totals (id int primary key, total int);
insert into totals values (1, 0);

create table touched (id int primary key, note text, secret text, updated_at timestamptz not null default now());
create function touch() returns trigger language plpgsql as $$
BEGIN
  NEW.updated_at := now(); -- each time
  RETURN NEW;
END;
$$;
create trigger touch before insert or update on touched for each row execute function touch();

create table touched_if (id int primary key, note text, secret text, updated_at timestamptz);
create trigger touch before update on touched_if for each row when (old.* is distinct from new.*) execute function touch();

create table audited (id int primary key, note text, secret text);
create function audit() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    insert into public.audit (op, who, id, old_row) values (tg_op, current_user, old.id, to_jsonb(old));
    return old;
  elsif tg_op = 'UPDATE' then
    insert into public.audit (op, who, id, note, old_row, new_row) values ('U', session_user, new.id, new.note, row_to_json(old)::jsonb, to_jsonb(new));
    return new;
  else
    insert into public.audit (op, id, new_row) select tg_op, new.id, to_jsonb(new.*);
    return new;
  end if;
end $$;
create trigger audit after insert or update or delete on audited for each row execute function audit();

create table strictly_audited (id int primary key, note text, secret text);
create function strict_audit() returns trigger language plpgsql as
  'begin insert into strict_audit (id, note, secret) values (new.id, new.note, new.secret); return new; end';
create trigger audit after update on strictly_audited for each row execute function strict_audit();

create table keyed (id int primary key, note text, secret text);
create function keyed_audit() returns trigger language plpgsql as 'begin insert into keyed_audit values (new.secret); return new; end';
create trigger audit after update on keyed for each row execute function keyed_audit();

create table checked (id int primary key, note text, secret text);
create function checked_audit() returns trigger language plpgsql as 'begin insert into checked_audit values (new.note, new.secret); return new; end';
create trigger audit after update on checked for each row execute function checked_audit();

create table typed (id int primary key, note text, secret text);
create function typed_audit() returns trigger language plpgsql as 'begin insert into typed_audit values (new.secret::int); return new; end';
create trigger audit after update on typed for each row execute function typed_audit();

create table indexed_audit (note text);
create index on indexed_audit ((note::int));
create table indexed (id int primary key, note text, secret text);
create function indexed_audit() returns trigger language plpgsql as 'begin insert into indexed_audit values (new.secret); return new; end';
create trigger audit after update on indexed for each row execute function indexed_audit();
create table deleted_badly (id int primary key, note text, secret text);
create table badly_audited (id int not null, copy text);
create function badly_audit() returns trigger language plpgsql as 'begin insert into badly_audited values (new.id, old.secret); return null; end';
create trigger audit after update or delete on deleted_badly for each row execute function badly_audit();
create table by_branches (id int primary key, note text, secret text);
create function by_branches() returns trigger language plpgsql as $$
begin
  if (tg_op = 'DELETE') then insert into badly_audited values (old.id, old.secret);
  elsif (tg_op in ('UPDATE', 'INSERT')) then insert into badly_audited values (new.id, to_jsonb(new)); end if;
  return null;
end $$;
create trigger audit after insert or update or delete on by_branches for each row execute function by_branches();
create function refuse() returns trigger language plpgsql as $$ begin raise exception 'refused'; end $$;
create table hashed (id int primary key, note text, secret text, short text generated always as (left(secret, 1)) stored);
create trigger refuse after update on hashed for each row when (old.short is distinct from new.short) execute function refuse();

create table hashed_before (id int primary key, note text, secret text, short text generated always as (left(secret, 1)) stored);
create function refuse_changes() returns trigger language plpgsql as $$ begin if old is distinct from new then raise exception 'no'; end if; return new; end $$;
create trigger refuse before update on hashed_before for each row execute function refuse_changes();

create table told (id int primary key, note text, secret text);
create function tell() returns trigger language plpgsql as $$ begin raise notice 'changed %', new.secret; return new; end $$;
create trigger tell before update on told for each row execute function tell();

create table told_by_hint (id int primary key, note text, secret text);
create function hint() returns trigger language plpgsql as $$ begin raise warning using message = 'x', hint = old.secret; return null; end $$;
create trigger tell after delete on told_by_hint for each row execute function hint();

create table validated (id int primary key, note text, secret text);
create function validate() returns trigger language plpgsql as $$
begin if new.note = 'bad' then raise exception 'no: %', new.note; end if; return new; end $$;
create trigger validate before insert or update on validated for each row execute function validate();

create table oracle (id int primary key, note text, secret text);
create function oracle() returns trigger language plpgsql as $$
begin if old.secret like 'A%' then raise exception 'no'; end if; return new; end $$;
create trigger oracle before update on oracle for each row execute function oracle();

create table guarded_by_when (id int primary key, note text, secret text);
create trigger refuse before update on guarded_by_when for each row when (old.secret > 'M') execute function refuse();

create table frozen (id int primary key, note text, secret text);
create trigger refuse before update on frozen for each row when (old.secret is distinct from new.secret) execute function refuse();

create table skipped (id int primary key, note text, secret text);
create function skip() returns trigger language plpgsql as $$ begin if old.secret > 'M' then return null; end if; return new; end $$;
create trigger skip before update on skipped for each row execute function skip();

create table same (id int primary key, note text, secret text);
create trigger same before update on same for each row execute function suppress_redundant_updates_trigger();

create table copied (id int primary key, note text, secret text);
create function copy_over() returns trigger language plpgsql as 'begin new.note := new.secret; return new; end';
create trigger copy_over before update on copied for each row execute function copy_over();

create table kept (id int primary key, note text, secret text);
create function keep() returns trigger language plpgsql as 'begin new.secret := old.secret; return new; end';
create trigger keep before update on kept for each row execute function keep();

create table nulled (id int primary key, note text not null, secret text, other text);
create function put_null() returns trigger language plpgsql as 'begin new.note := new.other; return new; end';
create trigger put_null before update on nulled for each row execute function put_null();

create table summed (id int primary key, note text, secret text, amount int);
create function add_up() returns trigger language plpgsql as
  'begin update totals set total = total + new.amount where id = new.id; return new; end';
create trigger add_up after update on summed for each row execute function add_up();

create table searched (id int primary key, title text, secret text, words tsvector);
create trigger words before insert or update on searched for each row execute function tsvector_update_trigger('words', 'pg_catalog.english', 'title');
create table searched_secret (id int primary key, title text, secret text, words tsvector);
create trigger words before insert or update on searched_secret for each row execute function tsvector_update_trigger('words', 'pg_catalog.english', 'title', 'secret');

create table looks_up (id int primary key, note text, secret text);
create function look_up() returns trigger language plpgsql as
  'begin new.note := (select secret from looked_up where id = new.id); return new; end';
create trigger look_up before insert or update on looks_up for each row execute function look_up();
create table looked_up (id int primary key, secret text);

create table calls (id int primary key, note text, secret text);
create function secret_of(n int) returns text language sql as 'select secret from looked_up where id = n';
create function call_it() returns trigger language plpgsql as 'begin perform secret_of(new.id); return new; end';
create trigger call_it before insert on calls for each row execute function call_it();

create table notified (id int primary key, note text, secret text);
create function notify() returns trigger language plpgsql as $$ begin perform pg_notify('changes', row_to_json(new)::text); return new; end $$;
create trigger notify after update on notified for each row execute function notify();

create table notified_of_id (id int primary key, note text, secret text);
create function notify_of_id() returns trigger language plpgsql as $$ begin perform pg_notify('changes', tg_table_name || new.id::text); return new; end $$;
create trigger notify after update on notified_of_id for each row execute function notify_of_id();

-- JSON of a value that is NULL is NULL.
create table json_audit (payload jsonb not null, copy text);
create table half_json (id int primary key, note text, secret text);
create function half_json() returns trigger language plpgsql as 'begin insert into json_audit values (to_jsonb(new.note), new.secret); return new; end';
create trigger audit after update on half_json for each row execute function half_json();
create table wide_audit (table_name text not null, app text, id int not null, payload jsonb not null, before jsonb);
create table wide (id int primary key, note text, secret text);
create function wide() returns trigger language plpgsql as $$ begin
  insert into wide_audit values (tg_table_schema || '.' || tg_table_name, current_setting('app.user', true), coalesce(new.id, old.id),
    coalesce(to_jsonb(new), to_jsonb(old)), row_to_json(old)::jsonb);
  return coalesce(new, old); end $$;
create trigger audit after update or delete on wide for each row execute function wide();
create table any_json (payload jsonb);
create table cast_json (id int primary key, note text, secret text);
create function cast_json() returns trigger language plpgsql as 'begin insert into any_json values (coalesce(new.secret, new.note)::jsonb); return new; end';
create trigger audit after update on cast_json for each row execute function cast_json();

-- A comparison with = is NULL where the column is.
create table equalled (id int primary key, note text, secret text);
create function equalled() returns trigger language plpgsql as $$ begin if new.secret = old.secret then raise notice 'same'; end if; return new; end $$;
create trigger equalled after update on equalled for each row execute function equalled();
create table unequalled (id int primary key, note text, secret text);
create function unequalled() returns trigger language plpgsql as $$ begin if not new.secret <> old.secret then raise notice 'same'; end if; return new; end $$;
create trigger unequalled after update on unequalled for each row execute function unequalled();
create table equalled_when (id int primary key, note text, secret text);
create trigger equalled after update on equalled_when for each row when (old.id = new.id and new.secret = old.secret) execute function refuse();
create table differing (id int primary key, note text, secret text);
create function differing() returns trigger language plpgsql as $$ begin if (new.secret <> old.secret) or new.id <> old.id then
  raise notice 'new'; elsif new.id = old.id then raise notice 'same'; end if; return new; end $$;
create trigger differing after update on differing for each row execute function differing();

-- What an audit table has besides.
create type why as enum ('change');
create table full_audit (id bigserial primary key, uid uuid not null default gen_random_uuid(), at timestamptz not null default now(),
  utc timestamp not null default (now() at time zone 'utc'), seen timestamptz not null default current_timestamp,
  who text not null default coalesce(current_setting('app.user', true), current_user), by text not null default session_user,
  kind varchar(20) not null default 'change', level int not null default 0, done boolean not null default false,
  number bigint generated always as identity, until timestamptz not null default clock_timestamp() + interval '1 day',
  more jsonb not null default '{}', tags text[] not null default '{}', why why not null default 'change', note text, old_row jsonb);
create table fully_audited (id int primary key, note text, secret text);
create function full_audit() returns trigger language plpgsql as
  'begin insert into full_audit (note, old_row) values (old.note, to_jsonb(old)); return null; end';
create trigger audit after update or delete on fully_audited for each row execute function full_audit();
create table by_setting (id int, copy text, who text not null default current_setting('app.who', true));
create table setting_audited (id int primary key, note text, secret text);
create function by_setting() returns trigger language plpgsql as 'begin insert into by_setting (id, copy) values (old.id, old.secret); return null; end';
create trigger audit after update or delete on setting_audited for each row execute function by_setting();
create table chosen (copy jsonb, who text not null default nullif(current_setting('application_name'), ''));
create table choice_audited (id int primary key, note text, secret text);
create function chosen() returns trigger language plpgsql as 'begin insert into chosen select to_jsonb(old); return null; end';
create trigger audit after update or delete on choice_audited for each row execute function chosen();
create table no_default (id int, copy text, who text not null);
create table never_audited (id int primary key, note text, secret text);
create function no_default() returns trigger language plpgsql as 'begin insert into no_default values (old.id, old.secret); return null; end';
create trigger audit after update or delete on never_audited for each row execute function no_default();

-- Children, partitions, cascades, chains.
create table parent (id int, note text, secret text) partition by list (id);
create table part_1 partition of parent for values in (1);
create table part_2 partition of parent for values in (2);
create trigger tell before update on part_1 for each row execute function tell();
create table wholly (id int, note text, secret text) partition by list (id);
create table wholly_1 partition of wholly for values in (1);
create trigger tell after update on wholly for each row execute function tell();
create table base (id int, note text);
create table derived (secret text) inherits (base);
create trigger tell after update on derived for each row execute function tell();
create table owner (id int primary key, note text);
create table owned (id int references owner on delete cascade on update cascade, secret text);
create trigger hint after delete or update on owned for each row execute function hint();
create table chain_1 (id int primary key, note text, secret text);
create table chain_2 (a text, b text);
create table chain_3 (c text);
create function pass_1() returns trigger language plpgsql as 'begin insert into chain_2 (a) values (new.note); return null; end';
create function pass_2() returns trigger language plpgsql as 'begin insert into chain_3 values (new.a); return null; end';
create trigger pass after insert or update on chain_1 for each row execute function pass_1();
create trigger pass after insert on chain_2 for each row execute function pass_2();
create table circle (id int primary key, note text, secret text);
create function round() returns trigger language plpgsql as 'begin insert into circle values (new.id + 1, new.note); return null; end';
create trigger round after insert on circle for each row execute function round();

-- What a trigger returns, and how it fails, tells of its conditions.
create table put_back (id int primary key, note text, secret text);
create function put_back() returns trigger language plpgsql as $$ begin if old.secret > 'M' then return old; end if; return new; end $$;
create trigger put_back before update on put_back for each row execute function put_back();
create table put_back_coalesced (id int primary key, note text, secret text);
create function put_back_coalesced() returns trigger language plpgsql as
  $$ begin if old.secret > 'M' then return coalesce(old, new); end if; return coalesce(new, old); end $$;
create trigger put_back before update on put_back_coalesced for each row execute function put_back_coalesced();
create table not_deleted (id int primary key, note text, secret text);
create function not_deleted() returns trigger language plpgsql as $$ begin if old.secret > 'M' then return new; end if; return old; end $$;
create trigger not_deleted before delete on not_deleted for each row execute function not_deleted();
create table plainly_returned (id int primary key, note text, secret text);
create function plainly_returned() returns trigger language plpgsql as
  $$ begin if tg_op = 'DELETE' then return old; end if; if old.secret is distinct from new.secret then return new; end if; return coalesce(new, old); end $$;
create trigger plainly_returned before update or delete on plainly_returned for each row execute function plainly_returned();
create table fails_only (id int primary key, note text, secret text);
create function fails_only() returns trigger language plpgsql as 'begin if old.secret::int > 3 then null; end if; return new; end';
create trigger fails_only before update on fails_only for each row execute function fails_only();
create table short_audit (id int, copy varchar(3));
create table too_long (id int primary key, note text, secret text);
create function too_long() returns trigger language plpgsql as 'begin insert into short_audit values (new.id, new.secret); return new; end';
create trigger audit after update on too_long for each row execute function too_long();

-- Not plain.
create table variable (id int primary key, note text);
create function variable() returns trigger language plpgsql as $$ declare x text; begin select secret into x from looked_up; return new; end $$;
create trigger variable before insert on variable for each row execute function variable();
create table dynamic (id int primary key, note text);
create function dynamic() returns trigger language plpgsql as $$ begin execute 'select 1'; return new; end $$;
create trigger dynamic before insert on dynamic for each row execute function dynamic();
create table transition (id int primary key, note text);
create table harmless (note text);
create function transition() returns trigger language plpgsql as $$ begin insert into chain_3 select note from harmless; return null; end $$;
create trigger transition after update on transition referencing new table as harmless for each statement execute function transition();
create table late (id int primary key, note text);
create constraint trigger late after update on late deferrable initially deferred for each row execute function pass_2();
create view seen as select id, note from touched;
create function instead() returns trigger language plpgsql as $$ begin update looked_up set secret = new.note; return new; end $$;
create trigger instead instead of update on seen for each row execute function instead();
create table as_owner (id int primary key, note text);
create function as_owner() returns trigger language plpgsql security definer as $$ begin insert into chain_3 values (new.note); return new; end $$;
create trigger as_owner after update on as_owner for each row execute function as_owner();
create table pathless (id int primary key, note text);
create schema other;
create function pathless() returns trigger language plpgsql as $$ begin insert into doubled values (new.note); return new; end $$;
create table doubled (n text);
create table other.doubled (n text);
create trigger pathless after update on pathless for each row execute function pathless();

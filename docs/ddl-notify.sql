-- Optional, for a superuser to run once in each guarded database: tells Stepgate of DDL made beside the gate at once.
-- Without it the gate finds such changes within two seconds, and before it takes a reply that was slow in coming.
--
--     psql -d shop -f docs/ddl-notify.sql
--
-- To remove it: drop schema stepgate cascade;

begin;

create schema if not exists stepgate;

create or replace function stepgate.announce_ddl() returns event_trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  -- Temporary objects are nobody else's affair.
  if tg_event = 'sql_drop' then
    perform from pg_event_trigger_dropped_objects() where not is_temporary;
  else
    perform from pg_event_trigger_ddl_commands() where schema_name is distinct from 'pg_temp';
  end if;
  if found then
    perform pg_notify('stepgate_ddl', '');
  end if;
end
$$;

create event trigger stepgate_ddl on ddl_command_end execute function stepgate.announce_ddl();
create event trigger stepgate_drop on sql_drop execute function stepgate.announce_ddl();

commit;

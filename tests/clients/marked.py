"""A workload full of marks, in every place where a statement can carry data: nothing of them may stay with the gate.

Marks are MARK (a name and a text), NUMBER, SHORT (a number that a parameter may have) and OPERATOR in statements; ROW
(texts) and KEY (a number), which are in the database beforehand and come in rows and in what the server says of them; SAID,
which the client calls itself; STRANGER, of those whom the gate does not know. Ends with "ok". Whoever runs it answers four
held statements: the first two are verified, the third is denied, the fourth approved.
"""

import base64
import os

import psycopg
from psycopg import sql

MARK, NUMBER, SHORT = os.environ["MARK"], int(os.environ["NUMBER"]), int(os.environ["SHORT"])
OPERATOR = os.environ["OPERATOR"]
ROW, KEY = os.environ["ROW"], int(os.environ["KEY"])
SAID, STRANGER = os.environ["SAID"], os.environ["STRANGER"]
notices = []
conn = psycopg.connect(autocommit=True, application_name=f"{SAID} app")
conn.add_notice_handler(lambda diag: notices.append(diag.message_primary))


def run(statement, parameters=None, **how):
    """Whatever becomes of it: what it says comes back, and the session lives on."""
    try:
        cursor = conn.execute(statement, parameters, **how)
        return cursor.fetchall() if cursor.description else []
    except psycopg.Error as error:
        assert not conn.closed, (statement, error)
        return str(error)


def literals_and_names():
    assert run(f"select '{MARK}', {NUMBER}, $q${MARK}$q$, ${MARK}$x${MARK}$, E'{MARK}\\n', U&'{MARK}'") != []
    run(f"select 1 as {MARK}, 2 as \"{MARK.upper()} Alias\"")
    run(f"with {MARK} as (select 1 as {MARK}2) select {MARK}.{MARK}2 from {MARK}")
    run(f"/* {MARK} /* nested {NUMBER} */ */ select 1 -- {MARK}")
    run(f"select x.{MARK} from (values ('{MARK}')) as x({MARK})")
    run(f"select '{MARK}'::text collate \"C\", interval '{NUMBER} seconds', date '2026-01-01' + {NUMBER % 1000}")
    run(f"select name from products where name like '%{MARK}%' or id = {NUMBER} limit {NUMBER}")
    run("select '" + base64.b64encode(MARK.encode()).decode() + "', '\\x" + MARK.encode().hex() + "'::bytea")
    run(f"select row('{MARK}', {NUMBER})::text, array['{MARK}'], json_build_object('{MARK}', {NUMBER})")


def without_quotes():
    """Not only literals: whatever the lexer lets a user choose freely."""
    for number in [SHORT, f"00{SHORT}", NUMBER]:
        run(f"select name from products where id = ${number}")
        run(f"prepare p{number} as select name from products where id = ${number}")
        run(f"select ${number}::int + $1")
    run(f"select name from products where id {OPERATOR} 1")
    run(f"select {OPERATOR} 1, 1 operator(pg_catalog.{OPERATOR}) 2")
    run(f"select 1 as \"{OPERATOR}\", x.* from (select 1) as x(\"{OPERATOR}\") order by \"{OPERATOR}\" using {OPERATOR}")
    run(f"select U&\"{MARK}\", U&\"!{ord(MARK[0]):04x}{MARK[1:]}\" uescape '!', B'1', X'{MARK.encode().hex()}'")
    run(f"select E'{MARK}', N'{MARK}', U&'!{ord(MARK[0]):04x}{MARK[1:]}' uescape '!', 0.{SHORT}, {SHORT}e{SHORT}, .{SHORT}")
    run(f"select 'a'::varchar({SHORT}), 'a'::char({SHORT}), 1::numeric({SHORT}, 2), b'1'::bit({SHORT}), now()::timestamp({SHORT})")
    run(f"select '1'::interval second({SHORT}), interval '1' minute, interval '{MARK}' year, time '{MARK}'")
    run(f"select (array[1, 2])[{SHORT}], (array[1, 2])[{SHORT}:{NUMBER}], '{{}}'::int[{SHORT}], array[[{SHORT}]]")
    run(f"select {MARK}.{MARK}({MARK} => {NUMBER}, variadic {MARK}) from {MARK} as {MARK}({MARK})")
    run(f"select 'a'::{MARK}, cast(1 as \"{MARK}\".\"{MARK}\"({SHORT}))")
    run(f"select 1 collate \"{MARK}\", 'a' at time zone '{MARK}', extract({MARK} from now())")
    run(f"select sum(id) over {MARK} from products window {MARK} as (order by id rows between {NUMBER} preceding and current row)")
    run(f"select \"{MARK}\n{NUMBER}\", \"{'x' * 60}{MARK}\"")
    run(f"select json_value('{{}}', '$.{MARK}'), '{{}}'::jsonb -> '{MARK}' #> '{{{MARK}}}', '{{}}'::jsonb @? '$.{MARK}'")
    run(f"select xmlelement(name {MARK}, xmlattributes('{MARK}' as {MARK}))")


def how_many():
    """How many rows are asked for, counted, skipped and sampled."""
    joined = "select p.name from products p join products q on true"
    for limit in [f"limit {NUMBER}", f"fetch first {NUMBER} rows only", f"offset {NUMBER}", f"limit {SHORT} offset {NUMBER}",
                  f"offset {SHORT} rows fetch next {NUMBER} rows with ties", f"limit {NUMBER}::int8", f"limit '{NUMBER}'"]:
        run(f"{joined} {limit}")
        run(f"{joined} order by 1 {limit}")
        run(f"copy ({joined} where false {limit}) to stdout")
        run(f"explain {joined} {limit}")
        run(f"prepare counted as {joined} {limit}")
        run("execute counted")
        run("deallocate counted")
        run(f"create temp table counted as {joined} where false {limit}")
        run("drop table counted")
        run(f"begin; declare counted cursor for {joined} {limit}; move {SHORT} in counted; fetch forward {SHORT} from counted; "
            f"fetch absolute {SHORT} from counted; fetch relative -{SHORT} from counted; rollback")
        run("rollback")
    run(f"({joined} limit {NUMBER}) union all (select name from products limit {NUMBER})")
    run(f"{joined} limit {NUMBER}; {joined} limit {NUMBER}; select 1")
    run(f"select * from generate_series({NUMBER}, {NUMBER + 1}) limit {NUMBER}")
    run(f"select generate_series({NUMBER}, {NUMBER}), ntile({SHORT}) over () from products limit {NUMBER}")
    run(f"select name from products tablesample system ({SHORT}) repeatable ({NUMBER})")
    run(f"select name from products tablesample {MARK} (1) repeatable ({NUMBER})")
    run(f"insert into products select {NUMBER}, '{MARK}', '{MARK}', 1 limit {NUMBER} on conflict do nothing")
    run(f"update products set price = price where id in (select {NUMBER} limit {NUMBER}) returning '{MARK}'")
    run(f"values ({NUMBER}), ({NUMBER}) limit {NUMBER}")


def utilities():
    for statement in [
        f"set statement_timeout = {SHORT}", f"set local work_mem = '{SHORT}kB'", f"set {MARK} = {NUMBER}", f"show {MARK}",
        f"set statement_timeout to {NUMBER}", f"set {MARK}.{MARK} to {SHORT}", f"reset {MARK}", f"reset {MARK}.{MARK}",
        f"set session characteristics as transaction {MARK}", f"set time zone '{MARK}'", f"set time zone -{SHORT}",
        f"set names '{MARK}'", f"set role {MARK}", f"set role '{MARK}'", f"set session authorization {MARK}",
        f"set stepgate.purpose = '{MARK}'", "reset stepgate.purpose", f"set transaction snapshot '{MARK}'",
        f"/* stepgate.purpose={MARK} */ select 1", f"/* purpose: {MARK} */ select 1", f"/*{MARK}='{NUMBER}'*/ select 1",
        f"release savepoint {MARK}", f"savepoint \"{MARK} {NUMBER}\"", f"commit prepared '{MARK}'", f"unlisten {MARK}",
        f"load '{MARK}'", f"lock table {MARK} nowait", f"truncate {MARK}", f"vacuum (parallel {SHORT}) {MARK}", f"analyze {MARK}",
        f"reindex table {MARK}", f"cluster {MARK} using {MARK}", f"drop table if exists {MARK}", f"drop role if exists {MARK}",
        f"create sequence {MARK} start {NUMBER}", f"create temp sequence counting increment {SHORT} cache {SHORT}",
        f"alter sequence if exists {MARK} restart {NUMBER}", f"alter system set {MARK} = '{MARK}'", f"alter database {MARK} set {MARK} = 1",
        f"create database {MARK} connection limit {SHORT}", f"create function {MARK}() returns int language sql cost {SHORT} as '{MARK}'",
        f"create function {MARK}(int default {NUMBER}) returns int begin atomic select {NUMBER}; end", f"call {MARK}({NUMBER})",
        f"create view {MARK} as select {NUMBER} as {MARK}", f"create index {MARK} on products (id) with (fillfactor = {SHORT})",
        f"create type {MARK} as enum ('{MARK}')", f"create domain {MARK} as int check (value < {NUMBER})",
        f"create operator {OPERATOR} (function = {MARK}, rightarg = int)", f"drop operator if exists {OPERATOR} (none, int)",
        f"grant select on {MARK} to {MARK}", f"security label for {MARK} on table {MARK} is '{MARK}'",
        f"create publication {MARK}", f"create subscription {MARK} connection '{MARK}' publication {MARK}", f"create extension {MARK}",
        f"alter table products add column {MARK} int default {NUMBER}", f"alter table products rename to {MARK}",
        f"alter table products alter id set statistics {SHORT}", f"create policy {MARK} on products using (id = {NUMBER})",
        f"create trigger {MARK} before insert on products execute function {MARK}('{MARK}', {NUMBER})",
        f"explain (analyze, {MARK} {NUMBER}) select {NUMBER}", f"execute {MARK}({NUMBER}, '{MARK}')", f"discard {MARK}",
        f"copy products to stdout (delimiter '{MARK[0]}', null '{MARK}', format csv, force_quote ({MARK}), {MARK} {NUMBER})",
        f"copy (select {NUMBER}) to stdout (format csv, header, null '{MARK}', encoding '{MARK}')",
        f"copy products ({MARK}) from stdin where id = {NUMBER}", f"merge into {MARK} using {MARK} on {NUMBER} = 1 when matched then delete",
        f"do $$ begin raise sqlstate '{MARK[:5].upper()}'; end $$", f"do $$ begin raise exception using errcode = '{MARK[:5]}'; end $$",
        f"select pg_sleep(0) /*+ {MARK}({NUMBER}) */", f"select pg_advisory_lock({NUMBER}), pg_advisory_unlock({NUMBER})",
        f"select txid_status({SHORT}), nextval('{MARK}'), '{MARK}'::regclass, to_regclass('{MARK}'), {SHORT}::regclass",
        f"select pg_cancel_backend({SHORT}), pg_terminate_backend({SHORT})", f"select lo_get({SHORT}), lo_creat({SHORT})",
    ]:
        run(statement)


def protocol():
    """Names and errors that the extended protocol carries beside the text."""
    pg = conn.pgconn
    pg.prepare(MARK.encode(), b"select $1::text", None)
    pg.describe_prepared(MARK.encode())
    pg.exec_prepared(MARK.encode(), [MARK.encode()])
    pg.exec_prepared(f"{MARK}{NUMBER}".encode(), [MARK.encode()])
    pg.describe_portal(MARK.encode())
    pg.exec_params(f"select ${SHORT}".encode(), [MARK.encode()], [25])
    pg.exec_params(b"select $1", [MARK.encode()], [SHORT])
    try:
        with conn.cursor() as cursor, cursor.copy("copy products from stdin") as copy:
            copy.write(f"{NUMBER}\t{MARK}\t")
            raise RuntimeError(f"{MARK} {NUMBER}")
    except (RuntimeError, psycopg.Error):
        pass
    assert run("select 1") == [(1,)]


def what_fails():
    """PostgreSQL's own messages repeat values."""
    for statement in [
        f"select '{MARK}'::int",
        f"select {MARK} from products",
        f"select {MARK}({NUMBER})",
        f"select * from {MARK}.{MARK}",
        f"selec '{MARK}'",
        f"select '{MARK}",
        f"select $${MARK}",
        f"select ({MARK}",
        f"insert into products values (1, '{MARK}', '{MARK}', {NUMBER % 1000})",
        f"insert into products values (null, '{MARK}', '{MARK}', {NUMBER % 1000})",
        f"update products set price = {NUMBER}{NUMBER} where id = 1",
        f"select 1/(length('{MARK}') - length('{MARK}'))",
        f"\u00e9{MARK}\x01 {NUMBER}",
    ]:
        said = run(statement)
        assert isinstance(said, str), (statement, said)


def code_and_settings():
    run(f"do $$ begin raise notice '{MARK}'; raise exception '{MARK}'; end $$")
    run(f"do language plpgsql '{MARK}'")
    run(f"set application_name = '{MARK}'")
    run(f"set my.{MARK} = '{MARK}'")
    run(f"select set_config('my.setting', '{MARK}', false)")
    run(f"create role {MARK} password '{MARK}'")
    run(f"alter role current_user password '{MARK}'")
    run(f"comment on table products is '{MARK}'")
    run(f"explain select '{MARK}', {NUMBER}")
    run(f"listen {MARK}")
    run(f"notify {MARK}, '{MARK}'")
    run(f"set search_path = {MARK}, public")
    run(f"select pg_notify('{MARK}', '{MARK}')")
    run("set search_path = public")


def cursors_and_transactions():
    run("begin")
    run(f"savepoint {MARK}")
    run(f"declare {MARK} cursor for select '{MARK}'")
    run(f"fetch all from {MARK}")
    run(f"close {MARK}")
    run(f"rollback to {MARK}")
    run("rollback")
    run(f"prepare {MARK} as select $1::text, '{MARK}'")
    run(f"execute {MARK}('{MARK}')")
    run(f"deallocate {MARK}")
    run(f"prepare transaction '{MARK}'")


def bound_values():
    for binary in (False, True):
        run("select %s::text, %s::int8", (MARK, NUMBER), binary=binary)
        run("select %b::text, %b::int8, %b::bytea", (MARK, NUMBER, MARK.encode()), prepare=True, binary=binary)
        run("select name from products where name = %s", (MARK,), binary=binary)
        run("insert into products values (%s, %s, %s, 1)", (NUMBER, MARK, MARK), binary=binary)
        run("select %s::int", (MARK,), binary=binary)
    run("delete from products where id = %s", (NUMBER,))


def copies():
    with conn.cursor() as cursor:
        with cursor.copy("copy products from stdin") as copy:
            copy.write_row((NUMBER, MARK, MARK, 1))
        with cursor.copy(f"copy (select '{MARK}', name from products where id = {NUMBER}) to stdout") as copy:
            assert MARK.encode() in b"".join(bytes(row) for row in copy)
    for statement in [f"copy products from '/{MARK}'", f"copy products to program '{MARK}'"]:
        assert isinstance(run(statement), str)
    run("delete from products where id = %s", (NUMBER,))


def rows():
    """What the statement does not say: it comes with its rows, or in the server's words about them."""
    for statement in [
        "select note, code from notes where id > 0",
        "update notes set id = id where id > 0 returning note",
        "with moved as (delete from notes where id > 1000000 returning note) select note from moved union table codes",
        "select full_name, city, email from customers order by id desc limit 1",
        "select string_agg(note, ',') from notes",
    ]:
        for binary in (False, True):
            found = run(statement, binary=binary)
            assert ROW in str(found), (statement, found)
    for statement in [
        "insert into notes select id + 100, note, code from notes where id = 1",
        "update notes set id = -1, code = code || '-' where id = 1",
        "update notes set code = null where id = 1",
        "select note::int from notes",
        "select code::date from notes",
        "select note::json from notes",
        "select note::uuid from notes",
        "select note::int8 from notes",
        "insert into shown select note, 0 from notes",
    ]:
        said = run(statement)
        assert isinstance(said, str) and ROW in said, (statement, said)
    # The server's notices have rows, too.
    run("insert into shown select note, 1 from notes")
    assert any(ROW in notice for notice in notices), notices
    run("begin")
    run("declare c no scroll cursor for select note from notes")
    assert ROW in str(run("fetch all from c"))
    run("rollback")
    with conn.cursor() as cursor:
        with cursor.copy("copy notes to stdout") as copy:
            assert ROW.encode() in b"".join(bytes(row) for row in copy)
        # The line that COPY could not read is in the error.
        try:
            with cursor.copy("copy notes from stdin") as copy:
                copy.write(f"{NUMBER}\t{MARK}\t{MARK}\t{MARK}\n".encode())
        except psycopg.Error as error:
            assert MARK in str(error), error
        else:
            raise AssertionError("a line that is none")
    run("explain (analyze, verbose) select note from notes where note = (select max(note) from notes)")
    run("select pg_notify('channel', note) from notes")


def subjects():
    """Keys by which it is recorded whom a statement was about, and values that are told by thresholds."""
    for statement, parameters in [
        (f"select id, city from customers where id = {KEY}", None),
        (f"select city from customers where id in (1, {KEY})", None),
        ("select id, city from customers where id = %s", (KEY,)),
        ("select id, city from customers where id > 400", None),
        (f"select customer_id, amount from payments where amount > {NUMBER}.5", None),
        ("select customer_id from payments where amount between %s and %s", (NUMBER, NUMBER + 1)),
        (f"select id from payments where customer_id = {KEY} and amount = {NUMBER}", None),
        (f"select code from notes where code = '{ROW} code' and id < {NUMBER}", None),
        ("select code from notes where code = any(%s)", ([f"{ROW} code", MARK],)),
        (f"update customers set segment = '{MARK}' where id = {KEY}", None),
    ]:
        for binary in (False, True):
            found = run(statement, parameters, binary=binary)
            assert isinstance(found, list), (statement, found)


def large_objects():
    run(f"select lo_from_bytea({NUMBER % 1000000}, '{MARK}')")
    run("select lo_from_bytea(0, convert_to(note, 'UTF8')) from notes")
    run("select lo_put(%s, 0, %s)", (NUMBER % 1000000, MARK.encode()))
    run(f"select lo_get({NUMBER % 1000000})")
    run(f"comment on large object {NUMBER % 1000000} is '{MARK}'")
    run(f"select lo_unlink({NUMBER % 1000000})")


def held():
    """Held with literals, values and names, and verified, twice; then denied by others, then approved by them."""
    found = run(f"select ssn as {MARK} from customers where full_name = %s or id = 7 /* {MARK} */", (MARK,))
    assert found and found[0][0].startswith("9"), found
    found = run("select card_number, iban from payments where customer_id = %s", (KEY,), binary=True)
    assert ROW in str(found), found
    denied = run(sql.SQL("create table {} as select ssn, {} from customers").format(
        sql.Identifier(MARK), sql.Literal(MARK)))
    assert isinstance(denied, str) and "stepgate: " in denied, denied
    with conn.cursor() as cursor:
        copied = f"copy (select full_name, email from customers where id >= {KEY} or email = '{MARK}') to stdout"
        with cursor.copy(copied) as copy:
            assert ROW.encode() in b"".join(bytes(row) for row in copy)


def strangers():
    """Names that the gate does not know."""
    for how in [
        {"user": STRANGER, "password": STRANGER},
        {"user": STRANGER.upper(), "application_name": STRANGER},
        {"dbname": STRANGER},
        {"dbname": f"{STRANGER} {MARK}"},
        {"options": f"-c my.{STRANGER}={STRANGER}"},
        {"options": f"-c {STRANGER}={STRANGER}"},
        {"options": f"-c search_path={STRANGER}"},
        {"password": STRANGER},
        {"user": f"{STRANGER}\u00e9@corp.example", "dbname": "postgres"},
        {"client_encoding": STRANGER},
        {"replication": "database", "application_name": STRANGER},
        {"options": f"-c statement_timeout={SHORT}"},
        {"options": f"-c stepgate.purpose={MARK}"},
        {"options": f"--{MARK}={NUMBER} {MARK}"},
        {"application_name": f"psql {SAID}"},
        {"fallback_application_name": SAID},
    ]:
        try:
            psycopg.connect(**how).close()
        except psycopg.Error:
            pass


literals_and_names()
without_quotes()
how_many()
what_fails()
code_and_settings()
utilities()
cursors_and_transactions()
bound_values()
protocol()
copies()
rows()
subjects()
large_objects()
held()
strangers()
print("ok")

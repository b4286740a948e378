"""A workload full of marks, in every place where a statement can carry data: nothing of them may stay with the gate.

Marks are MARK (a name and a text) and NUMBER in statements; ROW (texts) and KEY (a number), which are in the database
beforehand and come in rows and in what the server says of them; SAID, which the client calls itself; STRANGER, of those
whom the gate does not know. Ends with "ok". Whoever runs it answers four held statements: the first two are verified,
the third is denied, the fourth approved.
"""

import base64
import os

import psycopg
from psycopg import sql

MARK, NUMBER = os.environ["MARK"], int(os.environ["NUMBER"])
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
    ]:
        try:
            psycopg.connect(**how).close()
        except psycopg.Error:
            pass


literals_and_names()
what_fails()
code_and_settings()
cursors_and_transactions()
bound_values()
copies()
rows()
subjects()
large_objects()
held()
strangers()
print("ok")

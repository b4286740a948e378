"""A workload full of marks, in every place where a statement can carry data: nothing of them may stay with the gate.

Marks are MARK (a name and a text) and NUMBER. Ends with "ok". Whoever runs it answers two held statements: the
first is verified, the second denied.
"""

import base64
import os

import psycopg
from psycopg import sql

MARK, NUMBER = os.environ["MARK"], int(os.environ["NUMBER"])
notices = []
conn = psycopg.connect(autocommit=True, application_name=f"{MARK} app")
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


def held():
    """Held with literals, values and names, and verified; then held and denied by others."""
    found = run(f"select ssn as {MARK} from customers where full_name = %s or id = 7 /* {MARK} */", (MARK,))
    assert found and found[0][0].startswith("9"), found
    denied = run(sql.SQL("create table {} as select ssn, {} from customers").format(
        sql.Identifier(MARK), sql.Literal(MARK)))
    assert isinstance(denied, str) and "stepgate: " in denied, denied


def strangers():
    """Names that the gate does not know."""
    for how in [
        {"user": MARK, "password": MARK},
        {"dbname": MARK},
        {"options": f"-c my.{MARK}={MARK}"},
        {"options": f"-c {MARK}={MARK}"},
        {"password": MARK},
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
held()
strangers()
print("ok")

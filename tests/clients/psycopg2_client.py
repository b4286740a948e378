"""psycopg 2 as people use it: simple protocol, no autocommit, named cursors, COPY both ways. Ends with "ok"."""

import io
import os
import threading
import time

import psycopg2
import psycopg2.extras
from psycopg2 import errors

conn = psycopg2.connect("")
cur = conn.cursor()

# Held behind the driver's own BEGIN, and released from outside.
cur.execute("select full_name, ssn from customers where id = %s", (1,))
assert cur.fetchone() == ("Amir Bauer", "901-00-0001")
assert any("stepgate: " in text for text in conn.notices), conn.notices
conn.commit()

# Held, and denied by others: an error of the statement.
try:
    cur.execute("create table copied as select ssn from customers")
    raise SystemExit("the copy passed")
except errors.InsufficientPrivilege as error:
    assert "stepgate: " in str(error), error
    conn.rollback()

# Held, and cancelled by its sender.
threading.Timer(1, conn.cancel).start()
try:
    cur.execute("select salary from hr.employees")
    raise SystemExit("the salaries passed")
except errors.QueryCanceled:
    conn.rollback()

# A cursor of the server's, in pieces.
with conn.cursor("pieces") as named:
    named.itersize = 7
    named.execute("select id from products order by id")
    assert [row[0] for row in named] == list(range(1, 201))
conn.commit()

# COPY both ways, many rows in one statement, and back.
psycopg2.extras.execute_values(cur, "insert into products values %s", [(900 + i, f"p{i}", "home", 1) for i in range(9)])
cur.copy_expert("copy products from stdin", io.StringIO("999\tcopied\thome\t2\n"))
out = io.StringIO()
cur.copy_expert("copy (select name from products where id >= 900 order by id) to stdout", out)
assert out.getvalue().split() == [f"p{i}" for i in range(9)] + ["copied"], out.getvalue()
conn.rollback()

# Prepared in SQL; a statement that runs is cancelled as well.
cur.execute("prepare by_id (bigint) as select id from products where id = $1")
for number in (3, 4):
    cur.execute("execute by_id (%s)", (number,))
    assert cur.fetchone() == (number,)
conn.commit()


def cancel_once_it_runs():
    """The server itself is asked whether it does."""
    port, password = os.environ["DIRECT_PORT"], os.environ["DIRECT_PASSWORD"]
    direct = psycopg2.connect(port=port, user="stepgate_analyst", password=password, sslmode="disable")
    direct.autocommit = True
    seen = direct.cursor()
    running = "select 1 from pg_stat_activity where pid = %s and state = 'active' and query like '%%pg_sleep(60)%%'"
    while seen.execute(running, (conn.get_backend_pid(),)) or not seen.fetchone():
        time.sleep(0.02)
    direct.close()
    conn.cancel()


threading.Thread(target=cancel_once_it_runs).start()
try:
    cur.execute("select pg_sleep(60)")
    raise SystemExit("it slept")
except errors.QueryCanceled:
    conn.rollback()

# Large objects, by the fast path.
stored = conn.lobject(0, "wb")
assert stored.write(b"a picture" * 9000) == 81000
stored.seek(2)
stored.truncate(20)
stored.close()
read = conn.lobject(stored.oid, "rb")
assert read.read() == (b"a picture" * 9000)[:20]
assert read.seek(0, 2) == 20 and read.tell() == 20
read.unlink()
conn.commit()

# An error, and the session lives on.
try:
    cur.execute("select 1/0")
    raise SystemExit("no error")
except errors.DivisionByZero:
    conn.rollback()
cur.execute("select count(*) from products")
assert cur.fetchone() == (200,)
conn.close()
print("ok")

"""psycopg 3 as people use it: no autocommit, parameters, cursors, COPY, pipelines. Ends with "ok"."""

import os
import threading
import time

import psycopg

notices = []
conn = psycopg.connect()
conn.add_notice_handler(lambda diag: notices.append(diag.message_primary))

# The driver sends BEGIN by itself; the statement is held behind it and released from outside.
row = conn.execute("select full_name, ssn from customers where id = %s", (1,)).fetchone()
assert row == ("Amir Bauer", "901-00-0001"), row
assert any(text.startswith("stepgate: ") for text in notices), notices

# By the grant, in the same transaction; again often enough for a server-side prepared statement.
for number in range(1, 9):
    row = conn.execute("select ssn from customers where id = %s", (number,)).fetchone()
    assert row[0].startswith("9"), row
conn.commit()
assert len(notices) == 1, notices

# Held, and denied by others: an error of the statement.
try:
    conn.execute("create table copied as select ssn from customers")
    raise SystemExit("the copy passed")
except psycopg.errors.InsufficientPrivilege as error:
    assert "stepgate: " in str(error), error
    conn.rollback()

# Held, and cancelled by its sender, encrypted as libpq 17 does it.
threading.Timer(1, conn.cancel_safe).start()
try:
    conn.execute("select salary from hr.employees")
    raise SystemExit("the salaries passed")
except psycopg.errors.QueryCanceled:
    conn.rollback()

# Nothing personal: parameters of several types, binary results, nulls.
row = conn.execute("select %s::int + 1, %s::text, %s::numeric, null", (41, "déjà", 1.5)).fetchone()
assert row[0] == 42 and row[1] == "déjà" and row[3] is None, row
with conn.cursor(binary=True) as cur:
    assert cur.execute("select id, price from products where id = %s", (7,)).fetchone()[0] == 7

# The simple protocol, several statements in a message, and an error among them.
with psycopg.ClientCursor(conn) as cur:
    cur.execute("select %s; select id from products order by id limit 2", ("one",))
    assert cur.fetchone() == ("one",) and cur.nextset() and len(cur.fetchall()) == 2
    try:
        cur.execute("select 1; select %s / 0; select 2", (1,))
        raise SystemExit("no error")
    except psycopg.errors.DivisionByZero:
        conn.rollback()

# A statement that runs is cancelled as well.
def cancel_once_it_runs():
    """The server itself is asked whether it does."""
    port, password = os.environ["DIRECT_PORT"], os.environ["DIRECT_PASSWORD"]
    running = "select 1 from pg_stat_activity where pid = %s and state = 'active' and query like '%%pg_sleep(60)%%'"
    how = {"port": port, "user": "stepgate_analyst", "password": password, "sslmode": "disable", "autocommit": True}
    with psycopg.connect(**how) as direct:
        while not direct.execute(running, (conn.info.backend_pid,)).fetchone():
            time.sleep(0.02)
    conn.cancel()


threading.Thread(target=cancel_once_it_runs).start()
try:
    conn.execute("select pg_sleep(60)")
    raise SystemExit("it slept")
except psycopg.errors.QueryCanceled:
    conn.rollback()

# An error, and the session lives on.
try:
    conn.execute("select 1/0")
    raise SystemExit("no error")
except psycopg.errors.DivisionByZero:
    conn.rollback()

# Many parameters in a row, COPY in, COPY out, and back.
with conn.cursor() as cur:
    cur.executemany("insert into products values (%s, %s, 'home', 1)", [(900 + i, f"p{i}") for i in range(20)])
    with cur.copy("copy products from stdin") as copy:
        copy.write_row((999, "copied", "home", 2))
    with cur.copy("copy (select name from products where id >= 900 order by id) to stdout") as copy:
        names = [row[0] for row in copy.rows()]
    assert names[0] == "p0" and names[-1] == "copied" and len(names) == 21, names
conn.rollback()

# A pipeline: several messages before the first answer.
with conn.pipeline():
    cursors = [conn.execute("select name from products where id = %s", (i,)) for i in range(1, 6)]
assert all(cur.fetchone() for cur in cursors)
conn.rollback()
# An error in it is the error of its statement, and of what stands behind it up to the next Sync.
try:
    with conn.pipeline() as pipeline:
        before = conn.execute("select 'before'")
        failing = conn.execute("select 1 / %s::int", (0,))
        behind = conn.execute("select 'behind'")
        pipeline.sync()
    raise SystemExit("no error")
except (psycopg.errors.DivisionByZero, psycopg.errors.PipelineAborted):
    assert before.fetchone() == ("before",)
    conn.rollback()

# What is denied is an error of the statement, not of the connection.
try:
    conn.execute("grant select on customers to public")
    raise SystemExit("GRANT passed")
except psycopg.errors.InsufficientPrivilege as error:
    assert "stepgate: " in str(error), error
    conn.rollback()
assert conn.execute("select 1").fetchone() == (1,)
conn.close()
print("ok")

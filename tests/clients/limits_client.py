"""psycopg 3 at a limit of 1,000 rows: approved, approved, approved, denied, denied, cancelled. Ends with "ok"."""

import threading

import psycopg

held_at = []
got = 0
conn = psycopg.connect(autocommit=True)


def told(diag):
    if "stepgate: held after" in diag.message_primary:
        held_at.append((got, diag.message_primary))


conn.add_notice_handler(told)

CONTACTS = "select c.id, n, email from customers c, generate_series(1, 4) n order by c.id, n"
expected = [(1 + i // 4, 1 + i % 4) for i in range(2000)]

# A row at a time: exactly 1,000 are here when the notice comes, and all of them in the end.
with conn.cursor() as cur:
    seen = []
    for row in cur.stream(CONTACTS):
        got += 1
        seen.append(row[:2])
assert seen == expected, len(seen)
# libpq reads a message ahead of the row that it gives out.
assert [at for at, _ in held_at] in ([999], [1000]), held_at
assert "held after 1,000 rows" in held_at[0][1], held_at

# A cursor of the server's, fetched from by 150 rows: the limit is the cursor's.
got, held_at = 0, []
with conn.transaction(), conn.cursor("c") as cur:
    cur.itersize = 150
    cur.execute(CONTACTS)
    for row in cur:
        got += 1
assert got == 2000 and len(held_at) == 1, (got, held_at)
assert "held after 1,000 rows" in held_at[0][1], held_at

# A pipeline: what comes behind waits, and runs.
held_at = []
with conn.pipeline():
    first = conn.execute(CONTACTS)
    second = conn.execute("select count(*) from products")
assert len(first.fetchall()) == 2000 and second.fetchone() == (200,)
assert len(held_at) == 1, held_at

# Denied: an error, in a transaction too, and the session goes on.
with conn.transaction(force_rollback=True):
    try:
        with conn.transaction():
            conn.execute(CONTACTS).fetchall()
        raise SystemExit("it passed")
    except psycopg.errors.InsufficientPrivilege as error:
        assert "denied by" in str(error) and "1,000 rows were delivered" in str(error), error
    # The savepoint was rolled back to: the transaction goes on.
    assert conn.execute("select 1").fetchone() == (1,)

# Denied in the middle of a pipeline: what comes behind is skipped up to the sync.
try:
    with conn.pipeline():
        conn.execute(CONTACTS)
        conn.execute("insert into products values (999, 'skipped', 'home', 1)")
    raise SystemExit("it passed")
except psycopg.errors.InsufficientPrivilege:
    pass
assert conn.execute("select count(*) from products where id = 999").fetchone() == (0,)

# Cancelled while it is held.
threading.Timer(2, conn.cancel_safe).start()
try:
    conn.execute(CONTACTS).fetchall()
    raise SystemExit("it passed")
except psycopg.errors.QueryCanceled as error:
    assert "cancelled while held" in str(error), error
assert conn.execute("select 1").fetchone() == (1,)
conn.close()
print("ok")

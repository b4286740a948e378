"""pg8000, which has no cancel: the driver's own protocol code, prepared statements, COPY both ways. What it has held is
cancelled at the gate. Ends with "ok"."""

import io
import os
import ssl

import pg8000.dbapi
import pg8000.native

tls = ssl.create_default_context(cafile=os.environ["PGSSLROOTCERT"])
connected = dict(
    user=os.environ["PGUSER"],
    password=os.environ["PGPASSWORD"],
    host=os.environ["PGHOST"],
    port=int(os.environ["PGPORT"]),
    database=os.environ["PGDATABASE"],
    ssl_context=tls,
)
conn = pg8000.dbapi.connect(**connected)
cur = conn.cursor()

# Held behind the driver's own BEGIN, and released from outside.
cur.execute("select full_name, ssn from customers where id = %s", (1,))
assert list(cur.fetchone()) == ["Amir Bauer", "901-00-0001"]
conn.commit()

# Held, and denied by others: an error of the statement.
try:
    cur.execute("create table copied as select ssn from customers")
    raise SystemExit("the copy passed")
except pg8000.dbapi.DatabaseError as error:
    assert error.args[0]["C"] == "42501" and "stepgate: " in error.args[0]["M"], error
    conn.rollback()

# Held, and cancelled by whoever sent it, at the gate; others go on.
try:
    cur.execute("select salary from hr.employees")
    raise SystemExit("the salaries passed")
except pg8000.dbapi.DatabaseError as error:
    assert error.args[0]["C"] == "57014", error
    conn.rollback()

# COPY both ways, many parameters, and back.
cur.executemany("insert into products values (%s, %s, 'home', 1)", [(900 + i, f"p{i}") for i in range(9)])
cur.execute("copy products from stdin", stream=io.BytesIO(b"999\tcopied\thome\t2\n"))
out = io.BytesIO()
cur.execute("copy (select name from products where id >= 900 order by id) to stdout", stream=out)
assert out.getvalue().decode().split() == [f"p{i}" for i in range(9)] + ["copied"], out.getvalue()
conn.rollback()

# An error, and the session lives on.
try:
    cur.execute("select 1/0")
    raise SystemExit("no error")
except pg8000.dbapi.DatabaseError as error:
    assert error.args[0]["C"] == "22012", error
    conn.rollback()
cur.execute("select count(*) from products")
assert cur.fetchone()[0] == 200
conn.close()

native = pg8000.native.Connection(**connected)
statement = native.prepare("select name from products where id = :id")
assert [statement.run(id=number) for number in (1, 2)] != [None, None]
statement.close()
# Without parameters it is the simple protocol, several statements in a message.
assert native.run("select 1; select 2")[-1] == [2]
native.close()
print("ok")

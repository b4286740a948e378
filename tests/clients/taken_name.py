"""What an approved function does to a prepared statement's name is not taken for what the driver prepared. Ends with "ok"."""

import psycopg

conn = psycopg.connect(autocommit=True)


def again():
    return conn.execute("select 1", prepare=True).fetchone()


assert again() == (1,) and again() == (1,)
(name,) = conn._prepared._names.values()
name = name.decode()

# Held, and approved from outside.
conn.execute(f"select tidy('deallocate {name}; prepare {name} as select ssn from customers limit 1')")

try:
    raise SystemExit(f"the name passed for what it was: {again()}")
except psycopg.errors.InsufficientPrivilege as error:
    assert "stepgate: " in str(error), error
assert conn.execute("select 2").fetchone() == (2,)
conn.close()
print("ok")

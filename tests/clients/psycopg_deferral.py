"""psycopg 3 where a statement cannot wait: SG010, a rollback, and the same statement again. Ends with "ok"."""

import sys
import threading

import psycopg

QUERY = "select full_name, ssn from customers where id = %s"
notices = []
conn = psycopg.connect()
conn.add_notice_handler(lambda diag: notices.append(diag.message_primary))


def asks(number):
    """The statement is held: somebody is asked. Not now, says the program."""
    notices.clear()
    timer = threading.Timer(2, conn.cancel)
    timer.start()
    try:
        conn.execute(QUERY, (number,))
        raise SystemExit(f"{number} passed")
    except psycopg.errors.QueryCanceled:
        assert any(text.startswith("stepgate: held") for text in notices), notices
        conn.rollback()
    finally:
        timer.cancel()


# A transaction that has written: the driver's own BEGIN, an INSERT, and then what needs others.
conn.execute("insert into products values (%s, 'new', 'home', 1)", (901,))
try:
    conn.execute(QUERY, (1,))
    raise SystemExit("not deferred")
except psycopg.Error as error:
    assert error.sqlstate == "SG010", error
    assert error.diag.message_primary.startswith("stepgate: deferred"), error
    assert "Reads public.customers." in error.diag.message_detail, error
    assert "passes once" in error.diag.message_hint, error
    conn.rollback()

print("deferred", flush=True)
assert sys.stdin.readline() == "approved\n"

# Another value is another statement.
asks(2)
# The same passes once, in a transaction of its own or behind the same work as before.
conn.execute("insert into products values (%s, 'new', 'home', 1)", (901,))
row = conn.execute(QUERY, (1,)).fetchone()
assert row == ("Amir Bauer", "901-00-0001"), row
conn.commit()
asks(1)
conn.close()
print("ok")

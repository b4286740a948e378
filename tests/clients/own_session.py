"""Sessions of one's own, ended as drivers' users do it: by a parameter, by a cast one, from within. A function of the
same name that fits the parameter better is not taken for the server's. Ends with "ok"."""

import psycopg

dana = psycopg.connect(autocommit=True)
END = "select pg_terminate_backend({})"


def is_ended(conn):
    try:
        conn.execute("select 1")
        return False
    except psycopg.OperationalError:
        return True


for argument in "%s", "%s::int":
    other = psycopg.connect(autocommit=True)
    assert dana.execute(END.format(argument), (other.info.backend_pid,)).fetchone() == (True,)
    assert is_ended(other), argument
itself = psycopg.connect()
try:
    itself.execute(END.format("pg_backend_pid()"))
    raise SystemExit("still there")
except psycopg.errors.AdminShutdown:
    assert is_ended(itself)

# One that reads, and takes what it is given as text: in the transaction that makes it, and afterwards.
MADE = """create function public.pg_terminate_backend(text) returns text language sql
    as 'select ssn from public.customers where id = 1'"""
mine = str(dana.info.backend_pid)
for begins, ends in ("begin", "rollback"), ("select 1", "select 1"):
    dana.execute(begins)
    dana.execute(MADE)
    try:
        raise SystemExit(f"passed: {dana.execute(END.format('%s'), (mine,)).fetchone()}")
    except psycopg.errors.InsufficientPrivilege as error:
        assert "only sessions of your own" in str(error), error
    dana.execute(ends)
print("ok")

"""Statements and cursors made in SQL and used by the protocol, and the other way round; temporary tables in the
transaction that psycopg begins by itself. Ends with "ok"."""

import psycopg
from psycopg.pq import ExecStatus

notices = []
conn = psycopg.connect(autocommit=True)
conn.add_notice_handler(lambda diag: notices.append(diag.message_primary))
pq = conn.pgconn


def rows(result):
    assert result.status in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK), result.error_message
    return [result.get_value(row, 0) for row in range(result.ntuples)]


def run(sql):
    return rows(pq.exec_(sql.encode()))


# Prepared by Parse, executed by EXECUTE: held, and released from outside.
rows(pq.prepare(b"h", b"select ssn from customers where id = 1"))
assert run("execute h") == [b"901-00-0001"]
assert len(notices) == 1, notices

rows(pq.prepare(b"s", b"select id from products order by id limit 2"))
assert run("execute s") == [b"1", b"2"]
run("prepare q (bigint) as select id from products where id >= $1 order by id limit 2")
for _ in range(3):
    assert rows(pq.exec_prepared(b"q", [b"7"])) == [b"7", b"8"]
assert run("execute q (9)") == [b"9", b"10"]
run("deallocate q")
rows(pq.prepare(b"q", b"select 'another'"))
assert rows(pq.exec_prepared(b"q", [])) == [b"another"]

run("begin")
run("declare c cursor with hold for select id from products order by id")
assert run("fetch 2 from c") == [b"1", b"2"]
assert pq.describe_portal(b"c").nfields == 1
run("commit")
assert run("fetch 1 from c") == [b"3"]
run("close c")

# As anybody uses psycopg, who has not asked for autocommit.
with psycopg.connect() as own:
    own.add_notice_handler(lambda diag: notices.append(diag.message_primary))
    own.execute("create temp table t as select id, segment from customers where id < %s", (100,))
    assert own.execute("select count(*) from t").fetchone() == (99,)
    own.execute("create temp table if not exists u (a bigint primary key, b text) on commit drop")
    with own.cursor() as cur:
        cur.executemany("insert into u values (%s, %s)", [(i, str(i)) for i in range(20)])
        with cur.copy("copy u (a) from stdin") as copy:
            copy.write_row((99,))
    assert own.execute("select count(b), max(t.id) from t join u on u.a = t.id").fetchone() == (19, 99)
    own.execute("drop table t")
    own.execute("create temp table t as select a from u")
    with own.cursor(name="portal") as cur:
        cur.itersize = 5
        assert len(list(cur.execute("select a from t"))) == 21
    own.commit()
    assert own.execute("select count(*) from t").fetchone() == (21,)
assert len(notices) == 1, notices
print("ok")

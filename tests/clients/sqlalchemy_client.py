"""SQLAlchemy over psycopg: pool, reflection, ORM, streaming. Ends with "ok"."""

import os
import threading
import time

import psycopg
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

engine = sa.create_engine("postgresql+psycopg://", pool_size=2)


def sqlstate(error):
    return error.orig.sqlstate


# Held behind the driver's own BEGIN, and released from outside.
with engine.connect() as conn:
    row = conn.execute(sa.text("select full_name, ssn from customers where id = :id"), {"id": 1}).one()
    assert tuple(row) == ("Amir Bauer", "901-00-0001"), row

# Held, and denied by others: an error of the statement.
try:
    with engine.begin() as conn:
        conn.execute(sa.text("create table copied as select ssn from customers"))
    raise SystemExit("the copy passed")
except ProgrammingError as error:
    assert sqlstate(error) == "42501" and "stepgate: " in str(error), error

# Held, and cancelled by its sender.
with engine.connect() as conn:
    threading.Timer(1, conn.connection.driver_connection.cancel).start()
    try:
        conn.execute(sa.text("select salary from hr.employees"))
        raise SystemExit("the salaries passed")
    except OperationalError as error:
        assert sqlstate(error) == "57014", error

# A statement that runs is cancelled as well; the server itself is asked whether it does, and whether it still does.
HOW = {"port": os.environ["DIRECT_PORT"], "user": "stepgate_analyst", "password": os.environ["DIRECT_PASSWORD"]}


def runs(direct, pid):
    active = "select 1 from pg_stat_activity where pid = %s and state = 'active' and query like '%%pg_sleep%%'"
    return direct.execute(active, (pid,)).fetchone() is not None


def cancel_once_it_runs(driver):
    with psycopg.connect(**HOW, sslmode="disable", autocommit=True) as direct:
        while not runs(direct, driver.info.backend_pid):
            time.sleep(0.02)
    driver.cancel()


with engine.connect() as conn, psycopg.connect(**HOW, sslmode="disable", autocommit=True) as direct:
    driver = conn.connection.driver_connection
    threading.Thread(target=cancel_once_it_runs, args=(driver,)).start()
    try:
        conn.execute(sa.text("select pg_sleep(600)"))
        raise SystemExit("it slept")
    except OperationalError as error:
        assert sqlstate(error) == "57014", error
    assert not runs(direct, driver.info.backend_pid)
    conn.rollback()

# Statements that the server prepares, at their first use and by name: held by the first, and no other way.
prepares = sa.create_engine("postgresql+psycopg://", connect_args={"prepare_threshold": 0})
with prepares.connect() as conn:
    names = sa.text("select name from products where id = :id")
    for number in (1, 2, 3):
        assert conn.execute(names, {"id": number}).scalar() is not None
    ssn = sa.text("select ssn from customers where id = :id")
    assert all(conn.execute(ssn, {"id": number}).scalar().startswith("9") for number in (4, 5))
    # As many as were prepared, the gate's own questions not among them.
    kept = conn.connection.driver_connection._prepared._names
    assert len(kept) >= 2 and all(name.startswith(b"_pg3_") for name in kept.values()), kept
    conn.rollback()
prepares.dispose()

# The ORM on a reflected table: written, read, streamed, and back.
meta = sa.MetaData()
products = sa.Table("products", meta, autoload_with=engine)
Base = orm.declarative_base(metadata=meta)


class Product(Base):
    __table__ = products
    __mapper_args__ = {"primary_key": [products.c.id]}


with orm.Session(engine) as session:
    session.add_all(Product(id=900 + i, name=f"p{i}", category="home", price=1) for i in range(9))
    session.flush()
    found = session.scalars(sa.select(Product).where(Product.id >= 900).order_by(Product.id)).all()
    assert [it.name for it in found] == [f"p{i}" for i in range(9)]
    session.rollback()
    pieces = session.execute(sa.select(products.c.id).order_by(products.c.id).execution_options(yield_per=7))
    assert [row.id for row in pieces] == list(range(1, 201))

# By the driver beneath: the simple protocol, COPY both ways, and back.
with engine.connect() as conn:
    driver = conn.connection.driver_connection
    with psycopg.ClientCursor(driver) as cur:
        assert cur.execute("select 1; select %s", ("two",)).nextset() and cur.fetchone() == ("two",)
    with driver.cursor() as cur:
        with cur.copy("copy products from stdin") as copy:
            copy.write_row((999, "copied", "home", 2))
        with cur.copy("copy (select name from products where id >= 900) to stdout") as copy:
            assert [row[0] for row in copy.rows()] == ["copied"]
    conn.rollback()

# An error, and the connection goes back to the pool usable.
with engine.connect() as conn:
    try:
        conn.execute(sa.text("select 1/0"))
        raise SystemExit("no error")
    except DBAPIError as error:
        assert sqlstate(error) == "22012", error
    conn.rollback()
    assert conn.execute(sa.select(sa.func.count()).select_from(products)).scalar() == 200
print("ok")

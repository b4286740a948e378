"""asyncpg as people use it: prepared statements, cursors, executemany in a pipeline, COPY both ways. Ends with "ok"."""

import asyncio
import io

import asyncpg


async def main():
    conn = await asyncpg.connect()
    notices = []
    conn.add_log_listener(lambda _, notice: notices.append(notice.message))

    # Held, and released from outside; then by the grant, prepared.
    row = await conn.fetchrow("select full_name, ssn from customers where id = $1", 1)
    assert tuple(row) == ("Amir Bauer", "901-00-0001"), row
    assert any(text.startswith("stepgate: ") for text in notices), notices
    statement = await conn.prepare("select ssn from customers where id = $1")
    for number in range(2, 5):
        assert (await statement.fetchval(number)).startswith("9")

    # Held, and denied by others: an error of the statement.
    try:
        await conn.execute("create table copied as select ssn from customers")
        raise SystemExit("the copy passed")
    except asyncpg.InsufficientPrivilegeError as error:
        assert "stepgate: " in str(error), error

    # Held, and cancelled by its sender when it takes too long.
    try:
        await conn.fetch("select salary from hr.employees", timeout=1.5)
        raise SystemExit("the salaries passed")
    except asyncio.TimeoutError:
        pass

    async with conn.transaction():
        names = [row["id"] async for row in conn.cursor("select id from products order by id", prefetch=7)]
        assert names == list(range(1, 201))

    transaction = conn.transaction()
    await transaction.start()
    await conn.executemany("insert into products values ($1, $2, 'home', 1)", [(900 + i, f"p{i}") for i in range(9)])
    await conn.copy_records_to_table("products", records=[(999, "copied", "home", 2)])
    out = io.BytesIO()
    await conn.copy_from_query("select name from products where id >= 900 order by id", output=out)
    assert out.getvalue().decode().split() == [f"p{i}" for i in range(9)] + ["copied"], out.getvalue()
    await transaction.rollback()

    # The simple protocol, several statements in a message.
    several = "insert into products values (990, 'one', 'home', 1); delete from products where id = 990"
    assert await conn.execute(several) == "DELETE 1"
    # A statement that runs is cancelled as well, and the session goes on.
    try:
        await conn.fetch("select pg_sleep(60)", timeout=0.5)
        raise SystemExit("it slept")
    except asyncio.TimeoutError:
        pass

    try:
        await conn.execute("select 1/0")
        raise SystemExit("no error")
    except asyncpg.DivisionByZeroError:
        pass
    assert await conn.fetchval("select count(*) from products") == 200
    await conn.close()
    print("ok")


asyncio.run(main())

"""asyncpg at a limit of five people an hour, as somebody who is not asked: rows come in binary. Ends with "ok"."""

import asyncio
import os
import ssl

import asyncpg

ONE = "select id, email from customers where id = $1"


async def main():
    context = ssl.create_default_context(cafile=os.environ["PGSSLROOTCERT"])
    conn = await asyncpg.connect(
        host=os.environ["PGHOST"],
        port=int(os.environ["PGPORT"]),
        user=os.environ["PGUSER"],
        password=os.environ["PGPASSWORD"],
        database=os.environ["PGDATABASE"],
        ssl=context,
    )
    one = await conn.prepare(ONE)
    for _ in range(4):
        for customer in range(1, 6):
            rows = await one.fetch(customer)
            assert [row["id"] for row in rows] == [customer], rows
    # A cursor is no other way: each of its rows says whose it is.
    async with conn.transaction():
        rows = [row["id"] async for row in conn.cursor("select id, email from customers where id < 6", prefetch=2)]
    assert sorted(rows) == [1, 2, 3, 4, 5], rows
    try:
        await one.fetch(6)
        raise SystemExit("it passed")
    except asyncpg.InsufficientPrivilegeError as error:
        assert "5 subjects" in str(error), error
    assert len(await one.fetch(3)) == 1
    await conn.close()
    print("ok")


asyncio.run(main())

"""asyncpg at a limit of 1,000 rows: a cursor approved, a COPY denied, a timeout. Ends with "ok"."""

import asyncio
import os
import ssl

import asyncpg

CONTACTS = "select c.id, n, email from customers c, generate_series(1, 4) n order by c.id, n"


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
    async with conn.transaction():
        rows = [row async for row in conn.cursor(CONTACTS, prefetch=90)]
    assert len(rows) == 2000, len(rows)
    assert [tuple(row)[:2] for row in rows] == [(1 + i // 4, 1 + i % 4) for i in range(2000)]
    # Denied in the middle of a result.
    try:
        await conn.fetch(CONTACTS)
        raise SystemExit("it passed")
    except asyncpg.InsufficientPrivilegeError as error:
        assert "denied by" in str(error), error
    assert await conn.fetchval("select 1") == 1
    # The driver's own timeout cancels what is held.
    try:
        await conn.fetch(CONTACTS, timeout=2)
        raise SystemExit("it passed")
    except (TimeoutError, asyncio.TimeoutError):
        pass
    assert await conn.fetchval("select 1") == 1
    await conn.close()
    print("ok")


asyncio.run(main())

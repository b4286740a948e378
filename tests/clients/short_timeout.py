"""asyncpg with a statement_timeout that is shorter than people take. Ends with "ok".

Whoever runs it verifies the one statement that is held, later than that.
"""

import asyncio

import asyncpg


async def main():
    conn = await asyncpg.connect(server_settings={"statement_timeout": "1500"})
    assert (await conn.fetchval("select ssn from customers where id = $1", 1)).startswith("901-")
    # It still counts for what runs.
    try:
        await conn.fetch("select pg_sleep(10)")
        raise SystemExit("it slept")
    except asyncpg.QueryCanceledError as error:
        assert "statement timeout" in str(error), error
    print("ok")


asyncio.run(main())

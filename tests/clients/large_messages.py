"""Messages far beyond what one reads at once: they pass up to the limit, and beyond it fail alone. Ends with "ok"."""

import psycopg

MIB = 1 << 20
conn = psycopg.connect(autocommit=True)
image = bytes(range(256)) * (20 * MIB // 256)

# A parameter of 20 MiB, there and back, and in a prepared statement that is used again.
for _ in range(3):
    there = conn.execute("select length(%b::bytea), %b::bytea", (image, image), prepare=True, binary=True)
    length, back = there.fetchone()
    assert length == len(image) and back == image, length
# As text, in the message itself: hexadecimal, so twice as long.
with conn.transaction(), conn.cursor() as cur:
    assert cur.execute("select length(%t)", ("é" * (10 * MIB),)).fetchone() == (10 * MIB,)

# Above limits.message: an error of that statement, which says so, and the session goes on.
for _ in range(2):
    try:
        conn.execute("select length(%b::bytea)", (image * 4,))
        raise SystemExit("80 MiB passed")
    except psycopg.errors.ProgramLimitExceeded as error:
        assert "stepgate: " in str(error) and "limits.message" in str(error), error
    assert conn.execute("select 1").fetchone() == (1,)
try:
    psycopg.ClientCursor(conn).execute("select length(%s)", ("x" * (70 * MIB),))
    raise SystemExit("70 MiB of text passed")
except psycopg.errors.ProgramLimitExceeded:
    pass
assert conn.execute("select %s::int", (2,)).fetchone() == (2,)

# In a transaction it has failed, as by any error.
try:
    with conn.transaction():
        conn.execute("select 1")
        conn.execute("select length(%b::bytea)", (image * 4,))
    raise SystemExit("80 MiB passed")
except psycopg.errors.ProgramLimitExceeded:
    pass

# In a pipeline, what goes before it has run, and what comes behind it up to the next Sync has not.
try:
    with conn.pipeline() as pipeline:
        before = conn.execute("select 'before'")
        conn.execute("select length(%b::bytea)", (image * 4,))
        behind = conn.execute("select 'behind'")
        pipeline.sync()
    raise SystemExit("no error")
except (psycopg.errors.ProgramLimitExceeded, psycopg.errors.PipelineAborted):
    assert before.fetchone() == ("before",)
assert conn.execute("select 3").fetchone() == (3,)
conn.close()
print("ok")

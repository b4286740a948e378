"""Protocol 3.2: the gate gives a cancel key of 32 bytes, which cancels what is held and what runs; a part of it, or
another, cancels nothing. By raw frames, and by psycopg where its libpq speaks 3.2 (18). Ends with "ok"."""

import os

import frames

PROTOCOL_3_2 = 196610
HELD = "select ssn from customers"

raw = frames.Session(int(os.environ["PGPORT"]), os.environ["PGUSER"], os.environ["PGPASSWORD"], PROTOCOL_3_2)
key = raw.secret
assert len(key) == 32, len(key)
for sql, tags in (HELD, "EZ"), ("select pg_sleep(60)", "TEZ"):
    raw.send(frames.query(sql))
    if sql == HELD:
        assert raw.replies("N")[-1][0] == "N"
    # Of these none counts: nothing comes but keep-alives.
    for wrong in key[:4], key[:31] + bytes([key[31] ^ 1]), bytes(32), b"":
        raw.secret = wrong
        raw.cancel()
    tag, body = raw.frame(0.2)
    while tag == "S":
        tag, body = raw.frame(0.2)
    assert tag in (None, "T"), (tag, body)
    raw.secret = key
    raw.cancel()
    replies = raw.replies()
    if tag == "T":
        replies.insert(0, (tag, body))
    assert "".join(tag for tag, _ in replies) == tags, replies
    assert frames.fields(replies[-2][1])["C"] == "57014", replies
raw.end()

try:
    import psycopg
except ImportError:
    psycopg = None
if psycopg and psycopg.pq.version() >= 180000:
    conn = psycopg.connect("max_protocol_version=3.2", autocommit=True)
    assert conn.pgconn.full_protocol_version == 30002, conn.pgconn.full_protocol_version
    conn.add_notice_handler(lambda notice: conn.cancel_safe(timeout=10))
    try:
        conn.execute(HELD)
        raise SystemExit("not cancelled")
    except psycopg.errors.QueryCanceled as error:
        assert "stepgate: cancelled" in str(error), error
    assert conn.execute("select 1").fetchone() == (1,)
print("ok")

"""Cancel requests at random times: only the statement under way is ever hit. Ends with "ok"."""

import random
import threading
import time

from frames import SYNC, bind, by_gate, direct, execute, fields, parse, query

random.seed(4)
session, other, server = by_gate(), by_gate(), direct()
ended = {"57014": 0, None: 0}


def frames(sql):
    return [query(sql)] if random.random() < 0.5 else [parse("", sql), bind(), execute(), SYNC]


def ends(replies):
    codes = [fields(body)["C"] for tag, body in replies if tag == "E"]
    assert replies[-1][0] == "Z" and len(codes) <= 1, replies
    return codes[0] if codes else None


def cancels_after(seconds):
    time.sleep(seconds)
    session.cancel()


def sleeps():
    """Waits until the server is at it: a cancel that comes before it has read the statement hits nothing, as
    without a gate."""
    asleep = "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and query like '%pg_sleep(20)%'"
    end = time.monotonic() + 15
    while ("D", b"\0\1\0\0\0\x011") not in server.ask(query(asleep)):
        assert time.monotonic() < end
        time.sleep(0.001)


for turn in range(150):
    kind = random.random()
    if kind < 0.2:
        # What names mean is asked of the server first.
        session.ask(query("set search_path to public"))
    elif kind < 0.3:
        # The catalog is read again first.
        session.ask(query(f"create temp table race_{turn} (a int)"))
    sql = random.choice(["select count(*) from orders", "select pg_sleep(0.004)", "select count(*) from order_items"])
    canceller = threading.Thread(target=cancels_after, args=(random.random() * random.choice([0.003, 0.02]),))
    canceller.start()
    ended[ends(session.ask(*frames(f"{sql} -- {turn}")))] += 1
    canceller.join()
    # The request is dealt with: what comes now is nobody's victim.
    after = ends(session.ask(*frames("select pg_sleep(0.002)")))
    assert after is None, (turn, after)

# A client that does not wait for the end of its cancel's connection.
for turn in range(60):
    session.send(query("select pg_sleep(20)"))
    sleeps()
    connection = session.cancel(wait=False)
    assert ends(session.replies()) == "57014", turn
    assert ends(session.ask(query("select pg_sleep(0.002)"))) is None, turn
    connection.close()

# What is held behind a statement that runs: that one is hit first, and then what is held.
for turn in range(5):
    # What names mean is known from here on: to ask for it would wait for the end of what runs.
    session.ask(query("select count(*) from orders"))
    session.send(*frames("select pg_sleep(20)"), *frames("select ssn from customers limit 1"))
    while session.frame(20)[0] != "N":
        pass
    sleeps()
    session.cancel()
    assert ends(session.replies()) == "57014", turn
    session.cancel()
    held = session.replies()
    assert any(tag == "E" and b"cancelled while held" in body for tag, body in held), held

# With nothing under way, and in a transaction, a request hits nothing.
session.ask(query("begin"))
session.cancel()
assert session.ask(query("select 1"))[-1] == ("Z", b"T")
session.ask(query("rollback"))
assert ends(other.ask(query("select 1"))) is None
assert ended["57014"] > 0, ended
print("ok")

"""Rows that are stored behind a portal which shows one of them, by what is remembered of an approval. Ends with "ok"."""

from frames import SYNC, bind, by_gate, execute, parse, query

COPY = "insert into kept select id, ssn from customers where id between {} and {}"


def tags(replies):
    return "".join(tag or "?" for tag, _ in replies if tag != "N")


session = by_gate()
# Waits until it is approved.
assert tags(session.ask(query(COPY.format(1, 1)))) == "CZ"
# PostgreSQL runs it to its end ("PORTAL_ONE_RETURNING" in pquery.c), whatever the Execute wants to see of it.
behind = parse("", COPY.format(2, 51) + " returning 1")
assert tags(session.ask(behind, bind(), execute("", 1), SYNC)) == "12DsZ"
assert tags(session.ask(query("select 1"))) == "TDCZ"
session.end()
print("ok")

"""Messages of PostgreSQL's protocol, byte by byte, for what no driver sends."""

import base64
import hashlib
import hmac
import os
import re
import select
import socket
import struct
import time


def message(tag, body=b""):
    return tag + struct.pack("!i", len(body) + 4) + body


def text(*words):
    return b"".join(word.encode() + b"\0" for word in words)


def values(given):
    each = (struct.pack("!i", -1) if it is None else struct.pack("!i", len(it)) + it for it in given)
    return struct.pack("!h", len(given)) + b"".join(each)


def query(sql):
    return message(b"Q", text(sql))


def parse(name, sql, types=()):
    oids = b"".join(struct.pack("!I", oid) for oid in types)
    return message(b"P", text(name, sql) + struct.pack("!h", len(types)) + oids)


def bind(portal="", statement="", given=()):
    return message(b"B", text(portal, statement) + b"\0\0" + values(given) + b"\0\0")


def describe(kind, name):
    return message(b"D", kind.encode() + text(name))


def close(kind, name):
    return message(b"C", kind.encode() + text(name))


def execute(portal="", rows=0):
    return message(b"E", text(portal) + struct.pack("!i", rows))


def call(oid, given=()):
    return message(b"F", struct.pack("!I", oid) + b"\0\0" + values(given) + b"\0\0")


def data(of):
    return message(b"d", of)


def fail(why):
    return message(b"f", text(why))


SYNC, FLUSH, DONE, TERMINATE = message(b"S"), message(b"H"), message(b"c"), message(b"X")


def fields(error):
    return {part[:1].decode(): part[1:].decode(errors="replace") for part in error.split(b"\0") if part}


class Session:
    def __init__(self, port, user, password, protocol=196608):
        self.port, self.rest = port, b""
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        startup = struct.pack("!i", protocol) + text("user", user, "database", "shop", "application_name", "frames") + b"\0"
        self.socket.sendall(struct.pack("!i", len(startup) + 4) + startup)
        while True:
            tag, body = self.frame(10)
            if tag == "R":
                self.authenticate(body, password)
            elif tag == "K":
                self.pid, self.secret = struct.unpack("!i", body[:4])[0], body[4:]
            elif tag == "Z":
                return
            elif tag in ("E", "EOF", None):
                raise SystemExit(f"no login: {body}")

    def authenticate(self, body, password):
        """SCRAM-SHA-256 (RFC 5802)."""
        (kind,) = struct.unpack("!i", body[:4])
        if kind == 10:
            self.first = "n=,r=" + base64.b64encode(os.urandom(18)).decode()
            first = b"n,," + self.first.encode()
            self.send(message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first))
        elif kind == 11:
            theirs = body[4:].decode()
            nonce, salt, rounds = (part[2:] for part in theirs.split(","))
            salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(rounds))
            key = hmac.digest(salted, b"Client Key", "sha256")
            final = "c=biws,r=" + nonce
            signed = ",".join((self.first, theirs, final)).encode()
            signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
            proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
            self.send(message(b"p", f"{final},p={proof}".encode()))

    def send(self, *frames):
        self.socket.sendall(b"".join(frames))

    def frame(self, patience):
        """The next message; no tag if none comes in time."""
        end = time.monotonic() + patience
        while True:
            if len(self.rest) >= 5:
                (length,) = struct.unpack("!i", self.rest[1:5])
                if len(self.rest) > length:
                    tag, body = chr(self.rest[0]), self.rest[5 : length + 1]
                    self.rest = self.rest[length + 1 :]
                    return tag, body
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                return None, b""
            more = self.socket.recv(65536)
            if not more:
                return "EOF", b""
            self.rest += more

    def replies(self, last="Z", patience=20):
        """Messages up to that one, keep-alives apart."""
        end, all_of_them = time.monotonic() + patience, []
        while True:
            tag, body = self.frame(max(0, end - time.monotonic()))
            if tag == "S" and body.startswith(b"application_name\0"):
                continue
            all_of_them.append((tag, body))
            if tag in (None, "EOF", last):
                return all_of_them

    def ask(self, *frames):
        self.send(*frames)
        return self.replies()

    def cancel(self, wait=True):
        """Sends a CancelRequest, and waits until its connection is closed."""
        other = socket.create_connection(("127.0.0.1", self.port))
        other.sendall(struct.pack("!iii", 12 + len(self.secret), 80877102, self.pid) + self.secret)
        while wait and other.recv(16):
            pass
        return other

    def end(self):
        self.send(TERMINATE)
        self.socket.close()


def by_gate():
    return Session(int(os.environ["PGPORT"]), os.environ["PGUSER"], os.environ["PGPASSWORD"])


def direct():
    return Session(int(os.environ["DIRECT_PORT"]), "stepgate_analyst", os.environ["DIRECT_PASSWORD"])


def seen(replies):
    """Replies without what differs between two sessions of one server: places in its source, OIDs, process ids."""
    same = []
    for tag, body in replies:
        if tag in ("E", "N"):
            body = tuple(sorted(it for it in fields(body).items() if it[0] not in "FLR"))
        elif tag == "A":
            body = body[4:]
        elif tag == "V":
            body = re.sub(rb"\d+", b"N", body)
        elif tag == "T":
            body = struct.unpack("!h", body[:2])
        same.append((tag, body))
    return same

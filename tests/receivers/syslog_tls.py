"""A syslog receiver (RFC 5425) by Python's ssl, which is OpenSSL.

usage: syslog_tls.py CERT KEY OUT; prints its port. Each message's number goes to OUT, a line each. A line on standard
input: from then on no connection that is open, nor the next, is read (the process hangs, its system does not).
"""

import re
import socket
import ssl
import sys
import threading
import time

NUMBER = re.compile(rb'^<\d+>1 \S+ \S+ stepgate \d+ \S+ \[stepgate@\d+ log="[0-9a-f]{32}" seq="(\d+)"\] ')
hung = 0
opened = 0


def serve(raw, number, context, out):
    try:
        connection = context.wrap_socket(raw, server_side=True)
        stream = b""
        while True:
            while number < hung:
                time.sleep(0.05)
            piece = connection.recv(1000)
            if not piece:
                return
            while number < hung:
                time.sleep(0.05)
            stream += piece
            while b" " in stream[:8]:
                length, rest = stream.split(b" ", 1)
                if len(rest) < int(length):
                    break
                message, stream = rest[: int(length)], rest[int(length):]
                out.write(NUMBER.match(message)[1].decode() + "\n")
                out.flush()
    except OSError:
        pass


def control():
    global hung
    for _ in sys.stdin:
        hung = opened + 1
        print("hangs", flush=True)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
threading.Thread(target=control, daemon=True).start()
with open(sys.argv[3], "a") as out:
    while True:
        raw, _ = listener.accept()
        threading.Thread(target=serve, args=(raw, opened, context, out), daemon=True).start()
        opened += 1

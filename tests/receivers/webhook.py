"""A webhook receiver (RFC 9110) that fails now and then.

usage: webhook.py SECRET OUT [PORT]; prints its port. Whatever is posted must be signed; each record's number goes to
OUT, a line each. Of every seven requests, one is refused and one is taken without an answer.
"""

import hashlib
import hmac
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET, OUT = sys.argv[1].encode(), open(sys.argv[2], "a")
count = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        global count
        body = self.rfile.read(int(self.headers["content-length"]))
        time, mac = self.headers["stepgate-signature"].removeprefix("t=").split(",v1=")
        expected = hmac.new(SECRET, time.encode() + b"." + body, hashlib.sha256).hexdigest()
        count += 1
        if not hmac.compare_digest(mac, expected):
            return self.say(401)
        if count % 7 == 3:
            return self.say(503)
        for line in body.splitlines():
            OUT.write(f"{json.loads(line)['seq']}\n")
        OUT.flush()
        if count % 7 == 5:
            self.close_connection = True
            return None
        return self.say(204)

    def say(self, status):
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[3]) if len(sys.argv) > 3 else 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()

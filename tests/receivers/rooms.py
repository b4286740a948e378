"""A receiver of notices (RFC 9110): /hook takes signed ones alone, /slack whatever a chat would.

usage: rooms.py SECRET; prints its port, then each notice it has taken on a line, as {"path": …, "body": …}.
"""

import hashlib
import hmac
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = sys.argv[1].encode()
LOCK = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/hook":
            time, mac = self.headers["stepgate-signature"].removeprefix("t=").split(",v1=")
            expected = hmac.new(SECRET, time.encode() + b"." + body, hashlib.sha256).hexdigest()
            if not hmac.compare_digest(mac, expected):
                return self.say(401)
        elif self.path != "/slack":
            return self.say(404)
        # Two at once come by two threads.
        with LOCK:
            print(json.dumps({"path": self.path, "body": json.loads(body)}), flush=True)
        return self.say(200)

    def say(self, status):
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()

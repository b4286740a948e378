"""A sender of SMS (RFC 9110): prints its port, then of each message whose signature holds the number and the text.

usage: sms.py SECRET-FILE; a number that ends in 99 is refused as one that is none.
"""

import hashlib
import hmac
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = open(sys.argv[1], "rb").read()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        time, mac = self.headers["stepgate-signature"].removeprefix("t=").split(",v1=")
        expected = hmac.new(SECRET, time.encode() + b"." + body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(mac, expected):
            return self.say(401)
        message = json.loads(body)
        if sorted(message) != ["text", "to"] or message["to"].endswith("99"):
            return self.say(422)
        print(message["to"], "|", message["text"], flush=True)
        return self.say(204)

    def say(self, status):
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()

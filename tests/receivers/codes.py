"""A mail server by aiosmtpd on this machine, without TLS: prints its port, then of each message whom it is for and its text
on one line.

usage: codes.py [PORT]
"""

import asyncio
import email
import email.policy
import sys

from aiosmtpd.smtp import SMTP


class Handler:
    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        text = " ".join(message.get_content().split())
        print(envelope.rcpt_tos[0], "|", message["subject"], "|", text, flush=True)
        return "250 OK"


async def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(Handler()), "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())

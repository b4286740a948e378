"""A mail server by aiosmtpd, with TLS, for who logs in as `gate` with the right password.

usage: mail.py implicit|starttls CERT KEY PASSWORD DIR; prints its port, then a line a message. The first attachment of
each goes to DIR, with the name that it has.
"""

import asyncio
import email
import email.policy
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

mode, cert, key, password, directory = sys.argv[1:]


def authenticate(server, session, envelope, mechanism, data):
    good = data.login == b"gate" and data.password == password.encode()
    return AuthResult(success=good, handled=False)


class Handler:
    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        attached = next(message.iter_attachments())
        name = os.path.basename(attached.get_filename())
        with open(os.path.join(directory, name), "wb") as out:
            out.write(attached.get_payload(decode=True))
        print(envelope.mail_from, envelope.rcpt_tos[0], message["message-id"], name, flush=True)
        return "250 OK"


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)


def session():
    shared = {"authenticator": authenticate, "auth_required": True}
    if mode == "starttls":
        return SMTP(Handler(), tls_context=context, require_starttls=True, **shared)
    return SMTP(Handler(), auth_require_tls=False, **shared)


async def main():
    # aiosmtpd's own controller wants to know its port before it has one.
    tls = context if mode == "implicit" else None
    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())

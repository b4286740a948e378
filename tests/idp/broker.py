"""A broker that speaks SAML to an identity provider and OpenID Connect to the gate: SATOSA, on loopback.

broker.py keys DIRECTORY makes key.pem and cert.pem for 127.0.0.1 there, once.
broker.py serve DIRECTORY PORT SAML_METADATA_FILE REDIRECT_URI SECRET writes its configuration there and runs it.
"""

import datetime
import ipaddress
import json
import os
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

os.makedirs(sys.argv[2], exist_ok=True)
os.chdir(sys.argv[2])
key, certificate = "key.pem", "cert.pem"


def keys():
    """One key for all: TLS, ID tokens, what is asked of the SAML provider, and what that says."""
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    pem = made.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.timezone.utc)
    cert = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(made.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(made, hashes.SHA256())
    )
    with open(key, "wb") as file:
        file.write(pem)
    with open(certificate, "wb") as file:
        file.write(cert.public_bytes(serialization.Encoding.PEM))


if sys.argv[1] == "keys":
    keys()
    sys.exit(0)

port, metadata, redirect, secret = sys.argv[3:7]
base = f"https://127.0.0.1:{port}"


def write(name, what):
    with open(name, "w", encoding="utf-8") as file:
        # JSON is YAML.
        json.dump(what, file, indent=1)


# The broker's own words for what the assertion says, and what the ID token calls it.
write("internal.yaml", {
    "attributes": {
        "name": {"saml": ["uid"], "openid": ["preferred_username"]},
        "mail": {"saml": ["mail"], "openid": ["email"]},
        "groups": {"saml": ["groups"], "openid": ["groups"]},
    },
    # Without `user_id_from_attrs`, somebody is who their NameID says: a persistent one changes hands never.
})
write("frontend.yaml", {
    "module": "satosa.frontends.openid_connect.OpenIDConnectFrontend",
    "name": "OIDC",
    "config": {
        "signing_key_path": key,
        "signing_key_id": "broker",
        "client_db_path": "clients.json",
        # `sub` is the same over a restart, and the same for every client.
        "sub_hash_salt": "of a throwaway broker",
        "provider": {
            "client_registration_supported": False,
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "scopes_supported": ["openid", "email", "profile"],
            "extra_scopes": {"profile": ["groups", "preferred_username"]},
            "id_token_lifetime": 300,
            # The gate reads the ID token alone.
            "extra_id_token_claims": {"stepgate": ["preferred_username", "email", "groups"]},
        },
    },
})
write("clients.json", {
    "stepgate": {
        "client_id": "stepgate", "client_secret": secret, "redirect_uris": [redirect], "response_types": ["code"],
        "subject_type": "public", "token_endpoint_auth_method": "client_secret_basic",
    },
})
write("backend.yaml", {
    "module": "satosa.backends.saml2.SAMLBackend",
    "name": "Saml2",
    "config": {
        "sp_config": {
            "key_file": key,
            "cert_file": certificate,
            "entityid": f"{base}/Saml2/metadata",
            "metadata": {"local": [metadata]},
            "allow_unknown_attributes": True,
            "service": {
                "sp": {
                    "authn_requests_signed": True,
                    "want_response_signed": True,
                    "want_assertions_signed": True,
                    "allow_unsolicited": False,
                    "endpoints": {
                        "assertion_consumer_service": [
                            [f"{base}/Saml2/acs/post", "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"],
                        ],
                    },
                },
            },
        },
    },
})
write("proxy.yaml", {
    "BASE": base,
    "COOKIE_STATE_NAME": "SATOSA_STATE",
    "STATE_ENCRYPTION_KEY": "of a throwaway broker that nobody uses",
    "INTERNAL_ATTRIBUTES": "internal.yaml",
    "FRONTEND_MODULES": ["frontend.yaml"],
    "BACKEND_MODULES": ["backend.yaml"],
    "LOGGING": {
        "version": 1,
        "handlers": {"out": {"class": "logging.StreamHandler"}},
        "root": {"level": "WARNING", "handlers": ["out"]},
    },
})
os.environ["SATOSA_CONFIG"] = "proxy.yaml"
# Signatures of XML are checked by xmlsec1, unpacked beside the broker.
unpacked = os.path.join(os.environ["STEPGATE_BROKER"], "usr")
libraries = [entry.path for entry in os.scandir(os.path.join(unpacked, "lib")) if entry.name.endswith("-linux-gnu")]
os.environ["PATH"] = f"{unpacked}/bin:{os.environ['PATH']}"
os.environ["LD_LIBRARY_PATH"] = ":".join(libraries)
os.execv(sys.executable, [
    sys.executable, "-m", "gunicorn", "-w", "1", "--threads", "4", "--no-control-socket", "-b", f"127.0.0.1:{port}",
    "--keyfile", key, "--certfile", certificate, "satosa.wsgi:app",
])

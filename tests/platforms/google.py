"""A stand-in for Google's endpoint of certificates, which also signs tokens."""

from __future__ import annotations

import http.server
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from google.auth import crypt, jwt

AUDIENCE, CALLER = "https://orders", "caller@demo"


@cache
def key_pair(name: str) -> tuple[str, str]:
    """A private key and its certificate, as PEM."""
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return pem.decode(), certificate.public_bytes(serialization.Encoding.PEM).decode()


class Endpoint:
    """Serves the certificates of its keys; `requests` counts how often it was asked."""

    def __init__(self) -> None:
        self.keys = ["k1"]
        self.requests = 0
        self.answer: bytes | None = None
        """Instead of the certificates."""
        self.control = "public, max-age=20000, must-revalidate"
        self.status = 200
        self.open = threading.Event()
        """While it is cleared, requests wait."""
        self.asked = threading.Event()
        self.open.set()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}/certs"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                endpoint.requests += 1
                endpoint.asked.set()
                endpoint.open.wait(30)
                body = endpoint.body()
                self.send_response(endpoint.status)
                self.send_header("Cache-Control", endpoint.control)
                self.send_header("Location", endpoint.url)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return None

        return Handler

    def body(self) -> bytes:
        certificates = {name: key_pair(name)[1] for name in self.keys}
        return json.dumps(certificates).encode() if self.answer is None else self.answer

    def close(self) -> None:
        self.open.set()
        self.server.shutdown()
        self.server.server_close()


def claims(**changed: Any) -> dict[str, Any]:
    """The claims of a good token; `changed`: those that differ, None for one that is missing."""
    now = int(time.time())
    basic = {
        "iss": "https://accounts.google.com",
        "aud": AUDIENCE,
        "email": CALLER,
        "email_verified": True,
        "iat": now,
        "exp": now + 3600,
    }
    return {name: value for name, value in {**basic, **changed}.items() if value is not None}


def token(key: str = "k1", **changed: Any) -> str:
    """A token, signed with a key."""
    signer = crypt.RSASigner.from_string(key_pair(key)[0], key)  # type: ignore[no-untyped-call] # google-auth's
    return str(jwt.encode(signer, claims(**changed)).decode())  # type: ignore[no-untyped-call] # as above

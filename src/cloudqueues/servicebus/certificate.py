"""Self-signed certificate of the emulator, for clients to trust."""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
import threading
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cloudqueues.errors import ConfigError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

LIFE = timedelta(days=365)
SKEW = timedelta(days=1)
"""Validity before now, for clients whose clocks are behind."""
NAMES = ("localhost", "127.0.0.1", "::1")
"""Names that every certificate has in addition to the host's."""


class Certificate:
    """Certificate for `host` and this machine.

    `path` never changes; the file exists between `publish` and `withdraw`. The certificate is created on first use,
    from any thread. All methods but `withdraw` raise ConfigError where the package `cryptography` is missing.
    """

    def __init__(self, host: str) -> None:
        self.path = Path(tempfile.gettempdir()) / f"peeklock-servicebus-{uuid.uuid4().hex}.pem"
        self._host = host
        self._lock = threading.Lock()
        self._pem: tuple[bytes, bytes] | None = None

    def _parts(self) -> tuple[bytes, bytes]:
        """Return the certificate and its key, in PEM."""
        with self._lock:
            if self._pem is None:
                self._pem = _made(dict.fromkeys((self._host, *NAMES)))
            return self._pem

    def publish(self) -> None:
        """Write the certificate, without its key, to the file for clients."""
        self.path.write_bytes(self._parts()[0])

    def withdraw(self) -> None:
        """Remove the file, if it exists."""
        self.path.unlink(missing_ok=True)

    def context(self) -> ssl.SSLContext:
        """Return a server's SSL context. The key is written to a file that only this user can read, and only while ssl
        reads it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            file.write(b"".join(self._parts()))
            file.flush()
            context.load_cert_chain(file.name)
        return context


def _made(names: dict[str, None]) -> tuple[bytes, bytes]:
    """Return a new certificate and its key, in PEM."""
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as exc:
        raise ConfigError("TLS needs the package cryptography: pip install cryptography") from exc
    key = ec.generate_private_key(ec.SECP256R1())
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return _signed(key, names).public_bytes(plain[0]), key.private_bytes(*plain)


def _signed(key: EllipticCurvePrivateKey, names: dict[str, None]) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "peeklock Service Bus emulator")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        subject, subject, key.public_key(), x509.random_serial_number(), now - SKEW, now + LIFE
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage([x509.OID_SERVER_AUTH]), critical=False)
    return builder.sign(key, SHA256())


def _name(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)

"""A certificate of one host, signed by an authority that lives for this process only and signs nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from peeklock.registry import missing

LIFE = timedelta(days=30)
EARLY = timedelta(hours=1)
"""Before now, since clocks differ."""


def certified(host: str) -> tuple[bytes, bytes]:
    """In PEM: the host's key and certificate; and the authority's, which is to be trusted. Raises ConfigError where
    `cryptography` is not installed."""
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as exc:
        raise missing(exc) from exc
    authority, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    pem = serialization.Encoding.PEM
    root = _signed("peeklock dev", authority, "peeklock dev", authority, None)
    leaf = _signed(host, own, "peeklock dev", authority, host)
    key = own.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key + leaf.public_bytes(pem), root.public_bytes(pem)


def _signed(name: str, key: Any, issuer: str, authority: Any, host: str | None) -> Any:
    """An authority's own where there is no host. With all that OpenSSL asks for where it is strict."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLY)
        .not_valid_after(now + LIFE)
        .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
        .add_extension(_usage(signs=host is None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
    )
    if host is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    return builder.sign(authority, hashes.SHA256())


def _name(name: str) -> Any:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _usage(*, signs: bool) -> Any:
    from cryptography import x509

    never = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign")
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        encipher_only=False,
        decipher_only=False,
        **dict.fromkeys(never, False),
    )

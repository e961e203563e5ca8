"""OIDC tokens of tasks: signing, and the public keys to check them with."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any

from cloudqueues.cloudtasks.errors import Code, Refused
from cloudqueues.errors import ConfigError, missing

ISSUER = "https://accounts.google.com"
LIFETIME = 3600
"""Seconds, as recorded."""
_BITS = 2048


@functools.cache
def _key() -> Any:
    """Create the key pair of this process, which is not stored."""
    try:
        from cryptography.hazmat.primitives.asymmetric import rsa
    except ImportError as exc:
        raise missing(exc) from exc
    return rsa.generate_private_key(public_exponent=65537, key_size=_BITS)


@functools.cache
def _public_pem() -> bytes:
    from cryptography.hazmat.primitives import serialization

    der = serialization.PublicFormat.SubjectPublicKeyInfo
    pem: bytes = _key().public_key().public_bytes(serialization.Encoding.PEM, der)
    return pem


@functools.cache
def key_id() -> str:
    return hashlib.sha256(_public_pem()).hexdigest()[:40]


def ready() -> None:
    """Create the key in advance. Raises Refused, with the fix, where that is impossible."""
    try:
        key_id()
    except ConfigError as exc:
        raise Refused(Code.FAILED_PRECONDITION, str(exc)) from exc


def certificates() -> Mapping[str, str]:
    """Return key ids with public keys as PEM, the form that google-auth reads from a certificate URL."""
    return {key_id(): _public_pem().decode()}


def key_set() -> Mapping[str, Any]:
    """Return the public keys as a JSON Web Key Set."""
    numbers = _key().public_key().public_numbers()
    key = {
        "kty": "RSA",
        "alg": "RS256",
        "use": "sig",
        "kid": key_id(),
        "n": _number(numbers.n),
        "e": _number(numbers.e),
    }
    return {"keys": [key]}


def sign(email: str, audience: str) -> str:
    """Return a token as sent by Cloud Tasks. It is valid by real time, not the emulator's, since its receiver checks it by
    real time."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    now = int(time.time())
    account = _account_id(email)
    claims = {
        "aud": audience,
        "azp": account,
        "email": email,
        "email_verified": True,
        "exp": now + LIFETIME,
        "iat": now,
        "iss": ISSUER,
        "sub": account,
    }
    text = f"{_json({'alg': 'RS256', 'kid': key_id(), 'typ': 'JWT'})}.{_json(claims)}"
    return f"{text}.{_text(_key().sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _account_id(email: str) -> str:
    """Return the twenty-one digits of an account, always the same ones."""
    return f"1{int.from_bytes(hashlib.sha256(email.encode()).digest()) % 10**20:020d}"


def _json(value: Mapping[str, Any]) -> str:
    return _text(json.dumps(value, separators=(",", ":")).encode())


def _number(value: int) -> str:
    return _text(value.to_bytes((value.bit_length() + 7) // 8))


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

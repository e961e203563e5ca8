"""Files that hold keys or passwords, by their names and by what is in them."""

from __future__ import annotations

import re

_NAMES = re.compile(
    r".*\.(env|pem|key|pfx|p12|jks|keystore|ppk|kdbx|tfstate|tfvars)|env"
    r"|id_(rsa|dsa|ecdsa|ed25519)(_sk)?"
    r"|(service[-_ ]?account|credentials?|client_?secrets?|application_default_credentials).*\.json",
    re.IGNORECASE,
)

_PRIVATE_KEY = re.compile(rb"-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY( BLOCK)?-----(\s|\\[rn])+[\w+/=-]{8}")
"""With the key after it, also within a string of JSON or Python; code that only looks for such a line has none.
https://www.rfc-editor.org/rfc/rfc7468"""

_JSON = re.compile(rb'"private_key(_id)?"\s*:\s*"[^"]')
"""A key of a Google service account. https://cloud.google.com/iam/docs/keys-create-delete"""


def reason_to_refuse(name: str, data: bytes) -> str | None:
    """Return what makes a file look like one, or None."""
    if _NAMES.fullmatch(name):
        return "its name"
    if _PRIVATE_KEY.search(data):
        return "a private key in it"
    if name.lower().endswith(".json") and _JSON.search(data):
        return "a service account's key in it"
    return None

"""Recognising files that hold keys or passwords, by their names and by their contents."""

from __future__ import annotations

import re

_COPY = r"([.~_-]?(bak|backup|old|orig|save|copy|tmp|\d+)|~)*"
"""Suffixes of copies, such as `id_rsa.bak`."""

_NAMES = re.compile(
    rf"""(
      .*\.(pem|key|pfx|p8|p12|jks|keystore|ppk|kdbx|publishsettings|kubeconfig)
    | .*\.(tfstate|tfvars)(\..*)?
    | (.*\.)?env(\.(prod|dev|stag|test|qa|uat|ci|local|live|sample)\w*)?
    | id_(rsa|dsa|ecdsa|ed25519)(_sk)?
    | kubeconfig(\..*)? | htpasswd | _?netrc | npmrc | pypirc | pgpass
    | local\.settings(\..*)?\.json
    | (.*[-_.])?(credentials?|secrets?)(\.(json|csv|ya?ml|toml|ini|cfg|conf|txt|xml|properties))?
    | (service[-_ ]?account|credentials?|client_?secrets?|application_default_credentials).*\.json
    ){_COPY}""",
    re.IGNORECASE | re.VERBOSE,
)

_CONTENTS = {
    "a private key in it": re.compile(
        rb"-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY( BLOCK)?-----(\s|\\[rn])+([\w-]+: [^\n]*\s+)*[\w+/=-]{8}"
    ),
    # with the key after it, also within a string of JSON or Python; code that only looks for such a line has none.
    # https://www.rfc-editor.org/rfc/rfc7468
    "a service account's key in it": re.compile(
        rb'"private_key(_id)?"\s*:\s*"[^"](?s:.*)"type"\s*:\s*"service_account"'
        rb'|"type"\s*:\s*"service_account"(?s:.*)"private_key(_id)?"\s*:\s*"[^"]'
    ),
    # https://cloud.google.com/iam/docs/keys-create-delete
    "an AWS secret access key in it": re.compile(
        rb"(?i:aws_?secret_?access_?key)[\"']?\s*[:=]\s*[\"']?[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])"
    ),
    "an AWS access key id in it": re.compile(rb"(?<![A-Z0-9])(AKIA|ASIA)[A-Z2-7]{16}(?![A-Z0-9])"),
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
    "an Azure account key in it": re.compile(rb"AccountKey=[A-Za-z0-9+/]{86}=="),
    "a shared access key in it": re.compile(rb"SharedAccessKey=[A-Za-z0-9+/]{43}="),
    # https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string
    "a registry's token in it": re.compile(rb"_authToken\s*=\s*[\"']?[\w+/=.-]{8}"),
}
"""Patterns of secrets, by what an error says about them."""

_PUBLIC = re.compile(rb"EXAMPLE|Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq")
"""Keys of AWS's documentation, and the key of Azure's storage emulator.
https://learn.microsoft.com/azure/storage/common/storage-use-azurite#well-known-storage-account-and-key"""


def reason_to_refuse(name: str, data: bytes) -> str | None:
    """Return why a file looks like a secret; None where it does not."""
    if _NAMES.fullmatch(name):
        return "its name"
    texts = (data, data.replace(b"\0", b"")) if b"\0" in data else (data,)  # UTF-16 as well
    for reason, pattern in _CONTENTS.items():
        if any(not _PUBLIC.search(match[0]) for text in texts for match in pattern.finditer(text)):
            return reason
    return None

"""A stack's file, `Pulumi.<stack>.yaml`, as far as it can be used on this machine.

https://www.pulumi.com/docs/iac/concepts/projects/stack-settings-file/
"""

from __future__ import annotations

import re
from pathlib import Path

from cloudqueues.errors import ConfigError

_SALT = re.compile(r"^encryptionsalt:.*\n?", re.MULTILINE)
_PROVIDER = re.compile(r"^(encryptionsalt|encryptedkey|secretsprovider):.*\n?", re.MULTILINE)
_SECRET = re.compile(r"^(?:[^#\n]*[\s{])?secure:\s", re.MULTILINE)


def readable(path: Path) -> str:
    """Return the file's text without its secrets provider; empty where there is no file.

    Raises ConfigError for an encrypted value, which only that provider can decrypt.
    """
    if not path.is_file():
        return ""
    text = path.read_text(encoding="utf-8")
    if secret := _SECRET.search(text):
        line = text.count("\n", 0, secret.end() - 1) + 1
        raise ConfigError(
            f"{path.name}, line {line}: an encrypted value cannot be decrypted on this machine: copy the file to"
            " Pulumi.local.yaml with a dummy value in its place, and use the stack local"
        )
    text = _PROVIDER.sub("", text)
    return text if not text or text.endswith("\n") else f"{text}\n"


def salt(text: str) -> str:
    """Return the line that `pulumi stack init` has added."""
    line = _SALT.search(text)
    return line[0] if line else ""

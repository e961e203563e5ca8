"""Secrets of a handler, by the names that the program of its infrastructure gives them."""

from __future__ import annotations

import os

from peeklock import registry
from peeklock.errors import ConfigError
from peeklock.platform_registry import load_target

REFERENCE = "PEEKLOCK_SECRET_"
"""Beginning of a variable that refers to a secret, on a platform that puts no values of secrets into the environment."""


UNRESOLVED = "@Microsoft.KeyVault("
"""Beginning of a reference that Azure left in the environment, since it could not read the secret.
https://learn.microsoft.com/azure/app-service/app-service-key-vault-references#troubleshoot-key-vault-references"""


def secret(name: str) -> str:
    """Return a secret: `app.consumer(..., secrets={name: ...})` says where the cloud keeps it.

    Azure and Google put its value into the environment variable `name`; so do you, to run a handler on your machine. On AWS it
    is read when it is first asked for, and again after five minutes. Call it in the handler, not at the top of its module: then
    a rotated secret is seen, and `peeklock replay` needs none for handlers that do not ask.

    Raises ConfigError where nothing gives the secret.
    """
    value = os.environ.get(name)
    if value and value.startswith(UNRESOLVED):
        raise ConfigError(
            f"secret {name!r} could not be read from Key Vault: the secret is missing, or the app's identity may not read it; give"
            " App(vault=...), or let it read the secret by the role Key Vault Secrets User"
        )
    if value:
        return value
    reference = os.environ.get(f"{REFERENCE}{name}")
    if not reference:
        raise ConfigError(
            f"secret {name!r} is missing: set the environment variable {name} on this machine; in the cloud, give"
            f" app.consumer(..., secrets={{{name!r}: ...}})"
        )
    text: str = load_target(registry.SECRETS[reference.partition(":")[0]])(reference)
    return text

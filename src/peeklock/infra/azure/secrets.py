"""Secrets of a handler, which Key Vault keeps: references in the app's settings, and what the app may read."""

from __future__ import annotations

import re

import pulumi

from peeklock.errors import ConfigError
from peeklock.infra.azure import naming
from peeklock.infra.inputs import check_text, checked

_SECRET = re.compile(r"https://([A-Za-z0-9-]+)\.vault\.[a-z.]+/secrets/([A-Za-z0-9-]+)(?:/[0-9a-f]*)?")
"""URI of a secret, with or without its version.
https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#object-identifiers"""


def checked_secret(name: str, uri: pulumi.Input[str]) -> pulumi.Input[str]:
    """Return the URI of a secret. Raises ConfigError, during the update for an output, for any other text, which may be a secret
    and is not repeated."""

    def check(resolved: object) -> None:
        check_text(f"secrets[{name!r}]", resolved)
        if not _SECRET.fullmatch(str(resolved)):
            raise ConfigError(
                f"secrets[{name!r}]: give the URI of a secret in Key Vault, such as https://shop.vault.azure.net/secrets/gateway,"
                " not its value"
            )

    return checked(uri, check)


def reference(uri: str) -> str:
    """Return the app setting that the platform replaces by the secret's value. Without a version it is read again within a day of
    a rotation. https://learn.microsoft.com/azure/app-service/app-service-key-vault-references"""
    return f"@Microsoft.KeyVault(SecretUri={uri})"


def scope(vault: str, name: str, uri: str) -> str:
    """Return the id of one secret, to which a role can be assigned. Raises ConfigError for a secret of another vault.
    https://learn.microsoft.com/azure/key-vault/general/rbac-guide"""
    match = _SECRET.fullmatch(uri)
    if match is None or match[1].lower() != naming.part(vault, "vaults").lower():
        raise ConfigError(f"secrets[{name!r}] is not in the vault of App vault={vault!r}; give the vault that keeps it")
    return f"{naming.parent(vault, 'vaults')}/secrets/{match[2]}"

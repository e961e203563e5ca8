"""The identity that Azure gives to a function."""

from __future__ import annotations

import os
from typing import Any

PATIENCE = {"connection_timeout": 2.0, "read_timeout": 5.0, "retry_total": 1}
"""Seconds to connect and to wait for a token, and tries after the first. The endpoint is the host's own, answers within a
second, and the SDK would ask it for minutes.
https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference"""


def credential(setting: str) -> Any:
    """The function's own identity; the app setting `<setting>__clientId` says which of several. Raises ImportError without
    azure-identity."""
    from azure.identity import DefaultAzureCredential

    chosen = os.environ.get(f"{setting}__clientId")
    return DefaultAzureCredential(**({"managed_identity_client_id": chosen} if chosen else {}), **PATIENCE)

"""Credential of a function's own identity on Azure."""

from __future__ import annotations

import os
from typing import Any

PATIENCE = {"connection_timeout": 2.0, "read_timeout": 5.0, "retry_total": 1}
"""Seconds to connect and to wait for a token, and retries. The endpoint is on the host and answers within a second; the SDK
would retry for minutes.
https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference"""


def credential(setting: str) -> Any:
    """Return the credential of the function's own identity; the app setting `<setting>__clientId` selects one of several. Raises
    ImportError without azure-identity."""
    from azure.identity import DefaultAzureCredential

    client_id = os.environ.get(f"{setting}__clientId")
    return DefaultAzureCredential(**({"managed_identity_client_id": client_id} if client_id else {}), **PATIENCE)

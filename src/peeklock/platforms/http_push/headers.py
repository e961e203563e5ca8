"""Headers of an HTTP push: those of the producer, and those with credentials."""

from __future__ import annotations

import os
from collections.abc import Mapping

PRIVATE_HEADERS = "PEEKLOCK_PRIVATE_HEADERS"
"""Variable with further names of headers that hold credentials, separated by commas."""

CREDENTIALS = frozenset(
    [
        "authorization",
        "cookie",
        "cookie2",
        "proxy-authenticate",
        "proxy-authorization",
        "set-cookie",
        "set-cookie2",
        "www-authenticate",
        "x-access-token",
        "x-amz-security-token",
        "x-api-key",
        "x-apikey",
        "x-auth-token",
        "x-authorization",
        "x-client-secret",
        "x-csrf-token",
        "x-csrftoken",
        "x-forwarded-access-token",
        "x-forwarded-authorization",
        "x-forwarded-client-cert",
        "x-functions-key",
        "x-goog-api-key",
        "x-goog-authenticated-user-email",
        "x-goog-authenticated-user-id",
        "x-goog-iap-jwt-assertion",
        "x-id-token",
        "x-ms-client-principal",
        "x-ms-token-aad-access-token",
        "x-ms-token-aad-id-token",
        "x-refresh-token",
        "x-serverless-authorization",
        "x-session-token",
        "x-vault-token",
        "x-xsrf-token",
    ]
)
"""Names of headers that hold credentials. They are never in a message's attributes, in a copy or a dead letter."""

_TRANSPORT = frozenset(
    [
        "accept",
        "accept-encoding",
        "accept-language",
        "connection",
        "content-length",
        "content-type",
        "expect",
        "forwarded",
        "function-execution-id",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "traceparent",
        "tracestate",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "via",
        "x-cloud-trace-context",
        "x-real-ip",
    ]
)
# Set by the service, its load balancers or the framework, or for one connection only (RFC 9110, 7.6.1).

_PREFIXES = (
    "x-appengine-",
    "x-cloudtasks-",
    "x-envoy-",
    "x-forwarded-",
    "x-goog-",
    "x-google-",
    "x-serverless-",
)


def is_producer_header(name: str) -> bool:
    """Return whether a header of a lower-case name was set by the producer and holds no known credential."""
    return name not in _TRANSPORT and name not in CREDENTIALS and not name.startswith(_PREFIXES)


def producer_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the producer's headers of a request, with names in lower case and without credentials."""
    private = {name.strip().lower() for name in os.environ.get(PRIVATE_HEADERS, "").split(",")}
    return {name: value for name, value in headers.items() if is_producer_header(name) and name not in private}

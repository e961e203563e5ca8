"""HTTP targets: checks and overrides of a queue's http_target and of a task's own request."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from cloudqueues.cloudtasks.errors import INVALID, bad_headers, bad_target, invalid

DEFAULT_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
METHODS = ("", "POST", "GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS")
"""Methods by the number of the client's HttpMethod."""
WITH_BODY = frozenset(["POST", "PUT", "PATCH"])

MAX_URL = 2083
"""Characters of a URL, after encoding."""
MAX_HEADERS = 80 * 1024
"""Bytes of all names and values of headers, which must be fewer: "80KB"."""
# Both limits and their words: https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#httprequest and
# #httptarget, which are the comments of the types in google-cloud-tasks; read 2026-12. The service's own refusals are not recorded.
SAFE = "/%:@!$&'()*+,;=-._~?[]"
"""Characters of a path and a query that are not escaped."""

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_HOST = re.compile(r"[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]")
_NAME = re.compile(r"[!-9;-~]+")  # printable ASCII without a colon, as recorded: a slash passes
_RESERVED = frozenset(
    [
        "accept-encoding",
        "connection",
        "content-length",
        "from",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "via",
        "x-forwarded-for",
        "x-google",
    ]
)
_PREFIXES = ("x-google-", "x-appengine-")
SERVICE_PREFIX = "x-cloudtasks-"
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\U0010ffff]")
_HEADER_BYTES = 8188  # of a name and its value, probed on the real service


def check(target: Any) -> None:
    """Check the target of a queue. Raises Refused."""
    _check_numbers(target)
    if target.HasField("uri_override"):
        _check_uri(target.uri_override)
    refused = [
        override.header.key
        for override in target.header_overrides
        if override.HasField("header") and _is_refused(override.header)
    ]
    if refused:
        raise bad_headers(refused)
    check_size((override.header.key, override.header.value) for override in target.header_overrides)
    check_token(target)


def check_url(url: str) -> None:
    """Raise Refused for a task's URL that is invalid or too long."""
    if not url:
        raise invalid("HttpRequest.url is required.")
    if not url.startswith(("http://", "https://")):
        raise invalid("HttpTarget.url must start with 'http://' or 'https://'.")
    if len(quote(url, safe=f"{SAFE}#")) > MAX_URL:
        raise invalid(f"HttpRequest.url: the maximum allowed URL length is {MAX_URL} characters after encoding.")


def check_size(headers: Iterable[tuple[str, str]]) -> None:
    """Raise Refused for headers that are too large together."""
    if sum(len(name) + len(value.encode()) for name, value in headers) >= MAX_HEADERS:
        raise invalid("The size of the headers must be less than 80KB.")


def _check_numbers(target: Any) -> None:
    """Raise Refused for unknown enum values: the service parses strictly here, and leniently in a task."""
    uri = target.uri_override
    numbers = ((target, "http_method"), (uri, "scheme"), (uri, "uri_override_enforce_mode"))
    for message, name in numbers:
        values = message.DESCRIPTOR.fields_by_name[name].enum_type.values_by_number
        if getattr(message, name) not in values:
            raise bad_target("")


def _check_uri(uri: Any) -> None:
    if not uri.ByteSize():
        raise bad_target("Invalid uri_override.")
    if uri.HasField("host") and not _HOST.fullmatch(uri.host):
        raise bad_target("Invalid Host.")
    if uri.port < 0:
        raise bad_target("Port number should be a positive integer.")


def _is_refused(header: Any) -> bool:
    return not _NAME.fullmatch(header.key) or is_reserved(header.key) or header.key.lower().startswith(SERVICE_PREFIX)


def is_reserved(name: str) -> bool:
    """Return True for a header that the service sets or drops itself."""
    lower = name.lower()
    return lower in _RESERVED or lower.startswith(_PREFIXES)


def tidy(target: Any) -> None:
    """Remove empty parts of a target. Raises Refused for an override that an update emptied."""
    if target.HasField("uri_override"):
        _check_uri(target.uri_override)
    kept = [override for override in target.header_overrides if override.HasField("header")]
    if len(kept) != len(target.header_overrides):
        del target.header_overrides[:]
        target.header_overrides.extend(kept)
    for name in ("oidc_token", "oauth_token"):
        if target.HasField(name) and not getattr(target, name).ByteSize():
            target.ClearField(name)


def token_of(message: Any) -> str:
    """Return the name of the token field that is set in a target or a task's request; "" for none."""
    return next((name for name in ("oidc_token", "oauth_token") if message.HasField(name)), "")


def check_token(message: Any) -> None:
    """Raise Refused for a token without a valid e-mail address."""
    name = token_of(message)
    if not name:
        return
    email = getattr(message, name).service_account_email
    if not email:
        raise invalid("service_account_email must be set.")
    if not _EMAIL.fullmatch(email):
        raise invalid(INVALID)


def settle_token(request: Any, target: Any) -> None:
    """Complete the token of a task's request for storage; the queue's token replaces its own. Raises Refused."""
    check_token(request)
    name = token_of(target)
    if name:
        getattr(request, name).CopyFrom(getattr(target, name))
    if request.HasField("oidc_token") and not request.oidc_token.audience:
        request.oidc_token.audience = request.url
    if request.HasField("oauth_token"):
        if not (urlsplit(str(request.url)).hostname or "").endswith(".googleapis.com"):
            raise invalid(
                'Invalid url for HttpRequest.oauth_token. The hostname in the url must end with ".googleapis.com"'
            )
        request.oauth_token.scope = request.oauth_token.scope or DEFAULT_SCOPE


def clean(headers: Any) -> dict[str, str]:
    """Return a task's headers as stored by the service."""
    kept = {name: _value(value) for name, value in headers.items() if _NAME.fullmatch(name) and not is_reserved(name)}
    kept = {name: value for name, value in kept.items() if value and len(name) + len(value) <= _HEADER_BYTES}
    return {**kept, "User-Agent": "Google-Cloud-Tasks"}


def _value(text: str) -> str:
    """Return a header's value as stored; "" for one that cannot be sent."""
    text = text.partition("\0")[0]
    return "" if _CONTROL.search(text) else one_line(text)


def one_line(text: str) -> str:
    """Replace line breaks, which would begin another header."""
    return text.replace("\r", "_").replace("\n", "_")


def address(url: str, target: Any) -> str:
    """Return a task's URL with its queue's overrides. Raises ValueError for an invalid result."""
    uri = target.uri_override
    if not target.HasField("uri_override") or uri.uri_override_enforce_mode == uri.IF_NOT_EXISTS:
        return url  # a task always has a URL, so that "if there is none" never applies
    parts = urlsplit(url)
    host = uri.host if uri.HasField("host") else parts.hostname or ""
    port = (uri.port or None) if uri.HasField("port") else parts.port
    bracketed = f"[{host}]" if ":" in host and not host.startswith("[") else host
    overridden: str = urlunsplit(
        (
            _scheme(uri) or parts.scheme,
            f"{bracketed}:{port}" if port else bracketed,
            uri.path_override.path if uri.HasField("path_override") else parts.path,
            uri.query_override.query_params if uri.HasField("query_override") else parts.query,
            "",
        )
    )
    return overridden


def _scheme(uri: Any) -> str:
    if not uri.HasField("scheme"):
        return ""
    return "http" if uri.scheme == uri.HTTP else "https"

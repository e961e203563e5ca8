"""Redaction of secrets in URLs, connection strings and the error texts of SDKs."""

from __future__ import annotations

import re

HIDDEN = "***"

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_ARN = re.compile(r"arn:[\w:/.*-]+", re.ASCII)
_NAME = re.compile(r"[\w.-]{1,60}", re.ASCII)
_PORT = re.compile(r":(?!\d{0,5}$)[^\]]*$")
_PAIRS = re.compile(r"\s*[A-Za-z][\w .-]*=", re.ASCII)

_NO_USER = re.compile(
    r"(?:[\w-]*\.[\w.-]*)?(?:/[^?#:]*)?(?:[?#]|\Z)"  # no host or a dotted one, and a path
    r"|[\w-]+(?:/[^?#:@]*)?\?[\w.-]+=",  # a host that may be a password's beginning, but then a named parameter
    re.ASCII,
)
"""Beginning of an address, up to its ?, that contains no user and password: without a colon, which would separate them."""

_INNER = re.compile(r"://[^/?#&;]*:.*@", re.DOTALL)
"""Possible user and password of a URL that is itself a value: a & within them does not begin a parameter."""

_SHOWN = frozenset({"endpoint", "entitypath", "accountname", "defaultendpointsprotocol", "endpointsuffix", "hostname"})
"""Parts of a connection string that are not secret."""

_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")
_NAMED = re.compile(
    r"(?i)\b((?:[\w.-]*(?:password|passwd|secret|token|signature|credential|api[_-]?key|accountkey|accesskey)|pwd|sig"
    r"|sharedaccesskey)['\"]?\s*[=:]\s*['\"]?)[^\s;,&'\"]+"
)
_BEARER = re.compile(r"(?i)\b(bearer|basic|sharedaccesssignature)\s+[^\s,;'\"]+")


def shown(address: object) -> str:
    """Redact an address for an error: keep scheme, host, path and names of parameters; hide user, password and values.

    A text that is neither a URL nor a connection string nor an ARN is hidden completely: it may be a secret in the wrong
    variable.
    """
    text = str(address)
    if _PAIRS.match(text):
        return ";".join(_pair(part) for part in text.split(";") if part)
    url = _URL.fullmatch(text)
    if url is not None:
        return f"{url[1]}://{_location(url[2])}"
    if _ARN.fullmatch(text):
        return text
    scheme = _SCHEME.match(text)
    return f"{scheme[1]}:{HIDDEN}" if scheme else HIDDEN


def scheme_of(address: str) -> str:
    """Return the scheme of a URL in lower case; empty if the text is not a URL."""
    url = _URL.fullmatch(address)
    return url[1].lower() if url else ""


def _pair(text: str) -> str:
    name, equals, value = text.partition("=")
    if not equals or not _NAME.fullmatch(name.strip()):
        return HIDDEN
    return (
        f"{name}={shown(value) if '://' in value else value}" if name.strip().lower() in _SHOWN else f"{name}={HIDDEN}"
    )


def _location(rest: str) -> str:
    """Hide everything before the last @ if there may be a password, which may contain any character."""
    _, at, rest = ("", "", rest) if _NO_USER.match(rest) else rest.rpartition("@")
    place, mark, query = re.fullmatch(r"([^?#;]*)([?#;]?)(.*)", rest, re.DOTALL).groups()  # type: ignore[union-attr] # it always matches
    host, slash, path = place.partition("/")
    names = "&".join(_query_name(part) for part in re.split("[&;]", _INNER.sub("", query))) if query else ""
    return (f"{HIDDEN}@" if at else "") + _PORT.sub(f":{HIDDEN}", host) + slash + path + mark + names


def _query_name(text: str) -> str:
    name = parameter_name(text)
    return name if name == HIDDEN else f"{name}={HIDDEN}"


def parameter_name(text: str) -> str:
    """Return the name in `name=value`, hidden if it may be a value itself."""
    name, equals, _ = text.partition("=")
    return name if equals and _NAME.fullmatch(name) else HIDDEN


def scrubbed(text: str) -> str:
    """Remove secrets in their usual forms from the text of a foreign error."""
    text = _IN_TEXT.sub(lambda url: shown(url[0]), text)
    text = _BEARER.sub(rf"\1 {HIDDEN}", text)
    return _NAMED.sub(rf"\1{HIDDEN}", text)

"""Google's public certificates, fetched beside the requests that need them and kept for a bounded time.

A request whose key is held never waits. A fetch runs in a thread of its own, one at a time; what it waits for is bounded
for the caller, whatever the endpoint does. Between two fetches lies a pause, so that forged key ids cause no more of them.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from peeklock.errors import PeeklockError

DEFAULT_AGE = 3600.0
"""Seconds that certificates are fresh when their answer does not say."""

AGES = (60.0, 86_400.0)
"""The fewest and the most seconds, whatever their answer says. Google's own answers say five to seven hours."""

STALE_AGE = 86_400.0
"""Seconds beyond their age that certificates are used while no others can be fetched. Google publishes a key days before
it signs with it, and withdraws one only after the last token signed with it has expired."""

RETRY_AGE = 60.0
"""Seconds between two fetches for a key that the last one did not bring."""

FAILED_AGE = 5.0
"""Seconds that a failed fetch is remembered."""

FETCH_SECONDS = 3.0
"""The longest that a request waits for a fetch."""

READ_SECONDS = 5.0
"""The longest between two bytes of an answer, and for all of its body."""

ABANDONED_SECONDS = 60.0
"""After so long another fetch is begun beside one that does not end, whose late answer is ignored."""

MOST_FETCHES = 4
"""At once: one that hangs keeps its thread."""

MOST_BYTES = 262_144
"""Of an answer; Google's has about 3,000."""

READ_BYTES = 16
"""Bytes that are read at once. So few, since a read ends when all have come: the time is looked at after each."""

_MAX_AGE = re.compile(r"max-age\s*=\s*([0-9]{1,9})", re.IGNORECASE)

NONE_YET = "certificates: none were fetched yet"


class Unavailable(PeeklockError):
    """The certificates could not be fetched, so nothing can be said of the token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """One answer of the endpoint, and until when it is used."""

    keys: Mapping[str, str] = field(default_factory=dict)
    fresh_until: float = float("-inf")
    stale_until: float = float("-inf")


class Certificates:
    """Certificates by key id. `clock`: monotonic seconds."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.url = url
        self._clock = clock
        self._lock = threading.Lock()  # never held while anything is fetched
        self._held = _Held()
        self._failure: str | None = NONE_YET
        self._fetch: Future[None] | None = None
        self._hung: set[Future[None]] = set()
        """Fetches that were abandoned, and have not ended."""
        self._begun = self._not_before = float("-inf")

    def of(self, key_id: str, wait: float = FETCH_SECONDS) -> Mapping[str, str]:
        """The certificates; without this key where the endpoint does not know it. Raises Unavailable."""
        fetch = self._needed(key_id)
        if fetch is not None:
            try:
                fetch.result(wait)
            except TimeoutError:
                raise _late(wait) from None
        return self._answer(key_id)

    def _needed(self, key_id: str) -> Future[None] | None:
        """The fetch to wait for; None where waiting would bring nothing. Old certificates are renewed meanwhile."""
        with self._lock:
            now = self._clock()
            if key_id not in self._held.keys or now >= self._held.stale_until:
                return self._fetching(now)
            if now >= self._held.fresh_until:
                self._fetching(now)
            return None

    def _fetching(self, now: float) -> Future[None] | None:
        """The fetch under way, or a new one; None while the last one is too recent. Called under the lock."""
        running = self._fetch is not None and not self._fetch.done()
        if running and now - self._begun < ABANDONED_SECONDS:
            return self._fetch
        if not running and now < self._not_before:
            return None
        self._hung = {one for one in (*self._hung, self._fetch) if one is not None and not one.done()}
        if len(self._hung) >= MOST_FETCHES:
            return self._fetch  # an endpoint that never ends an answer must not take a thread each time
        fetch: Future[None] = Future()
        threading.Thread(target=self._run, args=(fetch,), name="peeklock-certificates", daemon=True).start()
        self._fetch, self._begun = fetch, now
        return fetch

    def _run(self, fetch: Future[None]) -> None:
        try:
            keys, age = load(self.url)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the requests that wait must hear of it
            self._end(fetch, None, f"certificates: {type(exc).__name__}")
        else:
            now = self._clock()
            self._end(fetch, _Held(keys=keys, fresh_until=now + age, stale_until=now + age + STALE_AGE), None)

    def _end(self, fetch: Future[None], held: _Held | None, failure: str | None) -> None:
        with self._lock:
            if fetch is self._fetch:
                self._held = held or self._held
                self._failure = failure
                self._not_before = self._clock() + (RETRY_AGE if held else FAILED_AGE)
        fetch.set_result(None)

    def _answer(self, key_id: str) -> Mapping[str, str]:
        """An unknown key is answered for only by a fetch that succeeded."""
        with self._lock:
            usable = self._clock() < self._held.stale_until
            if usable and (key_id in self._held.keys or self._failure is None):
                return self._held.keys
            raise Unavailable(self._failure or NONE_YET)


def _late(wait: float) -> Unavailable:
    return Unavailable(f"certificates: no answer within {wait:g} s")


def load(url: str) -> tuple[Mapping[str, str], float]:
    """The certificates that an endpoint has now, and the seconds that they are fresh. Raises what `requests` does, and
    ValueError for another answer."""
    import requests

    with requests.get(url, timeout=READ_SECONDS, stream=True, allow_redirects=False) as answer:
        answer.raise_for_status()
        keys = json.loads(_body(answer))
        control = answer.headers.get("Cache-Control", "")
    if not isinstance(keys, dict) or not keys or not all(_is_pem(value) for value in keys.values()):
        raise ValueError("no certificates")
    age = _MAX_AGE.search(control)
    least, most = AGES
    return keys, min(max(float(age[1]) if age else DEFAULT_AGE, least), most)


def _is_pem(value: object) -> bool:
    return isinstance(value, str) and value.lstrip().startswith("-----BEGIN ")


def _body(answer: Any) -> bytes:
    """The body, as far as it comes in time and is no longer than expected. Raises ValueError."""
    until, body = time.monotonic() + READ_SECONDS, b""
    for part in answer.iter_content(READ_BYTES):
        body += part
        if len(body) > MOST_BYTES or time.monotonic() > until:
            raise ValueError("too long")
    return body

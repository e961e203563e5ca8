"""Changes to a sample event that know its structure: what a producer, a proxy or a new release of a platform might send.

All of it follows from one `Random`, so an event can be made again from its seed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

CANARY = "canary-7f3a91"
"""A value in bodies that no log may show."""

SECRET = "credential-5c21e8"
"""A credential in headers and attributes that no copy and no dead letter may carry."""

TEXTS = (
    *("", " ", "0", "1", "-1", "1.5", "1e400", "NaN", "null", "true", "[]", "{}", "[[[[", "2026-11-25T01:54:43.209Z"),
    *(
        "9" * 30,
        "\u0000",
        "\ud83d",
        "ünïcödé",
        "\u202e\u2066",
        "a\r\nb: c",
        "%00",
        "x" * 300,
        "é" * 600,
        "🦊",
        "\ufffe",
    ),
)
NUMBERS = (
    0,
    1,
    -1,
    2,
    9,
    40,
    2**31 - 1,
    2**31,
    2**53,
    2**63,
    10**400,
    -(10**20),
    0.5,
    1e308,
    float("nan"),
    float("inf"),
)
OTHERS = (None, True, False, [], {}, [None], {"": ""}, [[]] * 3)


def any_value(random: Random) -> Any:
    """One value of any type."""
    kind = random.randrange(8)
    if kind < 4:
        return random.choice(TEXTS)
    if kind < 6:
        return random.choice(NUMBERS)
    if kind == 6:
        return random.choice(OTHERS)
    return nested(random.choice((5, 60, 5000)))


def nested(depth: int) -> Any:
    """Lists in lists; text where JSON's own parser would give up on the way in."""
    if depth > 500:
        return "[" * depth + "]" * depth
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def lineage(random: Random) -> str:
    """Draw a value of `peeklock`'s own attribute: right, nearly right, or hostile."""
    parts: dict[str, Any] = {"id": random.choice(("order-1", "o-1", "é", "x" * 400, any_value(random)))}
    for name in ("generation", "copy_number", "attempts", "sent", "form", "unknown", "fold", "zip"):
        if random.random() < 0.4:
            parts[name] = random.choice((0, 1, 2, 3, 2**31 - 1, "envelope", "base64", any_value(random)))
    if random.random() < 0.1:
        del parts["id"]
    return random.choice((dumps(parts), dumps(parts), dumps(parts), random.choice(TEXTS), dumps([parts])))


def dumps(value: Any) -> str:
    """Return JSON as other languages write it: with characters beyond ASCII as they are."""
    return json.dumps(value, ensure_ascii=False)


def body(random: Random) -> bytes:
    """A body: a good order most of the time, with the canary in it."""
    order: dict[str, Any] = {
        "order_id": f"o-{random.randrange(4)}",
        "customer": CANARY,
        "cents": 1001,
        "currency": "EUR",
        "card": CANARY,
    }
    kind = random.randrange(12)
    if kind < 6:
        return json.dumps(order).encode()
    if kind == 6:
        order[random.choice(("order_id", "cents", "extra"))] = any_value(random)
    elif kind == 7:
        del order[random.choice(("order_id", "cents"))]
    elif kind == 8:
        order["padding"] = random.choice(("x", "é", "\u0001")) * random.choice((1000, 10_000, 60_000, 120_000))
    elif kind == 9:
        return random.choice(
            (b"", b"\xff\xfe", b"{", b"null", b"[1]", b"\x00", b"[" * 5000, b'{"a":1}{', random.randbytes(50))
        )
    elif kind == 10:
        text = json.dumps(order)
        return json.dumps({"Type": "Notification", "Message": text, "MessageId": "n-1"}).encode()
    return json.dumps(order).encode("utf-8", "surrogatepass")


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a JSON value with one of its keys or indexes."""
    pairs: Any = ()
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))
    for key, child in pairs:
        yield value, key
        yield from places(child)


def scramble(value: Any, random: Random) -> None:
    """Change one place of a JSON value."""
    everything = list(places(value))
    if not everything:
        return
    container, key = random.choice(everything)
    change = random.choice((_replace, _replace, _drop, _double, _text, _text, _swap))
    change(container, key, random, everything)


def _replace(container: Any, key: Any, random: Random, _: Any) -> None:
    container[key] = any_value(random)


def _drop(container: Any, key: Any, random: Random, _: Any) -> None:
    del container[key]


def _double(container: Any, key: Any, random: Random, _: Any) -> None:
    if isinstance(container, list):
        container.append(container[key])
    else:
        container[random.choice((f"{key}2", str(key).upper(), str(random.choice(TEXTS))))] = container[key]


def _text(container: Any, key: Any, random: Random, _: Any) -> None:
    """Inside a text: of JSON, one of its own places; else its beginning, its end, or a character in the middle."""
    text = container[key]
    if not isinstance(text, str):
        container[key] = str(text)
        return
    inner = _json(text)
    if isinstance(inner, dict | list):
        scramble(inner, random)
        container[key] = json.dumps(inner)
        return
    cut = random.randrange(len(text) + 1)
    container[key] = random.choice(
        (text[:cut], text + random.choice(TEXTS), text[:cut] + random.choice(TEXTS) + text[cut:])
    )


def _swap(container: Any, key: Any, random: Random, everything: list[tuple[Any, Any]]) -> None:
    container_of_name, name = random.choice(everything)
    container[key] = json.loads(json.dumps(container_of_name[name]))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


Change = Callable[[Any, Random], None]


WILD = 0.4
"""Share of events in which any place may change, and not only one that keeps the platform's form."""


def mutated(event: Any, changes: tuple[Change, ...], random: Random) -> Any:
    """A copy with up to four changes of the platform's own, and in a part of all copies with changes of any place."""
    copy = json.loads(json.dumps(event))
    for _ in range(random.randrange(5)):
        random.choice(changes)(copy, random)
    if random.random() < WILD:
        for _ in range(random.randrange(1, 4)):
            scramble(copy, random)
    return copy

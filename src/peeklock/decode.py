"""From a body to what a handler takes. A body that cannot be is an `InvalidMessage` that says what and where, never
the value: bodies hold what logs must not."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any, NoReturn

from peeklock.errors import ConfigError, InvalidMessage
from peeklock.message import Message

Decode = Callable[[Message], Any]

MAX_PROBLEMS = 5
"""Problems of one body that are spelled out; the rest is a count."""


def decoder(hint: Any, where: str) -> Decode:
    """How to make what a parameter of this type takes. `where` names the parameter in errors.

    Raises ConfigError for a type that no body can become, or one that needs `peeklock[pydantic]`.
    """
    if hint is Message:
        raise ConfigError(
            f"{where} is annotated Message, but the first parameter is the payload; use bytes for the bare body"
        )
    try:
        return _PLAIN[hint]
    except (KeyError, TypeError):  # TypeError: an annotation that cannot be hashed
        return _validated(hint, where)


def _validated(hint: Any, where: str) -> Decode:
    """One pass from bytes to the model, in pydantic's own parser."""
    try:
        from pydantic import TypeAdapter, ValidationError
    except ImportError as exc:
        raise ConfigError(
            f"{where} is annotated {hint!r}, which needs pydantic: pip install 'peeklock[pydantic]'"
        ) from exc
    try:
        validate_json = TypeAdapter(hint).validator.validate_json
    except Exception as exc:
        raise ConfigError(
            f"{where} is annotated {hint!r}, which no body can become; use a pydantic model, a dataclass, a TypedDict,"
            f" dict, list, str or bytes, or pass decode= to consumer() ({str(exc).splitlines()[0]})"
        ) from exc

    def decode(message: Message) -> Any:
        try:
            return validate_json(message.body)
        except ValidationError as exc:
            raise _invalid(exc.errors(include_url=False, include_input=False, include_context=False)) from None

    return decode


def _invalid(problems: list[Any]) -> InvalidMessage:
    told = [f"{_path(problem['loc'])}: {_type_of(problem)}" for problem in problems[:MAX_PROBLEMS]]
    if len(problems) > MAX_PROBLEMS:
        told.append(f"and {len(problems) - MAX_PROBLEMS} more")
    first = problems[0] if problems else {"loc": ()}
    if len(told) == 1:
        return InvalidMessage(_type_of(first), where=_path(first["loc"]))
    return InvalidMessage("; ".join(told))


def _type_of(problem: Any) -> str:
    """The kind of problem, by pydantic's own name for it, since its sentence may quote the value."""
    return str(problem["type"])


def _path(location: tuple[str | int, ...]) -> str:
    path = "$"
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path


def as_bytes(message: Message) -> bytes:
    return message.body


def as_text(message: Message) -> str:
    try:
        return message.body.decode()
    except UnicodeDecodeError as exc:
        raise InvalidMessage(f"not UTF-8 at byte {exc.start}") from None


def as_json(message: Message) -> Any:
    """Strict JSON: no NaN, since no other language would read it back."""
    text = as_text(message)
    if not text.strip():
        raise InvalidMessage("the body is empty")
    try:
        return json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as exc:
        raise InvalidMessage(f"not JSON: {exc.msg} at character {exc.pos}") from None
    except RecursionError:
        raise InvalidMessage("nested too deeply") from None
    except ValueError:  # an integer of more digits than Python converts
        raise InvalidMessage("a number is too large") from None


def _no_constant(name: str) -> NoReturn:
    raise InvalidMessage(f"not JSON: {name} is not a JSON number")


def _shaped(shape: type, name: str, message: Message) -> Any:
    value = as_json(message)
    if not isinstance(value, shape):
        raise InvalidMessage(f"a JSON {name} is needed", where="$")
    return value


_PLAIN: dict[Any, Decode] = {
    bytes: as_bytes,
    str: as_text,
    **dict.fromkeys((dict, dict[str, Any], dict[str, object]), functools.partial(_shaped, dict, "object")),
    **dict.fromkeys((list, list[Any], list[object]), functools.partial(_shaped, list, "array")),
}

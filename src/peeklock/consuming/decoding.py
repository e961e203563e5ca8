"""From a body to what a handler takes. A body that cannot be is an `InvalidMessage` that says what and where, never
the value: bodies hold what logs must not."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin

from peeklock.consuming.shape import Shape, bare
from peeklock.errors import ConfigError, InvalidMessage
from peeklock.message import Message
from peeklock.strict_json import check_floats, check_payload, loads

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
    named = hint
    while hasattr(named, "__supertype__"):  # a NewType, which adds nothing to its values
        named = named.__supertype__
    try:
        return _PLAIN[named]
    except (KeyError, TypeError):  # TypeError: an annotation that cannot be hashed
        return _validated(hint, where, _PLAIN.get(_raw_type(hint, where)))


def _raw_type(hint: Any, where: str) -> type | None:
    """str or bytes, of which a body is not JSON but the value itself, as `send` sends it; None for anything else. Raises
    ConfigError for a choice between them or None, since a body does not tell which it is."""
    hint = bare(hint)
    if get_origin(hint) is Literal:
        return str if all(isinstance(value, str) for value in get_args(hint)) else None
    if get_origin(hint) in (Union, types.UnionType):
        choices = {_raw_type(part, where) for part in get_args(hint) if part is not types.NoneType}
        if None not in choices:
            names = " or ".join(sorted(choice.__name__ for choice in choices if choice))
            raise ConfigError(
                f"{where} is annotated {hint!r}, but any body is one: annotate it {names}, or pass decode="
            )
        return None
    if isinstance(hint, type) and issubclass(hint, Enum) and issubclass(hint, str):
        return str
    return hint if hint in (str, bytes) else None


def _validated(hint: Any, where: str, raw: Decode | None) -> Decode:
    """One pass from bytes to the model, in pydantic's own parser; or what `raw` reads, with the constraints of its type. Those
    are pydantic's, and mean nothing where it is not installed."""
    try:
        from pydantic import TypeAdapter, ValidationError
    except ImportError as exc:
        if raw is not None and bare(hint) in (str, bytes):
            return raw
        raise ConfigError(
            f"{where} is annotated {hint!r}, which needs pydantic: pip install 'peeklock[pydantic]'"
        ) from exc
    try:
        adapter = TypeAdapter(hint)
        validator, schema = adapter.validator, adapter.core_schema
        validate = validator.validate_json if raw is None else validator.validate_python
    except Exception as exc:
        raise _no_payload(hint, where, exc) from exc
    return _Validator(validate, Shape(schema), ValidationError, raw)


class _Validator:
    """Reads by pydantic."""

    def __init__(self, validate: Callable[[Any], Any], shape: Shape, error: type[Any], raw: Decode | None) -> None:
        """`error`: what `validate` raises for a body that is not valid. `raw`: what makes a value of it that is not JSON."""
        self.shape = shape
        self._validate, self._error, self._raw = validate, error, raw
        self._holds_floats = raw is None and shape.holds_floats

    def __call__(self, message: Message) -> Any:
        try:
            payload = self._validate(message.body if self._raw is None else self._raw(message))
        except self._error as exc:
            problems = exc.errors(include_url=False, include_input=False, include_context=False)
            raise _invalid(problems, self.shape) from None
        if self._holds_floats:
            check_floats(message.body)
            check_payload(message.body, payload)
        return payload


def runs_code(decode: Decode) -> bool:
    """Whether a decoder that was made here calls functions of the user's: a model's validators may hang."""
    return isinstance(decode, _Validator) and decode.shape.runs_code


def _no_payload(hint: Any, where: str, exc: Exception) -> ConfigError:
    fix = "use a pydantic model, a dataclass, a TypedDict, dict, list, str or bytes, or pass decode= to consumer()"
    if getattr(exc, "code", "") == "typed-dict-version":
        fix = "on Python 3.11 import TypedDict from typing_extensions, not from typing"
    return ConfigError(f"{where} is annotated {hint!r}, which no body can become; {fix} ({str(exc).splitlines()[0]})")


def _invalid(problems: list[Any], shape: Shape) -> InvalidMessage:
    told = [f"{shape.path(problem['loc'])}: {_type_of(problem)}" for problem in problems[:MAX_PROBLEMS]]
    if len(problems) > MAX_PROBLEMS:
        told.append(f"and {len(problems) - MAX_PROBLEMS} more")
    if len(problems) == 1:
        return InvalidMessage(_type_of(problems[0]), where=shape.path(problems[0]["loc"]))
    return InvalidMessage("; ".join(told))


def _type_of(problem: Any) -> str:
    """The kind of problem, by pydantic's own name for it, since its sentence may quote the value."""
    return str(problem["type"])


def as_bytes(message: Message) -> bytes:
    return message.body


def as_text(message: Message) -> str:
    try:
        return message.body.decode()
    except UnicodeDecodeError as exc:
        raise InvalidMessage(f"not UTF-8 at byte {exc.start}") from None


def as_json(message: Message) -> Any:
    """Strict JSON: no NaN, since no other language would read it back. Of a repeated name the last value counts."""
    text = as_text(message)
    if not text.strip():
        raise InvalidMessage("the body is empty")
    return loads(text)


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

"""Decoding of bodies into payloads.

An invalid body raises `InvalidMessage` with the problem and its place, never a value: bodies contain data that must not
be logged.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin

from peeklock.consuming.shape import Shape, without_annotations
from peeklock.errors import ConfigError, InvalidMessage
from peeklock.message import Message
from peeklock.strict_json import check_floats, check_payload, loads

Decode = Callable[[Message], Any]

MAX_PROBLEMS = 5
"""Number of problems of one body that are described; the rest are counted."""


def decoder(hint: Any, where: str) -> Decode:
    """Return the decoder for a parameter with this annotation. `where` names the parameter in errors.

    Raises ConfigError for a type into which no body can be decoded, or that needs `peeklock[pydantic]`.
    """
    if hint is Message:
        raise ConfigError(
            f"{where} is annotated Message, but the first parameter is the payload; use bytes for the raw body"
        )
    named = hint
    while hasattr(named, "__supertype__"):  # a NewType, which adds nothing to its values
        named = named.__supertype__
    try:
        return _PLAIN[named]
    except (KeyError, TypeError):  # TypeError: an annotation that cannot be hashed
        return _validated(hint, where, _PLAIN.get(_raw_type(hint, where)))


def _raw_type(hint: Any, where: str) -> type | None:
    """Return str or bytes for a type whose values are sent as they are instead of as JSON; None for any other.

    Raises ConfigError for a union of str, bytes and None alone, because a body does not tell which of them it is.
    """
    hint = without_annotations(hint)
    if get_origin(hint) is Literal:
        return str if all(isinstance(value, str) for value in get_args(hint)) else None
    if get_origin(hint) in (Union, types.UnionType):
        choices = {_raw_type(part, where) for part in get_args(hint) if part is not types.NoneType}
        if None not in choices:
            names = " or ".join(sorted(choice.__name__ for choice in choices if choice))
            raise ConfigError(
                f"{where} is annotated {hint!r}, which any body matches: annotate it {names}, or pass decode="
            )
        return None
    if isinstance(hint, type) and issubclass(hint, Enum) and issubclass(hint, str):
        return str
    return hint if hint in (str, bytes) else None


def _validated(hint: Any, where: str, raw: Decode | None) -> Decode:
    """Return a decoder that validates with pydantic, from bytes to the model in one pass.

    `raw` reads str and bytes, whose constraints pydantic checks; without pydantic, these constraints have no meaning.
    """
    try:
        from pydantic import TypeAdapter, ValidationError
    except ImportError as exc:
        if raw is not None and without_annotations(hint) in (str, bytes):
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
    """Decoder that validates with pydantic."""

    def __init__(self, validate: Callable[[Any], Any], shape: Shape, error: type[Any], raw: Decode | None) -> None:
        """`error`: raised by `validate` for an invalid body. `raw`: reads a body that is not JSON."""
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
    """Return whether a decoder of this module calls user code, such as a model's validators, which may hang."""
    return isinstance(decode, _Validator) and decode.shape.runs_code


def _no_payload(hint: Any, where: str, exc: Exception) -> ConfigError:
    fix = "use a pydantic model, a dataclass, a TypedDict, dict, list, str or bytes, or pass decode= to consumer()"
    if getattr(exc, "code", "") == "typed-dict-version":
        fix = "on Python 3.11 import TypedDict from typing_extensions, not from typing"
    return ConfigError(
        f"{where} is annotated {hint!r}, into which no body can be decoded; {fix} ({str(exc).splitlines()[0]})"
    )


def _invalid(problems: list[Any], shape: Shape) -> InvalidMessage:
    descriptions = [f"{shape.path(problem['loc'])}: {_type_of(problem)}" for problem in problems[:MAX_PROBLEMS]]
    if len(problems) > MAX_PROBLEMS:
        descriptions.append(f"and {len(problems) - MAX_PROBLEMS} more")
    if len(problems) == 1:
        return InvalidMessage(_type_of(problems[0]), where=shape.path(problems[0]["loc"]))
    return InvalidMessage("; ".join(descriptions))


def _type_of(problem: Any) -> str:
    """Return pydantic's name for the kind of problem, because its message may quote the value."""
    return str(problem["type"])


def as_bytes(message: Message) -> bytes:
    """Return the body of a message."""
    return message.body


def as_text(message: Message) -> str:
    """Return the body of a message as text. Raises InvalidMessage if it is not UTF-8."""
    try:
        return message.body.decode()
    except UnicodeDecodeError as exc:
        raise InvalidMessage(f"not UTF-8 at byte {exc.start}") from None


def as_json(message: Message) -> Any:
    """Parse the body as strict JSON: without NaN, which other languages do not read. The last value of a repeated name
    counts. Raises InvalidMessage."""
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

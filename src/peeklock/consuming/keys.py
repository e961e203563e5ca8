"""Keys of payloads: how they are read, which types they may have, and the canonical text of each value."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from peeklock.consuming.shape import without_annotations
from peeklock.errors import ConfigError, InvalidMessage
from peeklock.message import is_text

if TYPE_CHECKING:
    from decimal import Decimal

Key = Callable[[Any], str]

MAX_DIGITS = 4300
"""Digits up to which a Decimal is written out, rather than with an exponent: Python's limit for an int in a text."""

_FIX = "a key is a str, int, UUID, Decimal, date, aware datetime, or an Enum of str or int"

_NEVER = (bool, float, complex, bytes, bytearray, list, dict, set, frozenset, tuple, time, timedelta)

_SCHEMA_METHOD = "__get_pydantic_core_schema__"
"""Method by which a class, or metadata in Annotated, gives pydantic values of another type."""

_PYDANTIC_KEYS = ("AwareDatetime", "PastDatetime", "FutureDatetime", "PastDate", "FutureDate", "EmailStr", "Json")
"""Types of pydantic that stand for values of another class, which may be keys."""

_CONVERTERS = ("AfterValidator", "PlainValidator", "WrapValidator")


def keyed_by_function(read: Callable[[Any], Any], where: str) -> Key:
    """Return a key that is read by a function. Raises ConfigError if its return type cannot be a key."""
    name = getattr(read, "__name__", "key")
    try:
        hint = get_type_hints(read, include_extras=True).get("return", Any)
    except Exception:  # noqa: BLE001 - a partial, or names for type checkers only: values are checked instead
        hint = Any
    _check_type(hint, f"{where}: key={name}")
    return _keyed(read, name)


def keyed_by_path(key: str, hint: Any, where: str) -> Key:
    """Return a key that is read from a field.

    Raises ConfigError for a field that the payload's type does not have, and for one that has a default.
    """
    path, what = key.split("."), f"{where}: key={key!r}"
    _check_type(_field_type(path, hint, where), what)
    for kind, part, rest in _steps(path, hint):
        if _is_filled(kind, part, rest):
            raise ConfigError(
                f"{what}: {_name(kind)}.{part} has a default, which all messages without it would share as their"
                " key; make the field required"
            )
    return _keyed(functools.partial(_value_at, path), key)


def runs_code(key: str, hint: Any) -> bool:
    """Return whether reading the key calls user code, which may hang."""
    return any(_is_property(kind, part) for kind, part, _ in _steps(key.split("."), hint))


def _is_property(kind: Any, part: str) -> bool:
    return isinstance(getattr(_origin(kind), part, None), (property, functools.cached_property))


def _value_at(path: list[str], payload: Any) -> Any:
    for part in path:
        payload = payload.get(part) if isinstance(payload, dict) else getattr(payload, part, None)
    return payload


def _keyed(read: Callable[[Any], Any], name: str) -> Key:
    def key(payload: Any) -> str:
        try:
            value = read(payload)
        except (KeyError, AttributeError, TypeError, IndexError) as exc:
            raise InvalidMessage(f"the key is missing: its function raised {type(exc).__name__}", where=name) from exc
        if value is None:
            raise InvalidMessage("the key is missing", where=name)
        text = text_of(value)
        if text is None:
            raise InvalidMessage(f"{_FIX}, not {_kind(value)}", where=name)
        if not is_text(text):
            raise InvalidMessage("the key holds half a surrogate pair", name)
        return text

    return key


def text_of(value: object) -> str | None:
    """Return the canonical text of a key; None if the value cannot be one. Equal values of different types have the same."""
    if isinstance(value, Enum):
        return text_of(value.value) if isinstance(value.value, (str, int)) else None
    if isinstance(value, str):
        return str.__str__(value) or None
    if isinstance(value, int) and not isinstance(value, bool):
        return _integer(value)
    return _rare_text(value)


def _rare_text(value: object) -> str | None:
    from decimal import Decimal  # imported here to keep cold starts short: most keys are strings
    from uuid import UUID

    if isinstance(value, Decimal):
        return _decimal(value)
    if isinstance(value, datetime):
        return _moment(value)
    return str(value) if isinstance(value, (UUID, date)) else None


def _integer(value: int) -> str | None:
    try:
        return int.__repr__(value)
    except ValueError:  # it has more digits than Python converts
        return None


def _decimal(value: Decimal) -> str | None:
    """Return the exact text, independent of the decimal context. An integer has the same text as the int."""
    if not value.is_finite():
        return None
    negative, numerals, exponent = value.as_tuple()
    assert isinstance(exponent, int), "a finite Decimal has an integer exponent"
    digits = "".join(map(str, numerals)).lstrip("0")
    significant = digits.rstrip("0")
    if not significant:
        return "0"
    power = exponent + len(digits) - len(significant)
    sign = "-" if negative else ""
    return sign + _written_out(significant, power)


def _written_out(digits: str, power: int) -> str:
    if max(len(digits), len(digits) + power, -power) > MAX_DIGITS:
        return f"{digits}E{power}"
    if power >= 0:
        return digits + "0" * power
    padded = digits.rjust(1 - power, "0")
    return f"{padded[:power]}.{padded[power:]}"


def _moment(value: datetime) -> str | None:
    if value.utcoffset() is None:
        return None
    try:
        return value.astimezone(UTC).isoformat()
    except OverflowError:  # in UTC it is before the year 1 or after 9999
        return None


def _kind(value: object) -> str:
    if isinstance(value, Enum):
        return f"an Enum of {type(value.value).__name__}"
    if isinstance(value, datetime):
        return "a datetime without a time zone"
    return "an empty str" if value == "" and isinstance(value, str) else type(value).__name__


def _check_type(hint: Any, what: str) -> None:
    """Raise ConfigError for an annotation whose values cannot be keys. Unknown types are checked value by value."""
    for atom in _classes(hint):
        if _is_never(atom):
            raise ConfigError(f"{what} is annotated {_name(atom)}, but {_FIX}; name another field, or give a function")


def _classes(hint: Any) -> list[Any]:
    """Return the classes that an annotation stands for, without None."""
    atoms: list[Any] = []
    for member in _members(hint):
        atoms.extend(map(type, get_args(member)) if get_origin(member) is Literal else [_origin(member)])
    return atoms


def _members(hint: Any) -> list[Any]:
    """Return the types of a union, without None; for another type, itself. Any if a function converts the value."""
    if any(map(_converts, getattr(hint, "__metadata__", ()))):
        return [Any]
    hint = without_annotations(hint)
    if get_origin(hint) in (Union, types.UnionType):
        return [member for part in get_args(hint) for member in _members(part)]
    return [] if hint in (None, types.NoneType) else [hint]


def _converts(beside: Any) -> bool:
    """Return whether metadata in Annotated may convert the value to another type."""
    kind = type(beside)
    return hasattr(kind, _SCHEMA_METHOD) and (not _is_pydantics(kind) or kind.__name__ in _CONVERTERS)


def _is_pydantics(kind: type) -> bool:
    return kind.__module__.split(".")[0] == "pydantic"


def _is_never(atom: Any) -> bool:
    """Return whether no value of a class can be a key. A class with a pydantic schema of its own is checked by its values,
    unless it is a known type of pydantic."""
    from decimal import Decimal
    from uuid import UUID

    if not isinstance(atom, type) or atom is Any or getattr(atom, "_is_protocol", False):
        return False
    if issubclass(atom, Enum):
        return any(text_of(member) is None for member in atom)
    if issubclass(atom, (str, int, UUID, Decimal, date)) or issubclass(int, atom):
        return atom is bool
    maker = next((base for base in atom.__mro__ if _SCHEMA_METHOD in vars(base)), None)
    return (maker is None or _is_pydantics(maker)) and atom.__name__ not in _PYDANTIC_KEYS


def _field_type(path: list[str], hint: Any, where: str) -> Any:
    """Return the annotation of a field; Any if it is unknown."""
    for part in path:
        hint = _inner(hint)
        if _is_mapping(hint):
            hint = _value_type(hint)
            continue
        declared = _fields(hint)
        if declared is None or _is_property(hint, part):
            return Any
        if part not in declared:
            if _takes_more(hint):
                return Any
            listed = ", ".join(sorted(declared)) or "none"
            raise ConfigError(
                f"{where}: key={'.'.join(path)!r} names no field of {_name(hint)}; its fields are: {listed}"
            )
        hint = declared[part]
    return hint


def _steps(path: list[str], hint: Any) -> Iterator[tuple[Any, str, list[str]]]:
    """Yield each step of a path, as far as types tell: the owner of a field, its name, and the rest of the path.

    Each type of a union has its own steps.
    """
    part, *rest = path
    for kind in _members(hint):
        declared = _field_types(kind)
        if declared is not None:
            yield kind, part, rest
        if rest and declared is not None:
            yield from _steps(rest, declared.get(part, Any))
        elif rest and _is_mapping(kind):
            yield from _steps(rest, _value_type(kind))


def _is_filled(kind: Any, part: str, rest: list[str]) -> bool:
    """Return whether the path leads to a default value if the body does not have this field.

    A path that then leads nowhere makes the message invalid, as do a default of None and an empty dict.
    """
    for field in _declarations(kind, part):
        factory, default = getattr(field, "default_factory", None), getattr(field, "default", MISSING)
        if factory is not None and factory is not MISSING and factory is not dict:
            return True
        is_set = default is not MISSING and type(default).__name__ not in ("PydanticUndefinedType", "FieldInfo")
        if is_set and _value_at(rest, default) is not None:
            return True
    return False


def _declarations(kind: Any, part: str) -> Iterator[Any]:
    """Yield the places of a field's default: the field itself, the `Field` assigned to it, and one in Annotated."""
    for listed in ("model_fields", "__dataclass_fields__", "__pydantic_fields__"):
        field = (getattr(_origin(kind), listed, None) or {}).get(part)
        yield from (field, getattr(field, "default", None))
    yield from getattr((_field_types(kind) or {}).get(part), "__metadata__", ())


def _is_mapping(hint: Any) -> bool:
    """Return whether a type maps arbitrary names to values of one type."""
    kind = _origin(hint)
    return isinstance(kind, type) and issubclass(kind, Mapping) and _field_types(hint) is None


def _value_type(hint: Any) -> Any:
    return (*get_args(hint), Any, Any)[1]


def _takes_more(hint: Any) -> bool:
    """Return whether a type is a pydantic model that accepts undeclared fields."""
    settings = getattr(hint, "model_config", None)
    return isinstance(settings, dict) and settings.get("extra") == "allow"


def _origin(hint: Any) -> Any:
    return get_origin(hint) or hint


def _inner(hint: Any) -> Any:
    """Return the type of an optional field; Any for a union of several."""
    hint = without_annotations(hint)
    if get_origin(hint) not in (Union, types.UnionType):
        return hint
    parts = [part for part in get_args(hint) if part is not types.NoneType]
    return _inner(parts[0]) if len(parts) == 1 else Any


def _fields(hint: Any) -> dict[str, Any] | None:
    """Return names and types of a payload's fields; None if they are unknown."""
    declared = _field_types(hint)
    if declared is not None:
        return declared
    return {} if _is_plain(_origin(hint)) else None


def _is_plain(hint: Any) -> bool:
    """Return whether the values of a type have no fields."""
    from decimal import Decimal
    from uuid import UUID

    return isinstance(hint, type) and issubclass(hint, (*_NEVER, str, int, Decimal, UUID, Enum))


def _field_types(hint: Any) -> dict[str, Any] | None:
    """Return the fields of a pydantic model, a dataclass or a TypedDict; None for any other type."""
    hint = _origin(hint)
    if isinstance(getattr(hint, "model_fields", None), dict):
        declared = hint.model_fields.items()
        return {name: Any if any(map(_converts, field.metadata)) else field.annotation for name, field in declared}
    if is_dataclass(hint):
        return _resolved(hint, [field.name for field in fields(hint)])
    if hasattr(hint, "__required_keys__"):  # a TypedDict, of typing or of typing_extensions
        return _resolved(hint, hint.__annotations__)
    return None


def _resolved(hint: Any, names: Iterable[str]) -> dict[str, Any]:
    try:
        resolved = get_type_hints(hint, include_extras=True)
    except Exception:  # noqa: BLE001 - types declared inside a function, or for type checkers only
        resolved = {}
    return {name: resolved.get(name, Any) for name in names}


def _name(hint: Any) -> str:
    return getattr(hint, "__name__", repr(hint))

"""Keys: where a payload has its key, what may be one, and the one text of each value."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from peeklock.consuming.shape import bare
from peeklock.errors import ConfigError, InvalidMessage
from peeklock.message import is_text

if TYPE_CHECKING:
    from decimal import Decimal

Key = Callable[[Any], str]

MAX_DIGITS = 4300
"""A Decimal is written out up to as many digits as Python's int takes from a text, and with an exponent beyond."""

_FIX = "a key is a str, int, UUID, Decimal, date, aware datetime, or an Enum of str or int"

_NEVER = (bool, float, complex, bytes, bytearray, list, dict, set, frozenset, tuple, time, timedelta)

_MAKES = "__get_pydantic_core_schema__"
"""By it pydantic asks a class, or what is beside a type in Annotated, for other values than those of the type."""

_MADE = ("AwareDatetime", "PastDatetime", "FutureDatetime", "PastDate", "FutureDate", "EmailStr", "Json")
"""Pydantic's own that stand for values of another class, which may be keys."""

_CONVERTERS = ("AfterValidator", "PlainValidator", "WrapValidator")


def keyed_by_function(read: Callable[[Any], Any], where: str) -> Key:
    """The key that a function finds. Raises ConfigError for a function that cannot find one."""
    name = getattr(read, "__name__", "key")
    try:
        hint = get_type_hints(read, include_extras=True).get("return", Any)
    except Exception:  # noqa: BLE001 - of a partial, or names that exist only for a type checker: then each value tells
        hint = Any
    _check_type(hint, f"{where}: key={name}")
    return _keyed(read, name)


def keyed_by_path(key: str, hint: Any, where: str) -> Key:
    """The key in a field. Raises ConfigError for a field that the payload cannot have, as far as its type tells, and for
    one that has a value also where the body has none."""
    path, what = key.split("."), f"{where}: key={key!r}"
    _check_type(_field_type(path, hint, where), what)
    for kind, part, rest in _steps(path, hint):
        if _is_filled(kind, part, rest):
            raise ConfigError(
                f"{what}: {_name(kind)}.{part} has a default, so a message without it would get a key that is not its"
                " own; make the field required"
            )
    return _keyed(functools.partial(_at, path), key)


def runs_code(key: str, hint: Any) -> bool:
    """Whether to read the key calls a function of the user's, which may hang."""
    return any(_is_property(kind, part) for kind, part, _ in _steps(key.split("."), hint))


def _is_property(kind: Any, part: str) -> bool:
    return isinstance(getattr(_origin(kind), part, None), (property, functools.cached_property))


def _at(path: list[str], payload: Any) -> Any:
    for part in path:
        payload = payload.get(part) if isinstance(payload, dict) else getattr(payload, part, None)
    return payload


def _keyed(read: Callable[[Any], Any], name: str) -> Key:
    def key(payload: Any) -> str:
        try:
            value = read(payload)
        except (KeyError, AttributeError, TypeError, IndexError) as exc:
            raise InvalidMessage(
                f"the key is missing, for its function raised {type(exc).__name__}", where=name
            ) from exc
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
    """The text of a key, equal for equal values and for values of one meaning in two types; None for what has none."""
    if isinstance(value, Enum):
        return text_of(value.value) if isinstance(value.value, (str, int)) else None
    if isinstance(value, str):
        return str.__str__(value) or None
    if isinstance(value, int) and not isinstance(value, bool):
        return _integer(value)
    return _rare_text(value)


def _rare_text(value: object) -> str | None:
    from decimal import Decimal  # a cold function whose keys are texts pays for neither
    from uuid import UUID

    if isinstance(value, Decimal):
        return _decimal(value)
    if isinstance(value, datetime):
        return _moment(value)
    return str(value) if isinstance(value, (UUID, date)) else None


def _integer(value: int) -> str | None:
    try:
        return int.__repr__(value)
    except ValueError:  # more digits than Python writes
        return None


def _decimal(value: Decimal) -> str | None:
    """Exact: no context rounds it. Equal numbers have one text, an integer that of the int."""
    if not value.is_finite():
        return None
    negative, numerals, exponent = value.as_tuple()
    assert isinstance(exponent, int), "only what is not finite has another"
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
    """Raise ConfigError for an annotation whose values can be no key. What is unknown is judged by its values."""
    for atom in _atoms(hint):
        if _is_never(atom):
            raise ConfigError(f"{what} is annotated {_name(atom)}, but {_FIX}; name another field, or give a function")


def _atoms(hint: Any) -> list[Any]:
    """The classes that an annotation stands for, without None."""
    atoms: list[Any] = []
    for member in _members(hint):
        atoms.extend(map(type, get_args(member)) if get_origin(member) is Literal else [_origin(member)])
    return atoms


def _members(hint: Any) -> list[Any]:
    """The types of a union, without None; of anything else the type itself. Any for what a function makes of one."""
    if any(map(_converts, getattr(hint, "__metadata__", ()))):
        return [Any]
    hint = bare(hint)
    if get_origin(hint) in (Union, types.UnionType):
        return [member for part in get_args(hint) for member in _members(part)]
    return [] if hint in (None, types.NoneType) else [hint]


def _converts(beside: Any) -> bool:
    """Whether what is beside a type in Annotated may make something else of its values."""
    kind = type(beside)
    return hasattr(kind, _MAKES) and (not _is_pydantics(kind) or kind.__name__ in _CONVERTERS)


def _is_pydantics(kind: type) -> bool:
    return kind.__module__.split(".")[0] == "pydantic"


def _is_never(atom: Any) -> bool:
    """Whether it is a class whose values can be no key. Of one that tells pydantic what to make, only the values tell; those
    that are pydantic's own are known."""
    from decimal import Decimal
    from uuid import UUID

    if not isinstance(atom, type) or atom is Any or getattr(atom, "_is_protocol", False):
        return False
    if issubclass(atom, Enum):
        return any(text_of(member) is None for member in atom)
    if issubclass(atom, (str, int, UUID, Decimal, date)) or issubclass(int, atom):
        return atom is bool
    maker = next((base for base in atom.__mro__ if _MAKES in vars(base)), None)
    return (maker is None or _is_pydantics(maker)) and atom.__name__ not in _MADE


def _field_type(path: list[str], hint: Any, where: str) -> Any:
    """The annotation of a field; Any where it cannot be known."""
    for part in path:
        hint = _inner(hint)
        if _is_mapping(hint):
            hint = _value_type(hint)
            continue
        known = _fields(hint)
        if known is None or _is_property(hint, part):
            return Any
        if part not in known:
            if _takes_more(hint):
                return Any
            listed = ", ".join(sorted(known)) or "none"
            raise ConfigError(
                f"{where}: key={'.'.join(path)!r} names no field of {_name(hint)}; its fields are: {listed}"
            )
        hint = known[part]
    return hint


def _steps(path: list[str], hint: Any) -> Iterator[tuple[Any, str, list[str]]]:
    """Each step of a path as far as types tell: whose field, its name, and the rest of the path. Each type of a union
    has steps of its own."""
    part, *rest = path
    for kind in _members(hint):
        known = _field_types(kind)
        if known is not None:
            yield kind, part, rest
        if rest and known is not None:
            yield from _steps(rest, known.get(part, Any))
        elif rest and _is_mapping(kind):
            yield from _steps(rest, _value_type(kind))


def _is_filled(kind: Any, part: str, rest: list[str]) -> bool:
    """Whether the rest of the path leads to a value where the body does not have this field. One that leads nowhere makes
    the message invalid, as a default of None does, and the empty dict for names that nobody knows."""
    for field in _declarations(kind, part):
        factory, default = getattr(field, "default_factory", None), getattr(field, "default", MISSING)
        if factory is not None and factory is not MISSING and factory is not dict:
            return True
        is_set = default is not MISSING and type(default).__name__ not in ("PydanticUndefinedType", "FieldInfo")
        if is_set and _at(rest, default) is not None:
            return True
    return False


def _declarations(kind: Any, part: str) -> Iterator[Any]:
    """Where a field may have its default: in itself, in the `Field` that it is assigned, and in that of an Annotated."""
    for listed in ("model_fields", "__dataclass_fields__", "__pydantic_fields__"):
        field = (getattr(_origin(kind), listed, None) or {}).get(part)
        yield from (field, getattr(field, "default", None))
    yield from getattr((_field_types(kind) or {}).get(part), "__metadata__", ())


def _is_mapping(hint: Any) -> bool:
    """Whether it maps any names to values of one type."""
    kind = _origin(hint)
    return isinstance(kind, type) and issubclass(kind, Mapping) and _field_types(hint) is None


def _value_type(hint: Any) -> Any:
    return (*get_args(hint), Any, Any)[1]


def _takes_more(hint: Any) -> bool:
    """Whether it is a pydantic model with fields that it does not declare."""
    settings = getattr(hint, "model_config", None)
    return isinstance(settings, dict) and settings.get("extra") == "allow"


def _origin(hint: Any) -> Any:
    return get_origin(hint) or hint


def _inner(hint: Any) -> Any:
    """The one type of an optional field; Any where there are several."""
    hint = bare(hint)
    if get_origin(hint) not in (Union, types.UnionType):
        return hint
    parts = [part for part in get_args(hint) if part is not types.NoneType]
    return _inner(parts[0]) if len(parts) == 1 else Any


def _fields(hint: Any) -> dict[str, Any] | None:
    """Names and types of a payload's fields; None where the type does not tell."""
    known = _field_types(hint)
    if known is not None:
        return known
    return {} if _is_plain(_origin(hint)) else None


def _is_plain(hint: Any) -> bool:
    """Whether it is a type whose values have no fields."""
    from decimal import Decimal
    from uuid import UUID

    return isinstance(hint, type) and issubclass(hint, (*_NEVER, str, int, Decimal, UUID, Enum))


def _field_types(hint: Any) -> dict[str, Any] | None:
    """The fields of a pydantic model, a dataclass or a TypedDict; None for anything else."""
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
    except Exception:  # noqa: BLE001 - types that were declared within a function, or for a type checker only
        resolved = {}
    return {name: resolved.get(name, Any) for name in names}


def _name(hint: Any) -> str:
    return getattr(hint, "__name__", repr(hint))

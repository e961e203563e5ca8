"""What a resource type takes and gives, from the classes of the installed SDK: no provider is needed to know it.

Pulumi's runtime checks the names of a resource's own arguments only: a wrong key within an argument, or a value of a
wrong type, would go to the provider as it is. Here it is found.
"""

from __future__ import annotations

import enum
import functools
import importlib
import inspect
import types
import typing
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pulumi import Archive, Asset, _types
from pulumi.runtime import rpc

from cloudqueues.pulumi.wire import UNKNOWN, is_asset


class UnknownType(LookupError):
    """No installed SDK has a resource of this type."""


def problems(token: str, inputs: Mapping[str, Any]) -> list[str]:
    """What is wrong with a resource's inputs (as `wire.plain` gives them), each as `where: what`. Raises UnknownType."""
    return list(_object(args_class(token), inputs, ""))


@functools.cache
def resource_class(token: str) -> Any:
    """The SDK's class of a type such as `aws:sqs/queue:Queue`. Raises UnknownType."""
    package, module, _ = token.split(":")
    try:
        importlib.import_module("pulumi_" + package.replace("-", "_"))
    except ModuleNotFoundError as exc:
        raise UnknownType(f"{token}: no SDK is installed for {package}") from exc
    # Each SDK registers its modules there when it is imported; there is no public table.
    for one in rpc._RESOURCE_MODULES.get(f"{package}:{module}", []):  # noqa: SLF001
        info = getattr(one, "mod_info", None)
        if info and token in info["classes"]:
            return _attribute(info["fqn"], info["classes"][token])
    raise UnknownType(f"{token}: the SDK pulumi_{package.replace('-', '_')} has no such resource")


def _attribute(module: str, name: str) -> Any:
    """Without an SDK's warnings about its own modules, which load only now."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="pulumi_")
        return getattr(importlib.import_module(module), name)


@functools.cache
def args_class(token: str) -> Any:
    """The class of a type's arguments: `QueueArgs`, or `QueueInitArgs` where another type has taken that name."""
    resource = resource_class(token)
    module = importlib.import_module(resource.__module__)
    return getattr(module, resource.__name__ + "InitArgs", None) or getattr(module, resource.__name__ + "Args")


def inputs(token: str) -> frozenset[str]:
    """Names of the inputs, as on the wire."""
    return frozenset(_properties(args_class(token))[0])


@functools.cache
def outputs(token: str) -> dict[str, Any]:
    """Output names, as on the wire, and their types."""
    return dict(_types.resource_types(resource_class(token)))


MISFIT = object()


def as_output(wanted: Any, value: Any) -> Any:
    """An input as the output of the same name shows it; without what the output has no place for, and MISFIT where that is
    all of it. Some differ: the identities of an app on Azure are a list going in, and a map coming out."""
    if value in (UNKNOWN, None) or is_asset(value):
        return value
    (kind, *_) = _alternatives(wanted) or (wanted,)
    if isinstance(kind, type) and _types.is_output_type(kind):
        return _fitting(value, _types.output_type_types(kind)) if isinstance(value, dict) else MISFIT
    origin = typing.get_origin(kind)
    if origin is None:
        return MISFIT if isinstance(value, dict | list) and kind in _SCALARS else value
    item = typing.get_args(kind)[-1]
    if issubclass(origin, Mapping):
        pairs = {one: {} for one in value} if isinstance(value, list) else value
        return _fitting(pairs, dict.fromkeys(pairs, item)) if isinstance(pairs, dict) else MISFIT
    return [as_output(item, one) for one in value] if isinstance(value, list) else MISFIT


def _fitting(values: Mapping[str, Any], handlers: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: as_output(handlers[name], value) for name, value in values.items() if name in handlers}
    return {name: value for name, value in shown.items() if value is not MISFIT}


def as_outputs(token: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """A resource's inputs as its outputs show them."""
    return _fitting(inputs, outputs(token))


CORRECTED: Mapping[str, Mapping[str, Any]] = {
    "pulumi_azure_native.monitor.ConditionArgs": {
        "operator": Literal["Equals", "GreaterThan", "GreaterThanOrEqual", "LessThan", "LessThanOrEqual"]
    },
}
"""Properties to which an SDK gives the enumeration that another API has under the same name, and the service's own.
https://learn.microsoft.com/rest/api/monitor/scheduled-query-rules/create-or-update#conditionoperator"""


@functools.cache
def _properties(cls: Any) -> tuple[dict[str, Any], frozenset[str]]:
    """Types by wire name, and the names that must be there."""
    corrected = CORRECTED.get(f"{cls.__module__.rpartition('.')[0]}.{cls.__name__}", {})
    wire_names = _types.input_type_py_to_pulumi_names(cls)
    parameters = inspect.signature(cls.__init__).parameters.items()
    required = {wire_names[name] for name, one in parameters if one.default is one.empty and name in wire_names}
    return {**_types.input_type_types(cls), **corrected}, frozenset(required)


def _object(cls: Any, given: Mapping[str, Any], path: str) -> Iterator[str]:
    known, required = _properties(cls)
    for name, value in given.items():
        if name in known:
            yield from _value(known[name], value, path + name)
        elif not name.startswith("__"):
            yield f"{path}{name}: unknown; {cls.__name__} has {', '.join(sorted(known))}"
    for name in sorted(required - set(given)):
        yield f"{path}{name}: missing, and {cls.__name__} requires it"


def _value(wanted: Any, value: Any, path: str) -> Iterator[str]:
    """The complaints of the alternative that fits best: none, if one fits."""
    if value in (UNKNOWN, None):
        return
    complaints = [list(_one(one, value, path)) for one in _alternatives(wanted)]
    if complaints and all(complaints):
        yield from min(complaints, key=len)


@functools.cache
def _alternatives(wanted: Any) -> tuple[Any, ...]:
    """Of `Input[T] | None`: T. A string beside an enumeration is dropped: what the enumeration lacks is a typing error far
    more often than something newer than the SDK."""
    if typing.get_origin(wanted) not in {typing.Union, types.UnionType}:
        return (wanted,)
    inner = [one for part in typing.get_args(wanted) if _is_value(part) for one in _alternatives(part)]
    if any(_is_enum(one) for one in inner):
        inner = [one for one in inner if one is not str]
    return tuple(inner)


def _is_value(part: Any) -> bool:
    if part is type(None) or typing.is_typeddict(part):
        return False
    return getattr(typing.get_origin(part), "__name__", "") not in {"Awaitable", "Output"}


def _is_enum(wanted: Any) -> bool:
    return isinstance(wanted, type) and issubclass(wanted, enum.Enum)


def _values(wanted: Any) -> list[Any]:
    """All that an enumeration or a literal type allows; nothing for other types."""
    if typing.get_origin(wanted) is Literal:
        return list(typing.get_args(wanted))
    return [one.value for one in wanted] if _is_enum(wanted) else []


def _one(wanted: Any, value: Any, path: str) -> Iterator[str]:
    if isinstance(wanted, type) and _types.is_input_type(wanted):
        yield from _within(wanted, value, path)
    elif values := _values(wanted):
        if value not in values:
            yield f"{path}: {value!r} is none of {values}"
    elif typing.get_origin(wanted) is not None:
        yield from _container(wanted, value, path)
    elif not _SCALARS.get(wanted, _anything)(value):
        yield f"{path}: {value!r} is no {wanted.__name__}"


def _within(wanted: Any, value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        yield from _object(wanted, value, path + ".")
    else:
        yield f"{path}: {value!r} is no {wanted.__name__}"


def _container(wanted: Any, value: Any, path: str) -> Iterator[str]:
    is_map = issubclass(typing.get_origin(wanted), Mapping)
    if not isinstance(value, dict if is_map else list):
        yield f"{path}: {value!r} is no {'map' if is_map else 'list'}"
        return
    item = typing.get_args(wanted)[-1]
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in pairs:
        yield from _value(item, one, f"{path}[{key!r}]")


def _anything(_: Any) -> bool:
    return True


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_SCALARS: Mapping[Any, Any] = {
    bool: lambda value: isinstance(value, bool),
    int: lambda value: _number(value) and float(value).is_integer(),
    float: _number,
    str: lambda value: isinstance(value, str),
    Asset: is_asset,
    Archive: is_asset,
}

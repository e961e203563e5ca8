"""Inputs and outputs of a resource type, from the classes of the installed SDK; no provider is needed.

Pulumi's runtime checks only the names of a resource's own arguments: a wrong key within an argument, or a value of a wrong
type, goes to the provider unchecked. Here it is found.
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
    """Return the problems of a resource's inputs (in the form of `wire.plain`), each as `path: problem`. Raises UnknownType."""
    return list(_object(args_class(token), inputs, ""))


@functools.cache
def resource_class(token: str) -> Any:
    """Return the SDK's class of a type such as `aws:sqs/queue:Queue`. Raises UnknownType."""
    package, module, _ = token.split(":")
    try:
        importlib.import_module("pulumi_" + package.replace("-", "_"))
    except ModuleNotFoundError as exc:
        raise UnknownType(f"{token}: no SDK is installed for {package}") from exc
    # Each SDK registers its modules there when it is imported; there is no public table.
    for registered in rpc._RESOURCE_MODULES.get(f"{package}:{module}", []):  # noqa: SLF001
        info = getattr(registered, "mod_info", None)
        if info and token in info["classes"]:
            return _attribute(info["fqn"], info["classes"][token])
    raise UnknownType(f"{token}: the SDK pulumi_{package.replace('-', '_')} has no such resource")


def _attribute(module: str, name: str) -> Any:
    """Return a module's attribute, without the SDK's warnings about its own modules, which are loaded only now."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="pulumi_")
        return getattr(importlib.import_module(module), name)


@functools.cache
def args_class(token: str) -> Any:
    """Return the class of a type's arguments: `QueueArgs`, or `QueueInitArgs` where another type has that name."""
    resource = resource_class(token)
    module = importlib.import_module(resource.__module__)
    return getattr(module, resource.__name__ + "InitArgs", None) or getattr(module, resource.__name__ + "Args")


def inputs(token: str) -> frozenset[str]:
    """Return the names of the inputs, as on the wire."""
    return frozenset(_properties(args_class(token))[0])


@functools.cache
def outputs(token: str) -> dict[str, Any]:
    """Return the names of the outputs, as on the wire, with their types."""
    return dict(_types.resource_types(resource_class(token)))


MISFIT = object()
"""Result for an input that the output of the same name cannot show."""


def as_output(wanted: Any, value: Any) -> Any:
    """Return an input in the form of the output of the same name, without parts that the output lacks; MISFIT where nothing
    is left. Some forms differ: the identities of an app on Azure are a list as an input, and a map as an output."""
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
        pairs = {key: {} for key in value} if isinstance(value, list) else value
        return _fitting(pairs, dict.fromkeys(pairs, item)) if isinstance(pairs, dict) else MISFIT
    return [as_output(item, inner) for inner in value] if isinstance(value, list) else MISFIT


def _fitting(values: Mapping[str, Any], types: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: as_output(types[name], value) for name, value in values.items() if name in types}
    return {name: value for name, value in shown.items() if value is not MISFIT}


def as_outputs(token: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resource's inputs in the form of its outputs."""
    return _fitting(inputs, outputs(token))


CORRECTED: Mapping[str, Mapping[str, Any]] = {
    "pulumi_azure_native.monitor.ConditionArgs": {
        "operator": Literal["Equals", "GreaterThan", "GreaterThanOrEqual", "LessThan", "LessThanOrEqual"]
    },
}
"""Properties with the service's own enumeration, where the SDK has that of another API with the same name.
https://learn.microsoft.com/rest/api/monitor/scheduled-query-rules/create-or-update#conditionoperator"""


@functools.cache
def _properties(cls: Any) -> tuple[dict[str, Any], frozenset[str]]:
    """Return the types by wire name, and the names of the required properties."""
    corrected = CORRECTED.get(f"{cls.__module__.rpartition('.')[0]}.{cls.__name__}", {})
    wire_names = _types.input_type_py_to_pulumi_names(cls)
    parameters = inspect.signature(cls.__init__).parameters.items()
    required = {
        wire_names[name]
        for name, parameter in parameters
        if parameter.default is parameter.empty and name in wire_names
    }
    return {**_types.input_type_types(cls), **corrected}, frozenset(required)


def _object(cls: Any, values: Mapping[str, Any], path: str) -> Iterator[str]:
    properties, required = _properties(cls)
    for name, value in values.items():
        if name in properties:
            yield from _value(properties[name], value, path + name)
        elif not name.startswith("__"):
            yield f"{path}{name}: unknown; {cls.__name__} has {', '.join(sorted(properties))}"
    for name in sorted(required - set(values)):
        yield f"{path}{name}: missing, and {cls.__name__} requires it"


def _value(wanted: Any, value: Any, path: str) -> Iterator[str]:
    """Yield the problems with the alternative that fits best: none, if one fits."""
    if value in (UNKNOWN, None):
        return
    problems_by_type = [list(_single(alternative, value, path)) for alternative in _alternatives(wanted)]
    if problems_by_type and all(problems_by_type):
        yield from min(problems_by_type, key=len)


@functools.cache
def _alternatives(wanted: Any) -> tuple[Any, ...]:
    """Return the types of a value: T for `Input[T] | None`. A string beside an enumeration is dropped: a value that the
    enumeration lacks is a typing error far more often than one that is newer than the SDK."""
    if typing.get_origin(wanted) not in {typing.Union, types.UnionType}:
        return (wanted,)
    inner = [kind for part in typing.get_args(wanted) if _is_value(part) for kind in _alternatives(part)]
    if any(_is_enum(kind) for kind in inner):
        inner = [kind for kind in inner if kind is not str]
    return tuple(inner)


def _is_value(part: Any) -> bool:
    if part is type(None) or typing.is_typeddict(part):
        return False
    return getattr(typing.get_origin(part), "__name__", "") not in {"Awaitable", "Output"}


def _is_enum(wanted: Any) -> bool:
    return isinstance(wanted, type) and issubclass(wanted, enum.Enum)


def _values(wanted: Any) -> list[Any]:
    """Return the values of an enumeration or a literal type; none for other types."""
    if typing.get_origin(wanted) is Literal:
        return list(typing.get_args(wanted))
    return [member.value for member in wanted] if _is_enum(wanted) else []


def _single(wanted: Any, value: Any, path: str) -> Iterator[str]:
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
    for key, inner in pairs:
        yield from _value(item, inner, f"{path}[{key!r}]")


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

"""Azure's management SDKs as models: what the service's own description of its API says, enumerations and patterns included.

Two generations of SDKs: one has fields with annotations, the other a table of attributes with a table of rules.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import importlib
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from cloudqueues.pulumi.shapes import Lazy, Shape

Request = tuple[Shape, Mapping[str, Any]]

PATH = frozenset({"resourceGroupName", "namespaceName", "accountName", "scope", "topicName"})
"""Inputs that are in the request's address, beside the resource's own name."""

MODELS: Mapping[str, tuple[str, str, str]] = {
    "applicationinsights:Component": (
        "applicationinsights.v2020_02_02",
        "ApplicationInsightsComponent",
        "resourceName",
    ),
    "authorization:RoleAssignment": (
        "authorization.v2022_04_01",
        "RoleAssignmentCreateParameters",
        "roleAssignmentName",
    ),
    "managedidentity:UserAssignedIdentity": ("msi.v2024_11_30", "Identity", "resourceName"),
    "monitor:ActionGroup": ("monitor", "ActionGroupResource", "actionGroupName"),
    "monitor:MetricAlert": ("monitor", "MetricAlertResource", "ruleName"),
    "monitor:ScheduledQueryRule": ("monitor", "ScheduledQueryRuleResource", "ruleName"),
    "operationalinsights:Workspace": ("loganalytics", "Workspace", "workspaceName"),
    "portal:Dashboard": ("portal", "Dashboard", "dashboardName"),
    "resources:ResourceGroup": ("resource.resources", "ResourceGroup", "resourceGroupName"),
    "servicebus:Namespace": ("servicebus", "SBNamespace", "namespaceName"),
    "servicebus:Queue": ("servicebus", "SBQueue", "queueName"),
    "servicebus:Rule": ("servicebus", "Rule", "ruleName"),
    "servicebus:Subscription": ("servicebus", "SBSubscription", "subscriptionName"),
    "servicebus:Topic": ("servicebus", "SBTopic", "topicName"),
    "storage:BlobContainer": ("storage", "BlobContainer", "containerName"),
    "storage:StorageAccount": ("storage", "StorageAccountCreateParameters", "accountName"),
    "storage:Table": ("storage", "Table", "tableName"),
    "web:AppServicePlan": ("web", "AppServicePlan", "name"),
    "web:WebApp": ("web", "Site", "name"),
    "web:WebAppFtpAllowed": ("web", "CsmPublishingCredentialsPoliciesEntity", "name"),
    "web:WebAppScmAllowed": ("web", "CsmPublishingCredentialsPoliciesEntity", "name"),
}
"""Module, model and the property that is the resource's name."""

WITHOUT = {
    "resources:Deployment": "its model is in a package of its own, and its template is another API's",
    "storage:Blob": "of the data plane, not of an API of management",
}


def requests(type_: str, inputs: Mapping[str, Any]) -> Iterator[Request]:
    """Yield what the provider sends for a resource: the properties under the names of the API. Raises KeyError for a type that
    has no model."""
    kind = type_.removeprefix("azure-native:")
    if kind in WITHOUT:
        return
    module, model, name = MODELS[kind]
    body = {key: value for key, value in inputs.items() if key not in PATH | {name} and not key.startswith("__")}
    yield shape(module, model), _as_sent(kind, body)


def _as_sent(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """A list of identities goes as the keys of an object."""
    identity = body.get("identity")
    if kind == "web:WebApp" and identity and isinstance(identity.get("userAssignedIdentities"), list):
        named = {element: {} for element in identity["userAssignedIdentities"]}
        return {**body, "identity": {**identity, "userAssignedIdentities": named}}
    return body


@functools.cache
def shape(module: str, model: str) -> Shape:
    """A model by its name, in `azure.mgmt.<module>.models`."""
    models = importlib.import_module(f"azure.mgmt.{module}.models")
    return _object(models, getattr(models, model))


def _object(models: Any, cls: Any) -> Shape:
    if cls.__name__ in OPEN:
        return Shape(source=_source(models, cls.__name__))
    fields, required = _attributes(models, cls) if hasattr(cls, "_attribute_map") else _rest_fields(models, cls)
    return Shape(
        source=_source(models, cls.__name__),
        kind="object",
        fields=fields,
        required=required - FILLED_IN,
        variant=_variant(models, cls),
    )


def _source(models: Any, name: str) -> str:
    return f"{models.__name__.removesuffix('.models')} {name}"


OPEN = frozenset({"DashboardPartMetadata"})
"""The model lists one of the portal's many parts."""

FILLED_IN = frozenset({"location"})
"""Properties that the provider takes from the stack's configuration or the resource group."""


def _variant(models: Any, cls: Any) -> Callable[[Mapping[str, Any]], Shape] | None:
    """Return the choice among a model's forms, or None where it has one."""
    for attribute, names in getattr(cls, "_subtype_map", {}).items():
        shapes = {name: functools.partial(_object, models, getattr(models, kind)) for name, kind in names.items()}
        return functools.partial(_chosen, _object_of_base(models, cls), shapes, _camel(attribute))
    return None


def _object_of_base(models: Any, cls: Any) -> Shape:
    fields, required = _attributes(models, cls)
    return Shape(source=_source(models, cls.__name__), kind="object", fields=fields, required=required)


def _chosen(base: Shape, shapes: Mapping[str, Lazy], key: str, value: Mapping[str, Any]) -> Shape:
    """Return the form that the value names; else the model that the forms share, in which the name must be one of theirs."""
    if value.get(key) in shapes:
        return shapes[value[key]]()
    named = Shape(source=base.source, kind="text", values=tuple(shapes))
    return dataclasses.replace(base, fields={**base.fields, key: lambda: named}, required=base.required | {key})


def _rest_fields(models: Any, cls: Any) -> tuple[dict[str, Lazy], frozenset[str]]:
    """The newer generation. Those of `properties` lie beside the others, as in Pulumi's inputs."""
    fields: dict[str, Lazy] = {}
    required = set()
    for owner in cls.__mro__[::-1]:
        scope = {**vars(sys.modules[owner.__module__]), "_models": models}
        for name, element in vars(owner).items():
            if not hasattr(element, "_rest_name_input") or _read_only(element):
                continue
            wire = element._rest_name_input or name
            kind = _resolved(owner.__annotations__[name], scope)
            lazy = functools.partial(_of_hint, models, kind, f"{cls.__name__}.{wire}", {})
            fields |= {_camel(wire): lazy, _camel(name): lazy}
            if type(None) not in typing.get_args(kind):
                required.add(_camel(wire))
    inner = fields["properties"]() if "properties" in fields else Shape(source="")
    return {**inner.fields, **fields}, frozenset(required | inner.required)


def _camel(name: str) -> str:
    """Return a name of the wire or of the SDK as Pulumi writes it: `Application_Type` and `application_type` are `applicationType`.
    The provider takes both for one, since each of the two renames some."""
    words = [element for element in re.split(r"[_.]", name) if element]
    joined = words[0] + "".join(element[0].upper() + element[1:] for element in words[1:])
    return joined[0].lower() + joined[1:]


def _read_only(rest_field: Any) -> bool:
    return rest_field._visibility == ["read"]


def _attributes(models: Any, cls: Any) -> tuple[dict[str, Lazy], frozenset[str]]:
    """The older generation, whose tables name the wire's path: `properties.windowSize`."""
    fields: dict[str, Lazy] = {}
    required = set()
    scope = {**vars(sys.modules[cls.__module__]), "_models": models}
    hints = {
        name: hint
        for owner in cls.__mro__[::-1]
        for name, hint in getattr(owner.__init__, "__annotations__", {}).items()
    }
    for name, element in cls._attribute_map.items():
        rules = cls._validation.get(name, {})
        if rules.get("readonly") or not element["key"]:  # what else an answer may have
            continue
        wire = re.split(r"(?<!\\)\.", element["key"])[-1].replace("\\", "")
        hint = _resolved(hints[name], scope) if name in hints else Any
        rules = {**rules, "duration": element["type"] == "duration"}
        lazy = functools.partial(_of_hint, models, hint, f"{cls.__name__}.{wire}", rules)
        fields |= {_camel(wire): lazy, _camel(name): lazy}
        if rules.get("required"):
            required.add(_camel(wire))
    return fields, frozenset(required)


def _resolved(hint: Any, scope: Mapping[str, Any]) -> Any:
    holder = types.SimpleNamespace(__annotations__={"it": hint})
    return typing.get_type_hints(holder, dict(scope))["it"]


def _of_hint(models: Any, hint: Any, where: str, rules: Mapping[str, Any]) -> Shape:
    """Read an annotation, with the rules of the table beside it."""
    source = _source(models, where)
    parts = [
        element for element in (typing.get_args(hint) if _is_union(hint) else (hint,)) if element is not type(None)
    ]
    accepted = [element for element in parts if isinstance(element, type) and issubclass(element, enum.Enum)]
    kind = accepted[0] if accepted else parts[0]
    limits = {
        "least": rules.get("minimum", rules.get("min_length", rules.get("min_items"))),
        "most": rules.get("maximum", rules.get("max_length", rules.get("max_items"))),
        "pattern": rules.get("pattern"),
    }
    if accepted:
        values = tuple(element.value for element in kind)
        return Shape(source=source, kind="text" if isinstance(values[0], str) else "number", values=values, **limits)
    if rules.get("duration") or kind is timedelta:
        return Shape(source=source, kind="text", form="ISO 8601 duration", **limits)
    origin = typing.get_origin(kind)
    if origin is typing.Literal:
        return Shape(source=source, kind="text", values=typing.get_args(kind), **limits)
    if origin is not None and typing.get_args(kind):
        item = functools.partial(_of_hint, models, typing.get_args(kind)[-1], where, {})
        return Shape(source=source, kind="map" if issubclass(origin, Mapping) else "list", item=item, **limits)
    if hasattr(kind, "_attribute_map") or getattr(kind, "__module__", "").startswith("azure.mgmt"):
        return _object(models, kind)
    return Shape(source=source, kind=SCALARS.get(kind, "anything"), **limits)


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in {typing.Union, types.UnionType}


SCALARS = {str: "text", int: "whole", float: "number", bool: "flag", datetime: "text"}

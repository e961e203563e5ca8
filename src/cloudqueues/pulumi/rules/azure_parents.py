"""Parents of Azure's resources, for rules that compare both: a queue with its namespace, app settings with their app."""

from __future__ import annotations

from collections.abc import Mapping

from cloudqueues.pulumi.rules.checks import Values

PARENT = "__parent"
"""Key of the parent's inputs among those of a resource. No property of Azure begins with underscores."""

PARENTS = {
    "azure-native:servicebus:Queue": ("azure-native:servicebus:Namespace", "namespaceName"),
    "azure-native:servicebus:Topic": ("azure-native:servicebus:Namespace", "namespaceName"),
    "azure-native:servicebus:Subscription": ("azure-native:servicebus:Namespace", "namespaceName"),
    "azure-native:web:WebAppApplicationSettings": ("azure-native:web:WebApp", "name"),
}
"""Type of the parent, and the input that names it."""


def with_parent(type_: str, inputs: Values, checked: Mapping[tuple[str, str], Values]) -> Values:
    """Return the inputs with those of the parent, where it is in `checked`, by type and name."""
    type_of_parent, key = PARENTS.get(type_, ("", ""))
    parent = checked.get((type_of_parent, str(inputs.get(key))))
    return inputs if parent is None else {**inputs, PARENT: parent}

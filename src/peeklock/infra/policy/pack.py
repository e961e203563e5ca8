"""The rules as a policy pack of Pulumi: `pulumi up --policy-pack ../policy`. Needs pulumi-policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pulumi_policy as pulumi
from pulumi_policy.proxy import UnknownValueError

from peeklock.infra.policy.rules import Resource, Rule
from peeklock.infra.policy.table import RULES, violations


def pack(name: str = "peeklock", *, level: str = "mandatory") -> Any:
    """Return a policy pack of all rules at one level: `mandatory` stops an update, `advisory` warns. A stack's configuration of
    the pack can change the level of each rule: https://www.pulumi.com/docs/insights/policy/policy-packs/configuration/"""
    return pulumi.PolicyPack(
        name=name, enforcement_level=pulumi.EnforcementLevel(level), policies=[_policy(rule) for rule in RULES]
    )


def _policy(rule: Rule) -> Any:
    return pulumi.StackValidationPolicy(
        name=rule.name, description=f"{rule.why}. {rule.source}", validate=partial(_validate, rule)
    )


def _validate(rule: Rule, args: Any, report: Callable[[str, str], None]) -> None:
    for violation in violations([_resource(resource) for resource in args.resources], [rule]):
        report(str(violation), violation.resource.urn)


def _resource(registered: Any) -> Resource:
    values = {name: _known(registered.props, name) for name in registered.props}
    return Resource(
        type=registered.resource_type,
        name=registered.name,
        urn=registered.urn,
        props={name: value for name, (value, whole) in values.items() if whole},
        refs={
            name: tuple(source.urn for source in sources) for name, sources in registered.property_dependencies.items()
        },
        unknown=frozenset(name for name, (_, whole) in values.items() if not whole),
    )


def _known(within: Any, key: Any) -> tuple[Any, bool]:
    """Return a value in plain form, and whether all of it is known: a preview's proxies raise for unknown values."""
    try:
        value = within[key]
    except UnknownValueError:
        return None, False
    if isinstance(value, Mapping):
        parts = {name: _known(value, name) for name in value}
        return {name: part for name, (part, _) in parts.items()}, all(whole for _, whole in parts.values())
    if isinstance(value, list | tuple) or type(value).__name__ == "_ListProxy":
        items = [_known(value, index) for index in range(len(value))]
        return [item for item, _ in items], all(whole for _, whole in items)
    return value, True

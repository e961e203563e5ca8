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
    """All rules, at one level: `mandatory` stops an update, `advisory` tells. A stack's own configuration of the pack may
    say otherwise for each: https://www.pulumi.com/docs/insights/policy/policy-packs/configuration/"""
    return pulumi.PolicyPack(
        name=name, enforcement_level=pulumi.EnforcementLevel(level), policies=[_policy(rule) for rule in RULES]
    )


def _policy(rule: Rule) -> Any:
    return pulumi.StackValidationPolicy(
        name=rule.name, description=f"{rule.why}. {rule.source}", validate=partial(_validate, rule)
    )


def _validate(rule: Rule, given: Any, report: Callable[[str, str], None]) -> None:
    for one in violations([_resource(each) for each in given.resources], [rule]):
        report(str(one), one.resource.urn)


def _resource(one: Any) -> Resource:
    known = {name: _known(one.props, name) for name in one.props}
    return Resource(
        type=one.resource_type,
        name=one.name,
        urn=one.urn,
        props={name: value for name, (value, whole) in known.items() if whole},
        refs={name: tuple(each.urn for each in those) for name, those in one.property_dependencies.items()},
        unknown=frozenset(name for name, (_, whole) in known.items() if not whole),
    )


def _known(within: Any, key: Any) -> tuple[Any, bool]:
    """A value in plain form, and whether all of it is known: a preview's proxies raise where it is not."""
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

"""All rules, and the check of a stack."""

from __future__ import annotations

from collections.abc import Iterable

from peeklock.infra.policy import aws, azure, gcp
from peeklock.infra.policy.rules import Resource, Rule, Stack, Violation

RULES: tuple[Rule, ...] = (*aws.RULES, *azure.RULES, *gcp.RULES)


def violations(resources: Iterable[Resource], rules: Iterable[Rule] = RULES) -> list[Violation]:
    """Return the violations in one stack. A rule checks the types of its own cloud only."""
    stack = Stack(resources)
    return [
        Violation(rule=rule, resource=resource, fix=fix)
        for rule in rules
        for resource, fix in rule.check(stack)
        if not resource.unknown & rule.judges
    ]

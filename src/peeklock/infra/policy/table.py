"""All rules, and what breaks them."""

from __future__ import annotations

from collections.abc import Iterable

from peeklock.infra.policy import aws, azure, gcp
from peeklock.infra.policy.rules import Resource, Rule, Stack, Violation

RULES: tuple[Rule, ...] = (*aws.RULES, *azure.RULES, *gcp.RULES)


def violations(resources: Iterable[Resource], rules: Iterable[Rule] = RULES) -> list[Violation]:
    """Of one stack; a rule looks at the types of its own cloud only."""
    stack = Stack(resources)
    return [
        Violation(rule=rule, resource=one, fix=fix)
        for rule in rules
        for one, fix in rule.check(stack)
        if not one.unknown & rule.judges
    ]

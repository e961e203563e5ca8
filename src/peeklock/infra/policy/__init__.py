"""Rules for the resources of a stack, as pure functions over plain data; and, with `pulumi-policy`, a policy pack of them.

    found = violations([Resource(type="aws:sqs/queue:Queue", name="q", urn="...", props={...}), ...])

They apply to any Pulumi program, not only to those of `peeklock.infra`. They import the standard library only, since a
pack has an environment of its own: pulumi-policy requires protobuf 5.
"""

from peeklock.infra.policy.rules import Resource, Rule, Violation
from peeklock.infra.policy.table import RULES, violations

__all__ = ["RULES", "Resource", "Rule", "Violation", "violations"]

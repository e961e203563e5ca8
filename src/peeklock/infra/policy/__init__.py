"""Rules for what a stack registers, as pure functions over plain data; and, with `pulumi-policy`, a policy pack of them.

    found = violations([Resource(type="aws:sqs/queue:Queue", name="q", urn="...", props={...}), ...])

They hold for any Pulumi program and not only for those of `peeklock.infra`. Nothing but the standard library is imported, since a
pack has an environment of its own: pulumi-policy wants protobuf 5.
"""

from peeklock.infra.policy.rules import Resource, Rule, Violation
from peeklock.infra.policy.table import RULES, violations

__all__ = ["RULES", "Resource", "Rule", "Violation", "violations"]

"""Rules of the clouds that no SDK of Pulumi states, by resource type, each in words and with its source.

They are applied after the SDKs' own types (`schema`) have been checked. Enumerations, ranges and patterns of AWS are those
of botocore's models (`aws_requests`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudqueues.pulumi import aws_requests
from cloudqueues.pulumi.rules import aws, azure, gcp
from cloudqueues.pulumi.rules.checks import Rule, violations

RULES: Mapping[str, tuple[Rule, ...]] = {
    **{f"aws:{name}": rules for name, rules in aws.RULES.items()},
    **{f"azure-native:{name}": rules for name, rules in azure.RULES.items()},
    **{f"gcp:{name}": rules for name, rules in gcp.RULES.items()},
}


def problems(token: str, inputs: Mapping[str, Any]) -> list[str]:
    """Return what the service would refuse, each as `path: value: rule; source`.

    `inputs` have the resource's physical name, and for some rules its parent (`azure.with_parent`).
    """
    refused = [violation for rule in RULES.get(token, ()) for violation in violations(rule, inputs)]
    if not token.startswith("aws:"):
        return refused
    places = {_place(violation) for violation in refused}
    return refused + [problem for problem in aws_requests.problems(token, inputs) if _place(problem) not in places]


def _place(problem: str) -> str:
    return problem.partition(":")[0]

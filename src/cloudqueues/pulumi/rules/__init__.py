"""Rules of the clouds that no SDK of Pulumi states, by resource type, each in words and with its source.

They are applied after the SDKs' own types (`schema`) have been checked. Enumerations, ranges and patterns of AWS are those
of botocore's models (`aws_requests`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudqueues.pulumi import aws_requests
from cloudqueues.pulumi.rules import aws, aws_dynamodb, azure, azure_regions, gcp, gcp_values
from cloudqueues.pulumi.rules.checks import Rule, violations

TABLES = (
    ("aws", aws.RULES),
    ("aws", aws_dynamodb.RULES),
    ("azure-native", azure.RULES),
    ("azure-native", azure_regions.RULES),
    ("gcp", gcp.RULES),
    ("gcp", gcp_values.RULES),
)
"""Rules by package and type. A type may be in several tables."""

RULES: Mapping[str, tuple[Rule, ...]] = {
    f"{package}:{name}": tuple(rule for other, table in TABLES if other == package for rule in table.get(name, ()))
    for package, names in TABLES
    for name in names
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

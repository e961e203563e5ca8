"""Rules of DynamoDB's tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cloudqueues.pulumi.rules.checks import Rule, Values, Violations, only_if, rule, values_at

TABLE = "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html"

INDEXES = ("globalSecondaryIndexes", "localSecondaryIndexes")


def _keys(inputs: Values) -> Iterator[tuple[str, str]]:
    """Yield the keys of a table and of its indexes, with their places."""
    for path in ("hashKey", "rangeKey", *(f"{index}.{key}" for index in INDEXES for key in ("hashKey", "rangeKey"))):
        yield from values_at(inputs, path)


def _undefined(inputs: Values) -> Violations:
    defined = {name for _, name in values_at(inputs, "attributes.name")}
    for place, name in _keys(inputs):
        if name not in defined:
            yield place, name


def _unindexed(inputs: Values) -> Violations:
    used = {name for _, name in _keys(inputs)}
    for place, name in values_at(inputs, "attributes.name"):
        if name not in used:
            yield place, name


def _without_key(inputs: Values) -> Violations:
    if "hashKey" not in inputs:
        yield "hashKey", None


def _without_capacity(inputs: Values) -> Violations:
    for name in ("readCapacity", "writeCapacity"):
        if (inputs.get(name) or 0) < 1:
            yield name, inputs.get(name)


def _created(inputs: Values) -> bool:
    """Return whether a table is created anew: a restored or imported one has the keys of its source."""
    return bool(inputs.get("attributes")) and not any(name.startswith(("restore", "import")) for name in inputs)


def _provisioned(inputs: Values) -> bool:
    return _created(inputs) and inputs.get("billingMode", "PROVISIONED") == "PROVISIONED"


RULES: Mapping[str, tuple[Rule, ...]] = {
    "dynamodb/table:Table": (
        rule("a table has a hash key", TABLE, only_if(_created, _without_key)),
        rule(
            "a key is one of the table's attributes",
            TABLE,
            only_if(_created, _undefined),
            "attributes",
            *INDEXES,
            "hashKey",
            "rangeKey",
        ),
        rule(
            "an attribute is a key of the table or of an index; others are not defined",
            TABLE,
            only_if(_created, _unindexed),
            "attributes",
            *INDEXES,
            "hashKey",
            "rangeKey",
        ),
        rule(
            "a table that is PROVISIONED, as is the default, has a capacity of 1 or more",
            TABLE,
            only_if(_provisioned, _without_capacity),
            "billingMode",
            "readCapacity",
            "writeCapacity",
        ),
    ),
}

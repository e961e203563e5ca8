"""Filter criteria, by the rules of https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudqueues.errors import ConfigError
from cloudqueues.sqs_lambda.filters import Filters
from cloudqueues.sqs_lambda.json_types import is_object


def record(body: str, **more: Any) -> dict[str, Any]:
    return {"messageId": "m", "body": body, "attributes": {}, "messageAttributes": {}, **more}


def matches(rules: Any, value: Any) -> bool:
    """Return whether rules for the key `x` of a JSON body match."""
    return Filters([{"body": {"x": rules}}]).match(record(json.dumps(value)))


OPERATORS: list[tuple[Any, list[Any], list[Any]]] = [
    (["a"], ["a"], ["A", "b", "", None, 1, ["b"], {"a": 1}]),
    ([None], [None], ["", 0, False, "null"]),
    ([""], [""], [None, " "]),
    ([1], [1], ["1", 1.0, True, 2]),
    ([1.5], [1.5], [1, "1.5"]),
    ([True], [True], [1, "true", False]),
    (["a", "b"], ["a", "b", ["c", "b"]], ["c", ["c", "d"]]),
    ([{"equals-ignore-case": "Alice"}], ["alice", "ALICE"], ["bob", 1, None]),
    ([{"prefix": "us-"}], ["us-east-1", "us-"], ["eu-us-", 1]),
    ([{"suffix": ".png"}], ["a.png"], ["a.PNG", None]),
    ([{"anything-but": ["rain", 7]}], ["sun", 8, "7", None], ["rain", 7]),
    ([{"anything-but": "rain"}], ["sun"], ["rain"]),
    ([{"numeric": ["=", 100]}], [100, 100.0, 1e2], [99, "100", True]),
    ([{"numeric": [">", 10, "<=", 20]}], [10.5, 20], [10, 21, None]),
    ([{"numeric": ["<", 0]}], [-1], [0]),
    ([{"numeric": ["=", 1]}], [1], [True]),
    ([{"numeric": [">=", 0]}], [0], [-0.1]),
    ([{"exists": True}], ["a", None, 0, [1]], [{"y": 1}, []]),
    ([{"exists": False}], [{"y": 1}, []], ["a", None]),
    ([{"prefix": "a"}, None], ["ab", None], ["b"]),
]


@pytest.mark.parametrize(("rules", "yes", "no"), OPERATORS)
def test_each_operator(rules: Any, yes: list[Any], no: list[Any]) -> None:
    assert [value for value in yes if not matches(rules, {"x": value})] == []
    assert [value for value in no if matches(rules, {"x": value})] == []


def test_what_is_not_there() -> None:
    assert matches([{"exists": False}], {})
    assert not matches([{"exists": True}], {})
    assert not matches([{"anything-but": ["a"]}], {})
    assert not matches([None], {})


def test_numbers_are_equal_by_their_text() -> None:
    filters = Filters(['{"body": {"x": [300]}}'])
    assert filters.match(record('{"x": 300}'))
    assert not filters.match(record('{"x": 300.0}'))
    assert not filters.match(record('{"x": 3.0e2}'))


def test_all_keys_have_to_match_and_one_of_an_or() -> None:
    filters = Filters([{"body": {"a": {"b": ["x"]}, "$or": [{"c": ["y"]}, {"d": {"e": [1]}}]}}])
    assert filters.match(record('{"a": {"b": "x"}, "c": "y"}'))
    assert filters.match(record('{"a": {"b": "x"}, "d": {"e": 1}}'))
    assert not filters.match(record('{"a": {"b": "x"}, "c": "z"}'))
    assert not filters.match(record('{"a": {"b": "z"}, "c": "y"}'))


def test_objects_in_arrays_match_each_on_its_own() -> None:
    filters = Filters([{"body": {"lines": {"sku": ["x"]}}}])
    assert filters.match(record('{"lines": [{"sku": "a"}, {"sku": "x"}]}'))
    assert not filters.match(record('{"lines": [{"sku": "a"}]}'))


@pytest.mark.parametrize(
    ("pattern", "body", "matched"),
    [
        ({"body": ["text"]}, "text", True),
        ({"body": ["text"]}, "other", False),
        ({"body": [{"prefix": "te"}]}, "text", True),
        ({"body": ['{"x":1}']}, '{"x":1}', False),
        ({"body": [{"exists": False}]}, '{"x":1}', False),
        ({"body": {"x": [1]}}, "text", False),
        ({"body": {"x": [{"exists": False}]}}, "text", False),
        ({"body": {"x": [1]}}, '[{"x":1}]', True),
        ({"$or": [{"body": {"x": [1]}}, {"body": ["text"]}]}, "text", True),
        ({"$or": [{"body": {"x": [1]}}, {"body": ["text"]}]}, '{"x":1}', True),
        ({"attributes": {"MessageGroupId": ["a"]}}, "text", False),
    ],
)
def test_text_and_json_never_match_each_other(pattern: Any, body: str, matched: bool) -> None:
    assert Filters([pattern]).match(record(body)) is matched


def test_attributes_of_both_kinds() -> None:
    filters = Filters(
        [{"messageAttributes": {"kind": {"stringValue": ["order"]}}}, {"attributes": {"MessageGroupId": ["a"]}}]
    )
    assert filters.match(record("x", messageAttributes={"kind": {"stringValue": "order"}}))
    assert filters.match(record("x", attributes={"MessageGroupId": "a"}))
    assert not filters.match(record("x"))


def test_no_filters_match_everything() -> None:
    assert Filters([]).match(record("x"))


REFUSED: list[tuple[Any, str]] = [
    ("{", "not JSON"),
    ("[]", "takes an object"),
    ({}, "its top is empty"),
    ({"body": {}}, "pattern at body is empty"),
    ({"body": []}, "body takes a list of rules"),
    ({"body": "text"}, "body takes a list of rules"),
    ({"body": {"x": [["a"]]}}, "body.x: a list within a list"),
    ({"body": {"x": [{"prefix": "a", "suffix": "b"}]}}, "one operator"),
    ({"body": {"x": [{"wildcard": "a*"}]}}, "no operator 'wildcard'"),
    ({"body": {"x": [{"prefix": 1}]}}, "no operator 'prefix'"),
    ({"body": {"x": [{"suffix": 1}]}}, "no operator 'suffix'"),
    ({"body": {"x": [{"exists": 1}]}}, "no operator 'exists'"),
    ({"body": {"x": [{"equals-ignore-case": 1}]}}, "no operator 'equals-ignore-case'"),
    ({"body": {"x": [{"anything-but": []}]}}, "no operator 'anything-but'"),
    ({"body": {"x": [{"anything-but": [{"prefix": "a"}]}]}}, "no operator 'anything-but'"),
    ({"body": {"x": [{"numeric": 1}]}}, "no operator 'numeric'"),
    ({"body": {"x": [{"numeric": ["=", "1"]}]}}, "no operator 'numeric'"),
    ({"body": {"x": [{"numeric": ["!=", 1]}]}}, "no operator 'numeric'"),
    ({"$or": [1]}, "takes an object"),
    ({"body": ["x" * 4096]}, "at most 4096 characters"),
]


@pytest.mark.parametrize(("pattern", "problem"), REFUSED)
def test_what_lambda_would_refuse(pattern: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        Filters([pattern])


def test_a_pattern_of_4096_characters_is_the_longest() -> None:
    longest = json.dumps({"body": ["x" * (4096 - len('{"body": [""]}'))]})
    Filters([longest])
    with pytest.raises(ConfigError, match="at most 4096 characters, not 4097"):
        Filters([f"{longest} "])


def test_ten_filters_are_the_most() -> None:
    pattern = {"body": ["x"]}
    Filters([pattern] * 10)
    with pytest.raises(ConfigError, match="at most 10"):
        Filters([pattern] * 11)


leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
documents = st.dictionaries(st.sampled_from("abc"), leaves | st.dictionaries(st.sampled_from("de"), leaves, min_size=1))


def pattern_of(document: dict[str, Any]) -> dict[str, Any]:
    return {key: pattern_of(value) if is_object(value) else [value] for key, value in document.items()}


@given(document=documents.filter(bool), other=documents)
def test_a_documents_own_pattern_matches_it_and_what_contains_it(document: Any, other: Any) -> None:
    filters = Filters([{"body": pattern_of(document)}])
    assert filters.match(record(json.dumps(document)))
    both = {**other, **document}
    assert filters.match(record(json.dumps(both)))
    assert filters.match(record(json.dumps(other))) == all(
        key in other and contains(other[key], value) for key, value in document.items()
    )


def contains(value: Any, wanted: Any) -> bool:
    if is_object(wanted):
        return is_object(value) and all(key in value and contains(value[key], part) for key, part in wanted.items())
    return type(value) is type(wanted) and value == wanted

"""Filters and actions, as the documentation has them: tables, and properties of all filters.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-messaging-sql-filter
"""

from __future__ import annotations

import fnmatch
import itertools
import math
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudqueues.servicebus.amqp.decode import Described
from cloudqueues.servicebus.message_properties import MessageProperties
from cloudqueues.servicebus.sql import EvaluationError, FilterError, parse, parse_action
from cloudqueues.servicebus.sql.cursor import DEEPEST
from cloudqueues.servicebus.sql.pattern import like
from cloudqueues.servicebus.sql.tokens import LONGEST

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ID = uuid.UUID(int=7)
UNHURRIED = settings(deadline=None)
"""A busy machine may stop a test for longer than an example takes."""
SEEN = MessageProperties(
    {"Label": "order-7", "To": "lisbon", "SessionId": "s", "SequenceNumber": 3},
    {
        "size": 11,
        "zero": 0,
        "price": 1.5,
        "Colour": "red",
        "yes": True,
        "no": False,
        "id": ID,
        "at": NOON,
        "nothing": None,
        "raw": b"\x00",
        "odd": Described("com.microsoft:uri", "x"),
        "with space": 1,
        "a]b": 2,
        'a"b': 3,
        "AND": 4,
        "größe": 5,
    },
)
PARAMETERS = {"@ten": 10, "label": "order-7", "@before": NOON - timedelta(hours=1), "@none": None, "@id": ID}


@pytest.mark.parametrize(
    "sql",
    [
        # comparison
        "size = 11",
        "size <> 12 AND size != 12",
        "size > 10 AND size >= 11 AND size < 12 AND size <= 11",
        "size = 11.0",
        "price > 1 AND 2 > price",
        "Colour = 'red'",
        "Colour <> 'Red'",
        "yes = TRUE AND no = false AND yes <> no",
        "id = @id AND id != newid()",
        "at > @before",
        "1e1 = 10 AND 0.5E-2 = 0.005 AND 101.5e+1 = 1015",
        "9007199254740993 = 9007199254740992.0",  # as doubles, as C# compares them
        # logic
        "1=1",
        "no = TRUE OR yes = TRUE",
        "NOT no = TRUE",
        "NOT (no = TRUE OR size = 0)",
        "no = TRUE AND no = TRUE OR yes = TRUE",  # AND binds closer
        "yes = TRUE OR yes = TRUE AND no = TRUE",
        "NOT no = TRUE AND yes = TRUE",  # NOT binds closest
        "NOT NOT yes = TRUE",
        "missing = 1 OR yes = TRUE",
        "NOT (missing = 1 AND no = TRUE)",
        # names
        "sys.Label = 'order-7'",
        "SYS.label = 'order-7' aNd sYs.TO = 'lisbon'",
        "user.size = 11",
        "SIZE = 11 AND colour = 'red'",
        "[with space] = 1",
        "[a]]b] = 2",
        '"a""b" = 3 AND "size" = 11',
        "[AND] = 4 AND user.[AND] = 4",
        "größe = 5",
        "sys.[Label] = 'order-7'",
        "sys.SequenceNumber = 3",
        "property('size') = 11 AND P('SI' + 'ZE') = 11",
        # parameters
        "size > @ten AND sys.Label = @label AND sys.Label = @LABEL",
        # null
        "missing IS NULL",
        "nothing IS NULL AND EXISTS(nothing)",
        "size IS NOT NULL",
        "sys.ReplyTo IS NULL AND sys.Label IS NOT NULL",
        "odd IS NOT NULL",
        "EXISTS(size) AND EXISTS ( sys.Label ) AND NOT EXISTS(missing)",
        # IN
        "Colour IN ('blue', 'red')",
        "size IN (1, 5 + 6)",
        "size NOT IN (1, 2)",
        "size IN (missing, 11)",
        "sys.To IN ('lisbon')",
        # LIKE
        "sys.Label LIKE 'order-%'",
        "sys.Label LIKE '%der%' AND sys.Label LIKE 'order-_'",
        "sys.Label NOT LIKE 'ORDER%'",
        "'50%' LIKE '50!%' ESCAPE '!' AND '501' NOT LIKE '50!%' ESCAPE '!'",
        "'a_b' LIKE 'a\\_b' ESCAPE '\\'",
        "Colour LIKE 'r' + '%'",
        "'it''s' LIKE '%''%'",
        # arithmetic
        "1 + 2 * 3 = 7 AND (1 + 2) * 3 = 9",
        "10 - 4 - 3 = 3 AND 20 / 2 / 5 = 2",
        "size / 2 = 5 AND -size / 2 = -5",
        "size % 4 = 3 AND -size % 4 = -3 AND size % -4 = 3",
        "size / 2.0 = 5.5 AND -price = -1.5 AND +size = 11",
        "5.5 % 2 = 1.5",
        "price * 2 - 1 = 2 AND price + 1 = 2.5",
        "1.0 / 0 > 9e300 AND -1.0 / 0 < 0",
        "9223372036854775807 + 1 < 0",
        "'a' + 'b' = 'ab' AND 'a' + 1 = 'a1' AND 1.0 + 'a' = '1a' AND 'a' + yes = 'aTrue'",
        "- - 1 = 1",
    ],
)
def test_what_is_true(sql: str) -> None:
    assert parse(sql, PARAMETERS)(SEEN)


@pytest.mark.parametrize(
    "sql",
    [
        "size = 12",
        "1=0",
        "Colour LIKE 're'",
        "size IN (1, 2)",
        "size IS NULL",
        "EXISTS(missing)",
        "yes = TRUE AND no = TRUE",
        "0.0 / 0 = 0.0 / 0",
        "1.0 % 0 = 1",
        # unknown is not true, and neither is its opposite
        "missing = 1",
        "NOT missing = 1",
        "missing <> 1",
        "missing > 1 OR no = TRUE",
        "NOT (missing > 1 AND yes = TRUE)",
        "missing LIKE '%'",
        "missing NOT LIKE '%'",
        "Colour NOT LIKE missing",
        "Colour NOT LIKE 'x' ESCAPE missing",
        "missing IN (1)",
        "missing NOT IN (1)",
        "size NOT IN (1, missing)",
        "missing + 1 = 1 OR 1 + missing = 1 OR -missing = 1",
        "nothing = NULL",
        "nothing <> NULL",
        "size = @none",
        "property(missing) = 1",
        "property('missing') = 1",
    ],
)
def test_what_is_not_true(sql: str) -> None:
    assert not parse(sql, PARAMETERS)(SEEN)


VALUES = {"TRUE": "1 = 1", "FALSE": "1 = 0", "UNKNOWN": "missing = 1"}
OPPOSITE = {"TRUE": "FALSE", "FALSE": "TRUE", "UNKNOWN": "UNKNOWN"}


def value_of(sql: str) -> str:
    """Evaluate a condition: unknown is neither true nor false."""
    if parse(sql)(SEEN):
        return "TRUE"
    return "FALSE" if parse(f"NOT ({sql})")(SEEN) else "UNKNOWN"


@pytest.mark.parametrize(("left", "right"), list(itertools.product(VALUES, repeat=2)))
def test_logic_has_three_values(left: str, right: str) -> None:
    rank = ["FALSE", "UNKNOWN", "TRUE"]
    both = rank[min(rank.index(left), rank.index(right))]
    either = rank[max(rank.index(left), rank.index(right))]
    assert value_of(f"{VALUES[left]} AND {VALUES[right]}") == both
    assert value_of(f"{VALUES[left]} OR {VALUES[right]}") == either
    assert value_of(f"NOT ({VALUES[left]})") == OPPOSITE[left]


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("size = '11'", "a number and a text cannot be compared with ="),
        ("yes = 1", "a boolean and a number"),
        ("Colour < 'z'", "a text and a text cannot be compared with <"),
        ("yes > no", "a boolean and a boolean"),
        ("id > id", "a UUID and a UUID"),
        ("size IN (1, 'a')", "a number and a text"),
        ("size LIKE '1%'", "LIKE and ESCAPE take texts only"),
        ("Colour LIKE 1", "LIKE and ESCAPE take texts only"),
        ("Colour LIKE 'r' ESCAPE 'xx'", "ESCAPE takes one character"),
        ("Colour LIKE 'r!' ESCAPE '!'", "escapes nothing"),
        ("size - 'a' = 1", "a number and a text cannot be calculated with -"),
        ("yes + yes = 2", "a boolean and a boolean cannot be calculated with +"),
        ("-Colour = 'a'", "a text has no sign"),
        ("size / zero = 1", "divided by zero"),
        ("size % zero = 1", "divided by zero"),
        ("raw = 1", "a value of bytes cannot be used"),
        ("odd = 'x'", "a value of Described cannot be used"),
        ("'a' + at = 'a'", "a time cannot become a text"),
        ("property(1) = 1", "the name of a property, which is a text"),
    ],
)
def test_what_cannot_be_applied_to_a_message(sql: str, problem: str) -> None:
    with pytest.raises(EvaluationError, match=problem):
        parse(sql)(SEEN)


@pytest.mark.parametrize(
    ("sql", "at", "problem"),
    [
        ("", 0, "a property, a constant or ( is missing before the end"),
        ("size >", 6, "is missing before the end"),
        ("size = 1 size = 2", 9, "AND or OR is missing before 'size'"),
        ("size == 1", 6, "is missing before '='"),
        ("size", 0, "a value is not a condition"),
        ("yes AND 1=1", 0, "a value is not a condition"),
        ("1=1 OR yes", 7, "a value is not a condition"),
        ("NOT yes", 4, "a value is not a condition"),
        ("(1=1) = TRUE", 1, "a condition is not a value"),
        ("1 = (1=1)", 5, "a condition is not a value"),
        ("1 + (1=1) = 1", 5, "a condition is not a value"),
        ("-(1=1) = 1", 2, "a condition is not a value"),
        ("(size = 1", 9, ") is missing before the end"),
        ("size IN 1", 8, "( is missing before '1'"),
        ("size IN ()", 9, "is missing before ')'"),
        ("size NOT 1", 9, "IN or LIKE is missing before '1'"),
        ("size IS 1", 8, "NULL is missing before '1'"),
        ("size + 1 IS NULL", 0, "IS NULL takes a property"),
        ("EXISTS(1)", 7, "the name of a property is missing before '1'"),
        ("EXISTS size", 7, "( is missing"),
        ("sys.Lable = 'a'", 4, "did you mean sys.Label?"),
        ("sys.Zebra = 'a'", 4, "sys.CorrelationId, sys.MessageId"),
        ("app.size = 1", 0, "'app' is not a scope"),
        ("sys. = 1", 5, "the name of a property is missing before '='"),
        ("size = @other", 7, "the parameter @other is missing"),
        ("size = @bad", 7, "a value of list cannot be used"),
        ("lower(a) = 'a'", 0, "'lower' is not a function"),
        ("size = 9223372036854775808", 7, "write 9223372036854775808.0"),
        ("size = 'a", 7, "the text has no end"),
        ("[size = 1", 0, "the name has no end"),
        ('  "size = 1', 2, "the name has no end"),
        ("size = 1 && size = 2", 9, "write AND"),
        ("size = 1 || size = 2", 9, "write OR"),
        ("!size = 1", 0, "write NOT"),
        ("_size = 1", 0, "a name begins with a letter"),
        ("size = @", 7, "a parameter has a name"),
        ("size = #", 7, "not allowed in a filter"),
        ("size = '\ud800'", 8, "is not a character"),
        ("size = 1" + " " * LONGEST, LONGEST, "at most 1024 characters"),
        ("(" * 100 + "1=1" + ")" * 100, DEEPEST + 1, "levels deep"),
        ("NOT " * 100 + "1=1", 4 * (DEEPEST + 1), "levels deep"),
        ("-" * 100 + "1=1", DEEPEST + 1, "levels deep"),
    ],
)
def test_what_is_no_filter_says_where_and_what_to_write(sql: str, at: int, problem: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse(sql, {"bad": []})
    assert caught.value.at == at
    assert problem in str(caught.value)


@pytest.mark.parametrize("depth", [1, DEEPEST - 1])
def test_the_deepest_that_is_read_can_be_applied(depth: int) -> None:
    assert parse("(" * depth + "size = 11" + ")" * depth)(SEEN)
    assert parse("NOT " * depth + "size = 12")(SEEN) is (depth % 2 == 1)
    assert parse("1" + "+1" * 500 + " = 501")(SEEN)
    assert parse(" OR ".join(["1=0"] * 140) + " OR 1=1")(SEEN)


# -- actions


@pytest.mark.parametrize(
    ("sql", "system", "properties"),
    [
        ("SET size = size / 2", {}, {"size": 5}),
        ("SET SIZE = 1", {}, {"size": 1}),
        ("SET new = 'x';", {}, {"new": "x"}),
        ("set a = 1; set b = a + 1, SET c = b + 1 SET d = 4", {}, {"a": 1, "b": 2, "c": 3, "d": 4}),
        ("SET price = 2", {}, {"price": 2.0}),
        ("SET price = 'x'", {}, {"price": "x"}),
        ("SET price = TRUE", {}, {"price": True}),
        ("SET x = missing", {}, {"x": None}),
        ("SET sys.Label = 'new'; SET sys.To = 5", {"Label": "new", "To": "5"}, {}),
        ("SET sys.label = NULL", {"Label": None}, {}),
        ("REMOVE sys.Label", {"Label": None}, {}),
        ("SET sys.ReplyTo = sys.Label + '/' + Colour", {"ReplyTo": "order-7/red"}, {}),
        ("SET [odd name] = p('size')", {}, {"odd name": 11}),
    ],
)
def test_what_an_action_sets(sql: str, system: dict[str, object], properties: dict[str, object]) -> None:
    changed = parse_action(sql)(SEEN)
    wanted = {name: value for name, value in {**SEEN.system, **system}.items() if value is not None}
    assert changed.system == wanted
    assert {name: (type(value), value) for name, value in changed.application.items()} == {
        name: (type(value), value) for name, value in {**SEEN.application, **properties}.items()
    }


def test_what_an_action_removes() -> None:
    changed = parse_action("REMOVE SIZE; REMOVE missing; REMOVE user.colour")(SEEN)
    assert changed.application == {
        key: value for key, value in SEEN.application.items() if key not in {"size", "Colour"}
    }
    assert changed.system == SEEN.system


def test_each_new_id_is_another_one() -> None:
    new_ids = parse_action("SET a = newid(); SET b = newid()")(SEEN).application
    assert isinstance(new_ids["a"], uuid.UUID)
    assert new_ids["a"] != new_ids["b"]


@pytest.mark.parametrize(
    ("sql", "at", "problem"),
    [
        ("", 0, "SET or REMOVE is missing before the end"),
        ("DROP size", 0, "SET or REMOVE is missing before 'DROP'"),
        ("SET size", 8, "= is missing before the end"),
        ("SET size = ", 11, "is missing before the end"),
        ("SET size = 1;;", 13, "SET or REMOVE is missing before ';'"),
        ("SET size = (1 = 1)", 12, "a condition is not a value"),
        ("SET sys.SequenceNumber = 1", 4, "sys.SequenceNumber is the service's own"),
        ("REMOVE sys.SequenceNumber", 7, "sys.SequenceNumber is the service's own"),
        ("SET a = 1;" * 33, 320, "at most 32 statements"),
        ("SET a = @p", 8, "is missing"),
    ],
)
def test_what_is_no_action(sql: str, at: int, problem: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_action(sql)
    assert caught.value.at == at
    assert problem in str(caught.value)


def test_a_text_does_not_grow_without_end() -> None:
    doubled = parse_action("SET a = 'xxxxxxxx';" + "SET a = a + a;" * 20)
    with pytest.raises(EvaluationError, match="too large"):
        doubled(SEEN)


def test_an_action_that_cannot_be_applied() -> None:
    with pytest.raises(EvaluationError):
        parse_action("SET a = 1; SET sys.Label = odd")(SEEN)
    with pytest.raises(EvaluationError, match="a time cannot become a text"):
        parse_action("SET sys.Label = at")(SEEN)


# -- all of them


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@UNHURRIED
@given(TEXTS)
def test_any_text_is_a_constant(text: str) -> None:
    assert parse(f"a = {quoted(text)}")(MessageProperties({}, {"a": text}))
    assert not parse(f"a <> {quoted(text)}")(MessageProperties({}, {"a": text}))


@UNHURRIED
@given(TEXTS.filter(lambda text: text != ""))
def test_any_text_is_a_name(name: str) -> None:
    seen = MessageProperties({}, {name: 1})
    assert parse("[" + name.replace("]", "]]") + "] = 1")(seen)
    assert parse('"' + name.replace('"', '""') + '" = 1')(seen)


@UNHURRIED
@given(st.text("ab%_", max_size=8), st.text("ab", max_size=12))
def test_patterns_match_as_globs_do(pattern: str, text: str) -> None:
    glob = pattern.replace("%", "*").replace("_", "?")
    assert like(text, pattern, "") is fnmatch.fnmatchcase(text, glob)


@UNHURRIED
@given(st.text("a%_!", max_size=8))
def test_an_escaped_text_matches_itself_only(text: str) -> None:
    escaped = "".join(f"!{character}" if character in "%_!" else character for character in text)
    assert like(text, escaped, "!") is True
    assert like(text + "a", escaped, "!") is False


def test_a_pattern_of_many_wildcards_takes_no_time() -> None:
    assert like("a" * 5000, "%a" * 100 + "b", "") is False


LONGS = st.integers(-(2**63), 2**63 - 1)


@UNHURRIED
@given(LONGS, LONGS.filter(bool))
def test_longs_are_divided_as_c_sharp_divides(left: int, right: int) -> None:
    seen = MessageProperties({}, {"a": left, "b": right})
    assert parse("a / b * b + a % b = a")(seen)
    assert parse("(a % b = 0) OR ((a % b > 0) AND a > 0) OR ((a % b < 0) AND a < 0)")(seen)
    results = parse_action("SET q = a / b; SET s = a + b; SET m = a * b")(seen).application
    assert all(isinstance(results[name], int) and -(2**63) <= int(str(results[name])) < 2**63 for name in "qsm")


@UNHURRIED
@given(st.floats(), st.floats())
def test_no_double_is_too_much(left: float, right: float) -> None:
    seen = MessageProperties({}, {"a": left, "b": right})
    results = parse_action("SET r = a / b; SET m = a % b; SET t = a * b")(seen).application
    assert all(isinstance(results[name], float) for name in "rmt")
    assert parse("a = b")(seen) is (left == right)
    assert math.isnan(left) or parse("a = a")(seen)


WORDS = st.sampled_from([
    "AND", "OR", "NOT", "IN", "LIKE", "IS", "NULL", "EXISTS", "TRUE", "size", "sys.", "Label", "Colour", "missing", "(",
    ")", "=", "<", ",", "+", "-", "*", "/", "%", "1", "0", "1.5", "'a%'", "[", "'", "@p", "newid()", "p(", ";", "SET",
])  # fmt: skip


@UNHURRIED
@given(st.lists(WORDS, max_size=25).map(" ".join) | st.text(max_size=40))
def test_any_words_are_a_filter_or_an_error_that_says_where(text: str) -> None:
    assert outcome(lambda: parse(text, {"p": 1})(SEEN), text)
    assert outcome(lambda: parse_action(text)(SEEN), text)


def outcome(read: Callable[[], object], text: str) -> bool:
    """Return whether the outcome is one of the three that are allowed."""
    try:
        read()
    except FilterError as error:
        return 0 <= error.at <= len(text)
    except EvaluationError as error:
        return bool(str(error))
    return True


@st.composite
def conditions(draw: st.DrawFn) -> tuple[str, object]:
    """A text and what it comes to, made by other means."""
    leaf = st.sampled_from([("1 = 1", True), ("1 = 0", False), ("missing = 1", None), ("NOT EXISTS(size)", False)])

    def joined(inner: st.SearchStrategy[tuple[str, object]]) -> st.SearchStrategy[tuple[str, object]]:
        pairs = st.lists(inner, min_size=2, max_size=3)
        return (
            pairs.map(lambda parts: (" AND ".join(f"({text})" for text, _ in parts), worst(parts, False)))
            | pairs.map(lambda parts: (" OR ".join(f"({text})" for text, _ in parts), worst(parts, True)))
            | inner.map(lambda part: (f"NOT ({part[0]})", None if part[1] is None else not part[1]))
        )

    return draw(st.recursive(leaf, joined, max_leaves=8))


def worst(parts: list[tuple[str, object]], decisive: bool) -> object:
    truths = {value for _, value in parts}
    return decisive if decisive in truths else None if None in truths else not decisive


@UNHURRIED
@given(conditions())
def test_conditions_of_any_depth(condition: tuple[str, object]) -> None:
    text, value = condition
    assert parse(text)(SEEN) is (value is True)
    assert parse(f"NOT ({text})")(SEEN) is (value is False)

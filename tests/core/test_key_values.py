"""Values of keys: which there are, and the one text of each."""

from __future__ import annotations

import dataclasses
import enum
import functools
import re
import uuid
from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal, localcontext
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, NotRequired, Optional, Protocol, Required, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    AnyUrl,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    NaiveDatetime,
    PastDate,
    PositiveInt,
    SecretStr,
    StrictFloat,
    StrictStr,
    UrlConstraints,
    create_model,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic_core import core_schema
from typing_extensions import TypeAliasType, TypedDict

from peeklock import ConfigError, Queue, consumer
from peeklock.consuming.declaration import resolve
from peeklock.consuming.keys import text_of
from peeklock.stores.memory import MemoryStore
from peeklock.testing import deliver

QUEUE = Queue("orders")
ID = uuid.UUID("3f2504e0-4f89-11d3-9a0c-0305e82c3301")


class Plain(enum.Enum):
    TEXT = "text"
    NUMBER = 7


class Floating(enum.Enum):
    HALF = 0.5


class Text(enum.StrEnum):
    A = "a"


class Mixed(str, enum.Enum):  # noqa: UP042 - as before Python 3.11, and its str() is another
    A = "a"


class Number(enum.IntEnum):
    ONE = 1


class Loud(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "LOUD"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("o-1", "o-1"),
        (Loud("o-1"), "o-1"),
        (7, "7"),
        (-7, "-7"),
        (ID, "3f2504e0-4f89-11d3-9a0c-0305e82c3301"),
        (Plain.TEXT, "text"),
        (Plain.NUMBER, "7"),
        (Text.A, "a"),
        (Mixed.A, "a"),
        (Number.ONE, "1"),
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, 3, tzinfo=UTC), "2026-01-02T03:00:00+00:00"),
        (datetime(2026, 1, 2, 5, tzinfo=timezone(timedelta(hours=2))), "2026-01-02T03:00:00+00:00"),
        (datetime(2026, 1, 2, 3, 0, 0, 5, tzinfo=UTC), "2026-01-02T03:00:00.000005+00:00"),
        (Decimal("1.0"), "1"),
        (Decimal("1E0"), "1"),
        (Decimal("1E+2"), "100"),
        (Decimal("-0.00"), "0"),
        (Decimal("-12.340"), "-12.34"),
        (Decimal("0.001"), "0.001"),
        (Decimal("123456789012345678901234567890.12345678901"), "123456789012345678901234567890.12345678901"),
        (Decimal("1E+999999"), "1E999999"),
        (Decimal("1E-999999"), "1E-999999"),
    ],
)
def test_the_text_of_a_key(value, text):
    """Standard, and one for each value. (trials 1.6)"""
    assert text_of(value) == text


@pytest.mark.parametrize(
    "value",
    [
        *("", True, False, 1.5, b"a", [], {}, (), None, object()),
        *(Decimal("NaN"), Decimal("sNaN"), Decimal("-Infinity"), Floating.HALF),
        *(datetime(2026, 1, 2), time(3), timedelta(1), 10**5000),  # noqa: DTZ001 - a naive one is the point
        datetime.min.replace(tzinfo=timezone(timedelta(hours=2))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_text(value):
    """Equal values of it may look different, or different ones alike. (trials 1.6)"""
    assert text_of(value) is None


@given(st.decimals(allow_nan=False, allow_infinity=False), st.decimals(allow_nan=False, allow_infinity=False))
def test_decimals_have_one_text_each(first, second):
    """Whatever the precision of the context. (trials 1.6)"""
    with localcontext(prec=2):
        assert (text_of(first) == text_of(second)) is (first.compare_total(second) == 0 or first == second)


@given(st.integers())
def test_an_integer_has_one_text_in_both_types(number):
    """So a producer may write 1 or 1.0."""
    assert text_of(number) == text_of(Decimal(number)) == text_of(Decimal(f"{number}.000"))


OrderId = NewType("OrderId", uuid.UUID)
Alias = TypeAliasType("Alias", int)


class Named(Protocol):
    """Something that any value may be."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return core_schema.any_schema()


class Rounded:
    """Beside a type, it makes another of its values."""

    def __repr__(self) -> str:  # else a test's name would have its address, another in each process
        return "Rounded()"

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return core_schema.no_info_after_validator_function(lambda value: f"{value:.1f}", handler(source))


class Itself:
    """A type whose values are of another."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return core_schema.str_schema()


class Ours(SecretStr):
    """A type with a pydantic schema, as pydantic's own have."""


def with_field(hint: Any) -> Any:
    model = create_model("Order", k=(hint, ...))

    def handle(order: Any) -> None: ...

    handle.__annotations__["order"] = model
    return consumer(QUEUE, key="k")(handle)


@pytest.mark.parametrize(
    ("hint", "first", "again"),
    [
        (uuid.UUID, str(ID), str(ID).upper()),
        (OrderId, str(ID), "{" + str(ID) + "}"),
        (Decimal, "1.0", 1),
        (date, "2026-01-02", "2026-01-02"),
        (datetime, "2026-01-02T03:00:00Z", "2026-01-02T04:00:00+01:00"),
        (AwareDatetime, "2026-01-02T03:00:00Z", "2026-01-02T04:00:00+01:00"),
        (Plain, "text", "text"),
        (Text, "a", "a"),
        (int, 1, 1.0),
        (Alias, 1, 1.0),
        (int | None, 1, 1),
        (Optional[uuid.UUID], str(ID), str(ID)),  # noqa: UP045 - the older spelling
        (Annotated[int, Field(gt=0)], 1, 1),
        (PositiveInt, 1, 1),
        (StrictStr, "a", "a"),
        (Literal["a", 1], "a", "a"),
        (str | int, "1", 1),
        (Any, "a", "a"),
        (object, "a", "a"),
        (Hashable, "a", "a"),
        (Named, "a", "a"),
        (PastDate, "2026-01-02", "2026-01-02"),
        (Annotated[HttpUrl, AfterValidator(str)], "https://a.example", "https://a.example/"),
        (Annotated[HttpUrl, AfterValidator(str)] | None, "https://a.example", "https://a.example/"),
        (Annotated[float, Rounded()], 1.32, 1.3),
        (Itself, "a", "a"),
    ],
    ids=str,
)
def test_a_field_of_such_a_type_is_a_key(hint, first, again):
    """Messages run, and equivalent values are duplicates. (trials 1.6)"""
    handle, store = with_field(hint), MemoryStore()
    outcomes = [deliver(handle, {"k": value}, id=name, store=store) for name, value in (("a", first), ("b", again))]
    assert [outcome.reason for outcome in outcomes] == ["done", "duplicate"]


@pytest.mark.parametrize(
    "hint",
    [
        *(
            float,
            bool,
            bytes,
            time,
            timedelta,
            NaiveDatetime,
            Floating,
            BaseModel,
            list[int],
            dict[str, int],
            set,
            tuple,
        ),
        *(
            float | None,
            str | float,
            Annotated[float, Field(gt=0)],
            StrictFloat,
            NewType("Price", float),
            Literal[True],
        ),
        *(AnyUrl, HttpUrl, IPv4Address, Path, SecretStr, Ours, re.Pattern, re.Pattern[str], complex, type),
        *(HttpUrl | None, Annotated[HttpUrl, BeforeValidator(str)], Annotated[AnyUrl, UrlConstraints(max_length=9)]),
        *(Sequence[str], deque[str]),
    ],
    ids=str,
)
def test_a_field_of_another_type_is_refused(hint):
    """When it is bound, not with each message. (trials 1.6)"""
    with pytest.raises(ConfigError, match=r"key='k' is annotated .*, but a key is a str, int, UUID, Decimal, date"):
        resolve(with_field(hint))


@pytest.mark.parametrize(
    ("hint", "value", "why"),
    [
        (Any, 1.5, "not float"),
        (Any, True, "not bool"),
        (Any, "", "not an empty str"),
        (TypeVar("AnyKey"), 1.5, "not float"),
        (Any, None, "the key is missing"),
        (int | None, None, "the key is missing"),
        (datetime, "2026-01-02T03:00:00", "not a datetime without a time zone"),
    ],
)
def test_a_value_that_is_no_key(hint, value, why):
    """Makes its message invalid. (trials 1.6)"""
    outcome = deliver(with_field(hint), {"k": value})
    assert outcome.reason == "invalid"
    assert why in outcome.detail


class Inner(BaseModel):
    sku: uuid.UUID
    weight: float = 1.0

    @property
    def label(self) -> str:
        return f"sku {self.sku}"

    @functools.cached_property
    def half(self) -> float:
        return self.weight / 2


@dataclasses.dataclass
class Row:
    inner: Inner


class Shape(TypedDict):
    number: Required[float]
    row: Row


class Outer(BaseModel):
    inner: Inner | None = None
    either: Inner | Row | None = None
    several: list[Inner] = []
    prices: dict[str, float] = {}
    names: Mapping[str, str] = {}
    any: dict = Field(default_factory=dict)  # type: ignore[type-arg] # the bare annotation is what users write
    text: str | None = None


def by(key: Any, hint: Any = Outer) -> Any:
    def handle(order: Any) -> None: ...

    handle.__annotations__["order"] = hint
    return consumer(QUEUE, key=key)(handle)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        *[(key, Outer) for key in ("inner.sku", "inner.label", "either.anything", "names.a", "any.a.b", "text")],
        ("inner.sku", Row),
        ("row.inner.sku", Shape),
        ("a", dict[str, str]),
        ("a", Mapping[str, Any]),
    ],
)
def test_a_path_that_may_lead_to_a_key(key, hint):
    """Paths are checked as far as the types tell."""
    resolve(by(key, hint))


@pytest.mark.parametrize(
    ("key", "hint", "why"),
    [
        ("inner.weight", Outer, "'inner.weight' is annotated float"),
        ("inner.sky", Outer, "'inner.sky' names no field of Inner; its fields are: sku, weight"),
        ("inner.weight", Row, "annotated float"),
        ("number", Shape, "annotated float"),
        ("prices.a", Outer, "annotated float"),
        ("several.sku", Outer, "names no field of list"),
        ("several.0", Outer, "names no field of list"),
        ("text.a", Outer, "names no field of str; its fields are: none"),
        ("inner", Outer, "annotated Inner"),
        ("inner", Row, "annotated Inner"),
        ("row", Shape, "annotated Row"),
        ("a", dict[str, float], "annotated float"),
    ],
)
def test_a_path_that_cannot(key, hint, why):
    """Is refused when it is bound. (trials 1.6)"""
    with pytest.raises(ConfigError, match=why):
        resolve(by(key, hint))


class Filled(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str = "unknown"
    created: uuid.UUID = Field(default_factory=uuid.uuid4)
    noted: Annotated[str, Field(default="unknown")]
    inner: Inner = Inner(sku=ID)
    named: dict[str, str] = {"name": "unknown"}
    outer: Outer = Outer()


@dataclasses.dataclass
class FilledRow:
    noted: Annotated[str, Field(default_factory=str)]
    name: str = "unknown"
    created: str = dataclasses.field(default_factory=lambda: "unknown")
    field: str = Field(default="unknown")


@pydantic_dataclass
class FilledByPydantic:
    field: str = Field(default="unknown")


class FilledShape(TypedDict):
    noted: Annotated[str, Field(default="unknown")]


class Holder(BaseModel):
    filled: Filled
    named: dict[str, Filled]
    either: Filled | Inner


@pytest.mark.parametrize(
    ("key", "hint", "place"),
    [
        *[(name, Filled, f"Filled.{name}") for name in ("name", "created", "noted")],
        *[(path, Filled, f"Filled.{path.split('.')[0]}") for path in ("inner.sku", "named.name")],
        *[(name, FilledRow, f"FilledRow.{name}") for name in ("noted", "name", "created", "field")],
        ("field", FilledByPydantic, "FilledByPydantic.field"),
        ("noted", FilledShape, "FilledShape.noted"),
        *[(f"{step}.name", Holder, "Filled.name") for step in ("filled", "named.a", "either")],
        ("name", Filled | Inner, "Filled.name"),
    ],
)
def test_a_key_that_a_body_without_it_would_get(key, hint, place):
    """Is one for unrelated messages, or another one at each delivery, and refused when it is bound."""
    with pytest.raises(ConfigError, match=f"{place} has a default, .*; make the field required"):
        resolve(by(key, hint))


class Unfilled(TypedDict):
    name: NotRequired[str]


@pytest.mark.parametrize(
    ("key", "hint"),
    [("text", Outer), ("names.a", Outer), ("any.a.b", Outer), ("outer.text", Filled), ("name", Unfilled)],
)
def test_a_default_that_is_no_key(key, hint):
    """Makes a message without it invalid, as one whose key is missing."""
    assert deliver(by(key, hint), b'{"noted":"a"}').detail == f"{key}: the key is missing"


def test_a_type_that_cannot_be_resolved():
    """The fields are known, and values are checked one by one."""

    class Local: ...

    @dataclasses.dataclass
    class Odd:
        number: Local
        name: str

    def handle(order: Any) -> None: ...

    handle.__annotations__["order"] = Odd
    declared: dict[str, Any] = {"decode": lambda body: Odd(0.5, "a")}  # type: ignore[arg-type] # as a decoder may
    assert "not float" in deliver(consumer(QUEUE, key="number", **declared)(handle), b"").detail
    with pytest.raises(ConfigError, match="its fields are: name, number"):
        resolve(consumer(QUEUE, key="nam", **declared)(handle))
    with pytest.raises(ConfigError, match="into which no body can be decoded"):
        resolve(consumer(QUEUE, key="name")(handle))


def test_a_property_is_a_key():
    """It is no field, and each value tells."""
    assert deliver(by("inner.label"), {"inner": {"sku": str(ID)}}).reason == "done"
    assert "not float" in deliver(by("inner.half"), {"inner": {"sku": str(ID)}}).detail
    assert deliver(by("inner.label"), {}).detail == "inner.label: the key is missing"


def test_an_enum_of_something_else():
    """Is named for what it holds."""
    assert "not an Enum of float" in deliver(by(lambda order: Floating.HALF), {}).detail


def price(order: Outer) -> float: ...  # type: ignore[empty-body] # only its annotation is read
def identity(order: Outer) -> uuid.UUID:
    return ID


def unresolved(order: Outer) -> Missing:  # type: ignore[name-defined] # noqa: F821 - as names for a type checker only
    return "a"


async def awaited(order: Outer) -> str:
    return "a"


def test_a_function_that_finds_the_key():
    """The return annotation is read if there is one. (trials 1.6)"""
    with pytest.raises(ConfigError, match="key=price is annotated float"):
        resolve(by(price))
    with pytest.raises(ConfigError, match="key=awaited is an `async def`; give a plain function"):
        resolve(by(awaited))
    for key in (identity, unresolved, lambda order: "a", functools.partial(identity)):
        assert deliver(by(key), {}).reason == "done"
    assert deliver(by(lambda order: 0.5), {}).reason == "invalid"

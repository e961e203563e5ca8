"""Code in a payload's type: it may hang as any hook may, and a type without any costs nothing."""

from __future__ import annotations

import enum
import functools
import re
import time
import uuid
import warnings
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Predicate
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    HttpUrl,
    PlainValidator,
    PrivateAttr,
    SecretStr,
    StringConstraints,
    Tag,
    WrapValidator,
    field_validator,
    model_validator,
    validator,
)

from peeklock import Batch, Message, Queue, consumer
from peeklock.consuming.declaration import resolve
from peeklock.consuming.decoding import decoder
from peeklock.engine.run import run
from peeklock.stores.memory import MemoryStore
from peeklock.testing import deliver
from tests.core.world import bound_for, message

QUICK = Queue("orders", max_attempts=5, timeout=0.1, first_delay=1)


def hang(value: Any = None) -> Any:
    """Wait as for an answer from elsewhere, in Python, so that it can be interrupted."""
    end = time.monotonic() + 20
    while value == "hang" and time.monotonic() < end:
        time.sleep(0.001)
    return value


def handling(hint: Any, queue: Queue = QUICK, key: Any = None) -> Any:
    def handle(order: Any) -> None: ...

    handle.__annotations__["order"] = hint
    return consumer(queue, key=key)(handle)


class Checked(BaseModel):
    url: str

    @field_validator("url")
    @classmethod
    def reachable(cls, url: str) -> str:
        hang(url)
        return url


class CheckedWhole(BaseModel):
    url: str

    @model_validator(mode="after")
    def reachable(self) -> CheckedWhole:
        hang(self.url)
        return self


with warnings.catch_warnings(action="ignore"):

    class CheckedAsBefore(BaseModel):
        url: str

        @validator("url")  # the decorator of pydantic 1, which pydantic 2 still takes
        @classmethod
        def reachable(cls, url: str) -> str:
            return str(hang(url))


class Completed(BaseModel):
    url: str

    def model_post_init(self, context: object, /) -> None:
        hang(self.url)


class Constructed(BaseModel):
    url: str

    def __init__(self, **values: Any) -> None:
        hang(values["url"])
        super().__init__(**values)


@dataclass
class Row:
    url: str

    def __post_init__(self) -> None:
        hang(self.url)


class Marked:
    """A type that pydantic asks how it is made."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(hang, core_schema.str_schema())


class Of(BaseModel):
    url: Marked


class Holding(BaseModel):
    rows: list[Row]


def named(hint: Any) -> str:
    """The same in each process of a test run: without the addresses of functions."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(hint))


@pytest.mark.parametrize("parallel", [1, 2])
@pytest.mark.parametrize(
    "hint",
    [
        Checked,
        CheckedWhole,
        CheckedAsBefore,
        Completed,
        Constructed,
        Row,
        Of,
        dict[str, Annotated[str, Predicate(hang)]],
    ],
    ids=named,
)
def test_a_validator_that_hangs_costs_its_own_message(hint, parallel):
    """It has timed out, and what is beside it runs."""
    bound = bound_for(handling(hint), store=MemoryStore(), parallel=parallel)
    settled = run(bound, [message({"url": "hang"}, id="a"), message({"url": "x"}, id="b")], timedelta(seconds=20))
    assert [delivery.outcome.reason for delivery in settled] == ["timeout", "done"]


def test_a_validator_that_hangs_in_c_ends_within_the_event():
    """The event ends as with a handler that sleeps."""

    def sleep(url: str) -> str:
        time.sleep(30)
        return url

    began = time.monotonic()
    handle = handling(dict[str, Annotated[str, AfterValidator(sleep)]], Queue("orders", timeout=1))
    assert deliver(handle, b'{"url":"x"}', remaining=4).reason == "timeout"
    assert time.monotonic() - began < 4


class Slow(BaseModel):
    name: str
    inner: Slow | None = None

    @property
    def label(self) -> str:
        return str(hang(self.name))

    @functools.cached_property
    def kept(self) -> str:
        return str(hang(self.name))


@pytest.mark.parametrize(
    ("key", "body"),
    [
        ("label", {"name": "hang"}),
        ("kept", {"name": "hang"}),
        ("inner.label", {"name": "a", "inner": {"name": "hang"}}),
    ],
)
def test_a_property_that_hangs_costs_its_own_message(key, body):
    """When it is the key."""
    bound = bound_for(handling(Slow, key=key), store=MemoryStore())
    assert [delivery.outcome.reason for delivery in run(bound, [message(body)], timedelta(seconds=20))] == ["timeout"]


def make() -> str:
    return "a"


class Made(BaseModel):
    name: str = Field(default_factory=functools.partial(make))


class Looked(enum.Enum):
    A = "a"

    @classmethod
    def _missing_(cls, value: object) -> Looked:
        return cls.A


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


Pet = Annotated[Annotated[Cat, Tag("cat")] | Annotated[Dog, Tag("dog")], Discriminator(lambda _: "cat")]


@pytest.mark.parametrize(
    "hint",
    [
        *(Checked, CheckedWhole, CheckedAsBefore, Completed, Constructed, Row, Of, Holding, Batch[Holding], Made),
        *(
            list[Checked],
            dict[str, Row],
            Checked | None,
            list[Looked],
            list[Pet],
            list[Annotated[str, Predicate(hang)]],
        ),
        *(list[Annotated[str, validator(hang)]] for validator in (AfterValidator, BeforeValidator, PlainValidator)),
        list[Annotated[str, WrapValidator(lambda value, then: then(value))]],
    ],
    ids=named,
)
def test_code_in_the_payload_s_type_is_a_hook(hint):
    """Wherever it is: it is called with the message's time-out."""
    assert resolve(handling(hint)).has_hooks


class Line(BaseModel):
    sku: str
    amount: Decimal = Decimal(1)


@dataclass
class PlainRow:
    lines: list[Line] = field(default_factory=list)


class Plain(BaseModel):
    id: uuid.UUID = Field(default_factory=uuid.uuid4)
    at: AwareDatetime
    day: datetime | None = None
    name: Annotated[str, StringConstraints(strip_whitespace=True, pattern="a+", to_upper=True)]
    count: Annotated[int, Field(gt=0, multiple_of=2)]
    url: HttpUrl
    ip: IPv4Address
    path: Path
    secret: SecretStr
    last: deque[int]
    looked: Literal["a"]
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    row: PlainRow = Field(default_factory=PlainRow)
    _private: int = PrivateAttr(default=3)


@pytest.mark.parametrize("hint", [dict, list[Line], PlainRow, Plain, Plain | None, Batch[Plain]], ids=named)
def test_a_plain_type_is_read_without_a_time_out(hint):
    """Which would cost each of its messages something."""
    assert not resolve(handling(hint)).has_hooks


def test_a_key_of_a_plain_type_is_no_hook():
    assert not resolve(handling(Line, key="sku")).has_hooks
    assert decoder(Line, "p")(Message(id="m", body=b'{"sku":"a"}', queue="q")) == Line(sku="a")

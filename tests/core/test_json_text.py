"""Numbers that JSON does not have, on the way in and on the way out; and what an error shows of a body."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections import deque
from typing import Annotated, Any, Literal
from typing import TypedDict as TypedDictOfTyping

import pytest
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    Json,
    TypeAdapter,
    computed_field,
    field_serializer,
    model_validator,
)
from typing_extensions import TypedDict

from peeklock import ConfigError, InvalidMessage, Queue, consumer, send
from peeklock.consuming.decoding import decoder
from peeklock.consuming.results import results_of
from peeklock.consuming.shape import Shape
from peeklock.message import Message
from peeklock.sending.send import dump, routed
from peeklock.strict_json import loads
from peeklock.testing import Outbox, deliver


class Price(BaseModel):
    amount: float = 0.0
    any: Any = None
    note: str = ""
    several: list[float] = []
    named: dict[str, float] = {}


class Whole(BaseModel):
    amount: int = 0
    note: str = ""


@dataclasses.dataclass
class Row:
    amount: float
    note: str | None = None


class Record(TypedDict):
    amount: float


def decoded(hint: Any, body: bytes) -> Any:
    return decoder(hint, "p")(Message(id="m", body=body, queue="q"))


NO_NUMBERS = ["NaN", "Infinity", "-Infinity", "1e400", "-1E+400", "1e0400", "1" + "0" * 400, "1" + "0" * 400 + ".5"]


@pytest.mark.parametrize("number", NO_NUMBERS, ids=lambda text: text[:12])
@pytest.mark.parametrize("hint", [Price, Row, Record, dict[str, float], dict[str, Any] | None], ids=str)
def test_a_number_that_is_none_is_invalid(hint, number):
    """A model refuses it as `dict` does. (trials 1.19)"""
    with pytest.raises(InvalidMessage, match=r"a number is too large|is not a JSON number"):
        decoded(hint, b'{"amount":%s}' % number.encode())


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    n: int = 0


class OpenRecord(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc] # where pydantic looks for it
    n: int


@dataclasses.dataclass
class OpenRow:
    __pydantic_config__ = ConfigDict(extra="allow")
    n: int


@dataclasses.dataclass(slots=True)
class Slotted:
    amount: float


class Within(BaseModel):
    text: Json[Any] = None
    amount: float = 0.0
    row: Row | Slotted | None = None
    last: deque[float] = deque()
    keys: dict[float, int] = {}
    open: Open | None = None


@pytest.mark.parametrize("number", NO_NUMBERS, ids=lambda text: text[:12])
@pytest.mark.parametrize("hint", [Open, OpenRecord, OpenRow, list[Open]], ids=str)
def test_a_number_that_is_none_in_a_field_that_is_not_declared(hint, number):
    """The type keeps it, though it has no floats of its own."""
    body = f'{{"n":1,"more":{number}}}'
    with pytest.raises(InvalidMessage, match=r"a number is too large|is not a JSON number"):
        decoded(hint, (f"[{body}]" if hint == list[Open] else body).encode())


@pytest.mark.parametrize("text", ["NaN", "nan", " -iNf ", "Infinity", "1e400", "1e4_00", "\\u004eaN", "9" * 400])
@pytest.mark.parametrize(
    "place",
    [
        *('{"amount":"%s"}', '{"row":{"amount":"%s"}}', '{"last":["1","%s"]}', '{"keys":{"%s":1}}'),
        '{"amount":1,"row":{"amount":"%s","note":null}}',
    ],
)
def test_a_text_that_is_made_a_number(place, text):
    """Pydantic converts such a text for a float."""
    with pytest.raises(InvalidMessage, match="a number is too large, or none"):
        decoded(Within, (place % text).encode())


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{\\"a\\":[-Infinity]}', "1e400"])
def test_json_within_a_text(text):
    """Is JSON as any other."""
    with pytest.raises(InvalidMessage, match="a number is too large, or none"):
        decoded(Within, (f'{{"text":"{text}"}}').encode())


class Held:
    def __init__(self) -> None:
        self.most = math.inf


class Endless(BaseModel):
    most: float = math.inf
    note: str = ""
    parent: Any = None
    kind: type[Any] = float
    held: Any = None

    @model_validator(mode="after")
    def link(self) -> Endless:
        self.__dict__.update(parent=self, kind=Endless, held=Held())
        self.__pydantic_fields_set__.update(("parent", "kind", "held"))
        return self


@dataclasses.dataclass
class EndlessRow:
    note: str
    most: float = math.inf


def test_a_default_may_be_endless():
    """The code says so, and not the body; nor does it say what an object of the code's holds."""
    assert decoded(Endless, b'{"note":"Infinity"}').most == math.inf
    assert decoded(EndlessRow, b'{"note":"Infinity"}').most == math.inf
    for hint in (Endless, EndlessRow):
        with pytest.raises(InvalidMessage):
            decoded(hint, b'{"note":"","most":"Infinity"}')


@pytest.mark.parametrize("number", NO_NUMBERS[:5])
def test_a_dict_refuses_it(number):
    """Though an integer may have any size there: it is exact. (trials 1.19)"""
    for body in (f'{{"a":{number}}}', f'[{{"a":[{number}]}}]', number):
        with pytest.raises(InvalidMessage, match=r"a number is too large|is not a JSON number"):
            loads(body)
    assert loads("1" + "0" * 400) == 10**400


@pytest.mark.parametrize("place", ['{"any":[%s]}', '{"several":[1,%s]}', '{"named":{"a":%s}}', '{"extra":%s}'])
def test_wherever_it_is(place):
    """In a field without a type, and in one that the model does not have. (trials 1.19)"""
    for number in ("NaN", "1e400"):
        with pytest.raises(InvalidMessage):
            decoded(Price, (place % number).encode())


@pytest.mark.parametrize(
    "body",
    [
        b'{"amount":1e308}',
        b'{"amount":-1.5E+300}',
        b'{"amount":1e-999}',
        b'{"note":"NaN 1e400 Infinity"}',
        b'{"note":"' + b"9" * 500 + b'"}',
        b'{"amount":0.' + b"3" * 300 + b"}",
        b'{"note":"1e123","amount":2}',
    ],
)
def test_what_only_looks_like_one_is_a_body(body):
    """The text of a field is not its business."""
    assert isinstance(decoded(Price, body), Price)


def test_a_model_without_floats_is_not_read_twice():
    """Integers refuse such numbers, and the check costs nothing. (trials 1.19)"""
    assert not Shape(TypeAdapter(Whole).core_schema).holds_floats
    with pytest.raises(InvalidMessage, match=r"\$.amount: finite_number"):
        decoded(Whole, b'{"amount":1e400}')
    assert decoded(Whole, b'{"amount":1,"note":"1e400"}').note == "1e400"


# -- on the way out


class Constants(Price):
    model_config = ConfigDict(ser_json_inf_nan="constants")


class Computed(BaseModel):
    amount: float = 1.0
    note: str | None = None

    @computed_field
    def share(self) -> float:
        return math.nan

    @computed_field
    def nothing(self) -> None:
        return None


class Written(BaseModel):
    amount: float = math.nan
    note: str | None = None

    @field_serializer("amount", when_used="json")
    def write(self, amount: float) -> str:
        return str(amount)


class Texts(Price):
    model_config = ConfigDict(ser_json_inf_nan="strings")


@pytest.mark.parametrize(
    "payload",
    [
        *(Price(amount=math.nan), Price(several=[1.0, math.inf]), Price(named={"a": -math.inf}), Price(any={math.nan})),
        *(Computed(amount=math.nan), Price(any=deque([None, math.nan])), Price(any=[Written(), math.nan])),
        *(Price(any=(1, [math.inf])), Constants(amount=math.inf), Row(math.nan), {"a": math.nan}, [math.inf]),
    ],
    ids=repr,
)
def test_what_no_reader_could_read_is_not_sent(payload):
    """Pydantic would write null, and a consumer find no number. (trials 1.19)"""
    box = Outbox()
    with routed(lambda queue: box), pytest.raises(ConfigError, match="has no JSON form"):
        send(Queue("orders"), payload)
    assert box.outgoing_messages == []


@pytest.mark.parametrize(
    "payload",
    [
        Computed(),
        Written(),
        Price(any=None),
        Price(note="null NaN Infinity"),
        Row(1.0),
        Row(1.0, "NaN"),
        Texts(amount=math.nan),
    ],
    ids=repr,
)
def test_what_has_a_form_is_sent(payload):
    """A null of one's own, a text, what a serializer makes of it, and what is computed and not sent. A model that says how it writes them is asked no more."""
    assert dump(payload)[1] == "application/json"


def test_a_result_that_is_no_number_is_not_kept():
    """The duplicate would get another result. (trials 1.19)"""
    results = results_of(Price, "p")
    assert results.load(results.dump(Price(amount=1.5))) == Price(amount=1.5)
    with pytest.raises(ValueError, match="a number is NaN or infinite"):
        results.dump(Price(amount=math.nan))


# -- what an error shows


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    bones: int


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    sku: int


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")
    prices: dict[str, int] = {}
    tags: dict[Annotated[str, Field(max_length=3)], int] = {}
    inner: Inner | None = None
    items: list[Inner] = []
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    either: Inner | list[int] | None = None
    default: int = 0
    renamed: int = Field(0, validation_alias=AliasChoices("alias", AliasPath("deep", 0, "place")))


@dataclasses.dataclass
class Line:
    count: int
    prices: dict[str, int]


class Shaped(TypedDict):
    type: int
    fields: dict[str, int]


@pytest.mark.parametrize(
    ("hint", "body", "shown"),
    [
        (Order, '{"prices":{"secret":"x"}}', "$.prices.*: int_parsing"),
        (Order, '{"tags":{"secret":1}}', "$.tags.*.*: string_too_long"),
        (Order, '{"secret":1}', "$.*: extra_forbidden"),
        (Order, '{"inner":{"sku":1,"secret":2}}', "$.inner.*: extra_forbidden"),
        (Order, '{"inner":{}}', "$.inner.sku: missing"),
        (Order, '{"items":[{"sku":1},{"sku":"secret"}]}', "$.items[1].sku: int_parsing"),
        (Order, '{"pet":{"kind":"secret"}}', "$.pet: union_tag_invalid"),
        (Order, '{"pet":{"kind":"cat","lives":"secret"}}', "$.pet.*.lives: int_parsing"),
        (Order, '{"default":"secret"}', "$.default: int_parsing"),
        (Order, '{"alias":"secret"}', "$.alias: int_parsing"),
        (Order, '{"deep":[{"place":"secret"}]}', "$.deep[0].place: int_parsing"),
        (list[Order], '[{"prices":{"secret":"x"}}]', "$[0].prices.*: int_parsing"),
        (dict[str, Inner], '{"secret":{"sku":"x"}}', "$.*.sku: int_parsing"),
        (Line, '{"count":"secret","prices":{}}', "$.count: int_parsing"),
        (Line, '{"count":1,"prices":{"secret":"x"}}', "$.prices.*: int_parsing"),
        (Shaped, '{"type":"secret","fields":{}}', "$.type: int_parsing"),
        (Shaped, '{"type":1,"fields":{"secret":"x"}}', "$.fields.*: int_parsing"),
        (dict[str, int], '{"secret":"x"}', "$.*: int_parsing"),
    ],
)
def test_a_path_shows_declared_names_only(hint, body, shown):
    """Names from the body are replaced by a star, in the log and in the dead letter. (trials 2.4)"""
    dead_letters = Outbox()

    @consumer(Queue("orders"))
    def handle(order: Any) -> None: ...

    handle.__annotations__["order"] = hint
    outcome = deliver(handle, body.encode(), dead_letters=dead_letters)
    assert outcome.detail == shown
    assert dead_letters.outgoing_messages[0].attributes["peeklock-detail"] == shown


def test_the_parts_of_a_union():
    """Each of its types is tried, and none of their labels is a name of the code's."""
    with pytest.raises(InvalidMessage) as caught:
        decoded(Order, b'{"either":{"secret":1}}')
    assert "secret" not in str(caught.value)
    assert "$.either.*.sku: missing" in str(caught.value)


class OfTyping(TypedDictOfTyping):
    n: int


@pytest.mark.parametrize("hint", [OfTyping, list[OfTyping], dict[str, OfTyping]])
def test_the_typed_dict_of_typing(hint):
    """The error says where to import it from. (trials 3.5) From Python 3.12 on pydantic takes it."""
    if sys.version_info >= (3, 12):
        assert decoder(hint, "p")
        return
    with pytest.raises(ConfigError, match=r"on Python 3.11 import TypedDict from typing_extensions, not from typing"):
        decoder(hint, "p")

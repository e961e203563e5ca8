"""The soak's laws, on ledgers written by hand: what each finds, and what it lets pass."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.soak import laws
from tests.soak.plan import Planned

DEAD = 9
"""A process that has ended; all others live."""


def line(what: str, pid: int = 1, **more: Any) -> dict[str, Any]:
    return {"what": what, "key": "k", "pid": pid, **({"run": pid} if what in {"start", "end"} else {}), **more}


def begin(pid: int = 1, life: int = 0) -> dict[str, Any]:
    return line("start", pid, life=life)


EFFECT, END, RECORD = line("effect"), line("end"), line("done", life=0)
DONE = [begin(), EFFECT, END, RECORD]
CRASH = [begin(DEAD), line("effect", DEAD)]
DECLINED = [begin(), END]
MENDED = [begin(life=1), EFFECT, END, line("done", life=1)]


def event(seconds: float) -> dict[str, Any]:
    return {"what": "event", "key": "", "pid": 1, "seconds": seconds, "limit": 8.0}


def broken(kind: str, lines: Sequence[dict[str, Any]], *dead_letters: str) -> list[str]:
    text = b"".join(json.dumps({"at": at, **entry}).encode() + b"\n" for at, entry in enumerate(lines))
    return laws.broken([Planned("k", kind, None, 1)], laws.parse(text), {"k": dead_letters}, {DEAD})


@pytest.mark.parametrize(
    ("kind", "lines", "dead_letters"),
    [
        pytest.param("ok", DONE, (), id="done"),
        pytest.param("fatal", DECLINED, ("fatal", "fatal"), id="its dead letter twice"),
        pytest.param("dies_after", [*CRASH, *DONE], (), id="again after a crash"),
        pytest.param("dies_after", CRASH, ("exhausted",), id="died too often"),
        pytest.param("dies_after", [begin(DEAD)] * 6, ("exhausted",), id="died as often as it may"),
        pytest.param("ok", [begin(), EFFECT, END, line("unsure")], (), id="an outage for its record"),
        pytest.param("mended", [*DECLINED, begin(life=1), EFFECT, END, line("done", life=1)], ("fatal",), id="mended"),
        pytest.param("ok", [*DONE, begin(2, life=1), line("end", 2)], (), id="its next life"),
        pytest.param("large", [*DECLINED, *MENDED], ("",), id="a dead letter without its reason"),
        pytest.param("ok", [*DONE, event(8.0)], (), id="as long as its limit"),
    ],
)
def test_what_is_allowed(kind: str, lines: Sequence[dict[str, Any]], dead_letters: Sequence[str]) -> None:
    assert not broken(kind, lines, *dead_letters)


@pytest.mark.parametrize(
    ("kind", "lines", "dead_letters", "law"),
    [
        pytest.param("ok", DECLINED, (), "k (ok) is lost", id="neither done nor a dead letter"),
        pytest.param("mended", DECLINED, (), "k (mended) is lost", id="lost before it could be redriven"),
        pytest.param("ok", DONE, ("fatal",), "k (ok) is dead-lettered as fatal", id="another reason"),
        pytest.param(
            "flaky", DECLINED, ("exhausted",), "k (flaky) is dead-lettered as exhausted", id="no crash to blame"
        ),
        pytest.param("mended", DECLINED, ("fatal",), "k was redriven, and did not run", id="redriven in vain"),
        pytest.param("ok", [*DONE, begin(2), line("end", 2)], (), "k (ok) ran after its recorded success", id="again"),
        pytest.param("ok", DONE, ("",), "k (ok) is dead-lettered as ", id="no reason"),
        pytest.param("large", DECLINED, ("",), "k was redriven, and did not run", id="large, and redriven in vain"),
        pytest.param("ok", [*DONE, event(12.4)], (), "an event took 12.4 s of its 8", id="beyond its limit"),
        pytest.param(
            "fatal",
            [begin(), begin(2), END, line("end", 2)],
            ("fatal",),
            "k (fatal) ran twice at once",
            id="two at once",
        ),
        pytest.param(
            "dies_after",
            [begin(DEAD)] * 7,
            ("exhausted",),
            "k (dies_after) was started 7 times in life 0",
            id="a crash too many",
        ),
        pytest.param(
            "ok", DONE[:3], (), "k (ok) has an effect without a record, and nothing went wrong", id="no record"
        ),
    ],
)
def test_what_is_found(kind: str, lines: Sequence[dict[str, Any]], dead_letters: Sequence[str], law: str) -> None:
    assert broken(kind, lines, *dead_letters) == [law]


def test_a_process_that_went_on_has_no_excuse() -> None:
    """It died, but long after the record should have been there."""
    later = {**line("start", DEAD, life=0), "key": "other", "at": 10**12}
    assert "an effect without a record" in "".join(broken("ok", [*CRASH, *DONE, later]))
    assert not broken("ok", [*CRASH, *DONE, {**later, "at": 10**10}])


def test_a_group_keeps_its_order() -> None:
    """Nothing runs before the one before it is done; after one that never is, it may."""
    first, second = Planned("a", "ok", "g", 1), Planned("b", "ok", "g", 2)
    runs = {key: [{**entry, "key": key, "pid": pid} for entry in DONE] for pid, key in enumerate("ab", 1)}

    def judge(lines: Sequence[dict[str, Any]], **dead_letters: Sequence[str]) -> list[str]:
        ledger = laws.Ledger([{"at": at, **entry} for at, entry in enumerate(lines)])
        return laws.broken([first, second], ledger, dead_letters, set())

    assert judge([*runs["b"], *runs["a"]]) == ["b ran before a of its group was done"]
    assert not judge([*runs["a"], *runs["b"]])
    assert judge(runs["b"], a=["fatal"]) == ["a (ok) is dead-lettered as fatal"]


def test_a_line_that_was_cut_is_left_out() -> None:
    assert laws.parse(b'{"at": 1, "what": "effect", "key": "k", "pid": 1}\n{"at": 2, "wh\n').effects == {"k": 1}

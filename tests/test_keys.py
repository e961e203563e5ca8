"""`peeklock keys`, as the person on call uses it: on records that the engine wrote."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from peeklock import DeadLetter, Queue, consumer
from peeklock.cli import main
from peeklock.cli.keys import _forget, look, read
from peeklock.cli.record_view import RecordView, when, written_at
from peeklock.engine.bound_consumer import Delays
from peeklock.engine.run import handle
from peeklock.errors import StoreError
from peeklock.idempotency.record import State
from peeklock.idempotency.store import Answer
from peeklock.message import Lineage
from peeklock.stores.memory import MemoryStore
from peeklock.stores.sqlite import SQLiteStore
from peeklock.testing import FakeClock, Outbox, deliver
from peeklock.testing.deliver import bound_for
from tests.contracts.stores import STORES, change, params, record
from tests.core.world import Crash, FlakySender, FlakyStore, Script, message
from tests.support import environment

ORDERS = Queue("orders", max_attempts=5)
KEY = "orders/order-7"
ORDER = {"id": "order-7"}


def by_key(do: Callable[[dict[str, Any]], object], *, key: str | None = "id") -> Callable[[dict[str, Any]], None]:
    @consumer(ORDERS, key=key)
    def handler(order: dict[str, Any]) -> None:
        do(order)

    return handler


def unreachable() -> FlakySender:
    """A queue that does not take the first outgoing message."""
    return FlakySender(Outbox(), Script({1: "before"}))


def nothing(_: object) -> None:
    return None


def fail(_: object) -> None:
    raise ValueError("gateway busy")


def condemn(_: object) -> None:
    raise DeadLetter("card declined")


class World:
    """A store in a file, and the address that the command gets."""

    def __init__(self, folder: Path) -> None:
        self.store = SQLiteStore(str(folder / "keys.db"))
        self.url = f"sqlite://{folder}/keys.db"
        self.ago = FakeClock(datetime.now(UTC) - timedelta(hours=3))

    def crash(self, clock: FakeClock | None = None) -> None:
        """A process claims the key and dies before it writes anything more."""
        dying: Any = FlakyStore(self.store, Script({2: "crash_before"}))  # type: ignore[arg-type] # any store will do
        with pytest.raises(Crash):
            deliver(by_key(nothing), ORDER, store=dying, clock=clock, id="m-1")

    def expire(self) -> None:
        """Time passes, by the field that decides; the file's own column would have it removed."""
        connection = sqlite3.connect(self.store.path)
        with contextlib.closing(connection), connection:
            connection.execute(
                "UPDATE records SET record = json_set(record, '$.expires_at', '2026-01-01T00:00:00+00:00')"
            )

    def copied(self, copies: Any, times: int = 1) -> None:
        """The handler fails, and each failure asks for a delayed copy."""
        bound = bound_for(by_key(fail), store=self.store, delays=Delays.COPY, copies=copies)
        for copy_number in range(times):
            handle(bound, [message(ORDER, lineage=Lineage(id="m-1", copy_number=copy_number))])


@pytest.fixture
def world(tmp_path) -> Iterator[World]:
    opened = World(tmp_path)
    yield opened
    opened.store.close()


@pytest.fixture
def keys(world, capsys) -> Callable[..., tuple[int, str, str]]:
    """The command: its exit code, and what it printed."""

    def run(*argv: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["keys", *argv, "--store", world.url])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def report(keys) -> Callable[..., dict[str, Any]]:
    """Facts that `--json` prints, with the next deliveries by their names."""

    def run(*argv: str) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads(keys(*(argv or ("show", KEY)), "--json")[1])
        return {**facts, "next": {coming.pop("delivery"): coming for coming in facts["next"]}}

    return run


def test_done(world, keys, report):
    """Who succeeded and when; what comes is a duplicate."""
    deliver(by_key(nothing), ORDER, store=world.store, id="m-1", attempt=3)
    code, out, _ = keys("show", KEY)
    assert code == 0
    rows = dict(line.split(None, 1) for line in out.splitlines() if line and not line.startswith("what"))
    assert rows["state"] == "done: the handler has succeeded"
    assert rows["attempts"] == "it succeeded at attempt 3"
    assert rows["message"] == "m-1"
    assert rows["remembered"].endswith("UTC (for another 7 days)")
    assert "the message             completes as a duplicate\n" in out
    assert "another message         completes as a duplicate\n" in out
    facts = report()
    assert abs(datetime.now(UTC) - datetime.fromisoformat(facts["since"])) < timedelta(minutes=1)
    assert (facts["found"], facts["expired"], facts["held"], facts["state"]) == (True, False, False, "done")
    assert {coming["reason"] for coming in facts["next"].values()} == {"duplicate"}


def test_while_it_runs(world, keys, report):
    """Asked from within the handler: until when it is held, and by whom."""
    seen: list[Any] = []
    deliver(
        by_key(lambda _: seen.extend([keys("show", KEY), report(), keys("forget", KEY, "--yes")])),
        ORDER,
        store=world.store,
    )
    (code, out, _), facts, (refused, why, _) = seen
    assert code == 0
    assert "running: a process runs it" in out
    assert "held until" in out
    assert "waits: another process runs it until 20" in out
    assert (facts["held"], facts["next"]["the message"]["reason"]) == (True, "busy")
    assert facts["next"]["another message"]["do"] == "abandon"
    assert refused == 1
    assert "a second run would begin beside it; try again after 20" in why
    assert report()["state"] == "done", "the run was not disturbed"


def test_its_process_died(world, keys, report):
    """The lease is over: the next run counts before it starts."""
    world.crash(world.ago)
    code, out, _ = keys("show", KEY)
    assert code == 0
    assert "running: its last run did not come back; the process is gone" in out
    assert "0 counted before this one" in out
    assert "(3 h ago)" in out
    coming = report()["next"]["the message"]
    assert (coming["do"], coming["attempt"]) == ("run", 2)
    assert "last and alone in its batch" in coming["text"]


def test_a_failure_waits(world, report):
    """With its attempts, and what it raised; the number of the next is report."""
    for _ in range(2):
        deliver(by_key(fail), ORDER, store=world.store)
    facts = report()
    assert (facts["state"], facts["attempts"], facts["detail"]) == ("waiting", 2, "ValueError: gateway busy")
    coming = facts["next"]["the message"]
    assert (coming["attempt"], coming["text"]) == (
        3,
        "runs the handler, attempt 3; publishes its dead letter instead where max_attempts is under 3",
    )


LEAVE: dict[str, Callable[[World], object]] = {
    "nothing": lambda world: None,
    "a success": lambda world: deliver(by_key(nothing), ORDER, store=world.store, id="m-1"),
    "a failure": lambda world: deliver(by_key(fail), ORDER, store=world.store, id="m-1"),
    "a crash": lambda world: world.crash(world.ago),
    "a crash just now": lambda world: world.crash(),
    "a dead letter": lambda world: deliver(by_key(condemn), ORDER, store=world.store, id="m-1"),
    "no dead letter": lambda world: deliver(
        by_key(condemn), ORDER, store=world.store, id="m-1", dead_letters=unreachable()
    ),
    "a copy": lambda world: world.copied(Outbox(), times=2),
    "no copy": lambda world: world.copied(unreachable()),
}


def lineages(facts: dict[str, Any]) -> dict[str, Lineage]:
    """The deliveries that the words mean."""
    copy_number, generation = facts.get("copy_number", 0), facts.get("generation", 0)
    return {
        "any message": Lineage(id="m-1"),
        "the message": Lineage(id="m-1", generation=generation),
        "its newest copy": Lineage(id="m-1", copy_number=copy_number),
        "an older copy": Lineage(id="m-1", copy_number=copy_number - 1),
        "its dead letter, redriven": Lineage(id="m-1", generation=generation + 1),
        "another message": Lineage(id="m-2"),
    }


@pytest.mark.parametrize("left", LEAVE)
def test_what_is_told_is_what_happens(world, report, left):
    """After anything that the engine leaves, each delivery that is spoken of ends as was said."""
    for name in lineages({"copy_number": 1}):
        store = world.store
        store.swap([change(KEY, getattr(read(store, KEY), "version", None), None)])
        LEAVE[left](world)
        facts = report()
        if name not in facts["next"]:
            continue
        said = facts["next"][name]
        bound = bound_for(by_key(nothing), store=store, delays=Delays.COPY, copies=Outbox())
        (settled,) = handle(bound, [message(ORDER, lineage=lineages(facts)[name])])
        reason = said["reason"] or "done"
        assert settled.outcome.reason == ("superseded" if said["do"] == "publish" else reason)
        assert settled.outcome.attempt == (said["attempt"] or settled.outcome.attempt)


def test_a_dead_letter_that_was_not_published(world, keys, report):
    """dead_lettering: the next delivery publishes it, and another message has to wait for that."""
    deliver(by_key(condemn), ORDER, store=world.store, dead_letters=unreachable())
    facts = report()
    assert (facts["state"], facts["reason"]) == ("dead_lettering", "fatal")
    assert facts["detail"] == "DeadLetter: card declined"
    assert facts["next"]["the message"]["text"] == "publishes its dead letter (fatal); the handler does not run"
    assert facts["next"]["another message"]["text"] == "waits: the dead letter of message test-1 comes first"
    assert "verdict                 fatal\n" in keys("show", KEY)[1]
    assert deliver(by_key(fail), ORDER, store=world.store, id="other").reason == "busy"
    assert deliver(by_key(fail), ORDER, store=world.store).reason == "fatal"


def test_while_its_dead_letter_is_published(world, keys):
    """It is held by the process that publishes, and not forgotten."""
    seen: list[Any] = []

    class Asking(Outbox):
        def send(self, outgoing_messages: Any, /) -> Any:
            seen.extend([keys("show", KEY)[1], keys("forget", KEY, "--yes")])
            return super().send(outgoing_messages)

    deliver(by_key(condemn), ORDER, store=world.store, dead_letters=Asking())
    assert "dead_lettering: a process publishes its dead letter" in seen[0]
    assert "waits: another process publishes its dead letter until 20" in seen[0]
    assert seen[1][0] == 1


def test_a_copy_that_was_not_published(world, report):
    """Moving: an older delivery publishes it again."""
    world.copied(unreachable())
    facts = report()
    assert (facts["state"], facts["copy_number"]) == ("delaying", 1)
    assert facts["next"]["an older copy"]["do"] == "publish"
    assert facts["next"]["its newest copy"]["attempt"] == 2


def test_a_copy_carries_on(world, keys, report):
    """Moved: an older one is over."""
    world.copied(Outbox(), times=2)
    facts = report()
    assert (facts["state"], facts["copy_number"], facts["attempts"]) == ("delayed", 2, 2)
    assert facts["next"]["an older copy"]["text"] == "completes as superseded: a later copy carries on"
    assert "copy 2 (this is delayed copy 2)" in keys("show", KEY)[1]


def test_an_expired_record_counts_as_absent(world, keys, report):
    """It says so, and what it was; there is nothing to forget."""
    deliver(by_key(nothing), ORDER, store=world.store)
    world.expire()
    code, out, _ = keys("show", KEY)
    assert (code, "expired, so it counts as absent; it was done" in out) == (1, True)
    assert "the message             runs the handler, attempt 1\n" in out
    for argv in (("show", KEY), ("forget", KEY, "--yes")):
        facts = report(*argv)
        assert (facts["found"], facts["expired"], facts["state"]) == (False, True, "done")
    assert facts["why"] == "absent"
    assert keys("forget", KEY, "--yes")[1].endswith("\nnothing to forget\n")


def test_no_record(world, keys, report):
    """Exit code 1, and a word about spelling; forgetting it is no success either."""
    deliver(by_key(nothing), ORDER, store=world.store)
    code, out, _ = keys("show", "orders/order-8")
    assert (code, "no record" in out, "runs the handler, attempt 1" in out) == (1, True, True)
    assert report("show", "orders/order-8") == {
        "key": "orders/order-8",
        "found": False,
        "next": {"any message": {"do": "run", "reason": None, "attempt": 1, "text": "runs the handler, attempt 1"}},
    }
    assert report("forget", "orders/order-8", "--yes")["why"] == "absent"
    assert "nothing to forget" in keys("forget", "orders/order-8", "--yes")[1]


def test_by_the_message_id(world, report):
    """A consumer without a key has a record by message id, which no other message has."""
    deliver(by_key(nothing, key=None), ORDER, store=world.store, id="a/b")
    facts = report("show", "orders#a/b")
    assert (facts["state"], list(facts["next"])) == ("done", ["the message"])


def checking(result: str) -> Callable[[dict[str, Any]], str]:
    @consumer(ORDERS, key="id", check_body=True, keep_result=True)
    def handler(order: dict[str, Any]) -> str:
        return result

    return handler


def test_what_a_record_keeps(world, keys, report):
    """The record shows the result, cut for a person, and that another body is refused, which it then is."""
    handler = checking("r" * 300)
    deliver(handler, ORDER, store=world.store)
    out = keys("show", KEY)[1]
    assert f'result                  "{"r" * 199}… (302 characters; --json has them all)\n' in out
    assert "any with another body   publishes its dead letter (invalid); the handler does not run\n" in out
    facts = report()
    assert json.loads(facts["result"]) == "r" * 300
    assert f"hash {facts['body']} is refused" in out
    assert deliver(handler, {**ORDER, "cents": 1}, store=world.store, id="m-2").reason == "invalid"
    assert report("show", "orders#m-2")["reason"] == "invalid"
    deliver(checking("short"), {"id": "order-8"}, store=world.store)
    assert 'result                  "short"\n' in keys("show", "orders/order-8")[1]


def test_the_hash_of_another_release(world, keys):
    """Is compared with none, and so it is said. (trials 1.8)"""
    older = record(state=State.DONE, message="m", body="0123456789abcdef", expires_at=datetime.now(UTC) + timedelta(1))
    assert world.store.swap([change(KEY, None, older)])[0].won
    out = keys("show", KEY)[1]
    assert "hash 0123456789abcdef of another release, which refuses none" in out
    assert "any with another body" not in out
    assert deliver(checking("r"), {**ORDER, "cents": 1}, store=world.store).reason == "duplicate"


def test_any_script_and_no_control(world, keys, report):
    """A producer's text in a key or an id cannot move the cursor."""
    for key in ("注文-7", "é#/ü", "\x1b[2J"):
        deliver(by_key(nothing), {"id": key}, store=world.store, id="\x1b[2J")
        code, out, _ = keys("show", f"orders/{key}")
        assert (code, "\x1b" in out, r"\x1b[2J" in out) == (0, False, True)
        assert report("show", f"orders/{key}")["key"] == f"orders/{key}"


def test_forgotten(world, keys, report):
    """The next delivery of the message is the first."""
    deliver(by_key(nothing), ORDER, store=world.store, attempt=2)
    code, out, _ = keys("forget", KEY, "--yes")
    assert code == 0
    assert "state                   done" in out
    assert out.endswith("\nforgotten: its next delivery is the first\n")
    assert report()["found"] is False
    assert deliver(by_key(nothing), ORDER, store=world.store).reason == "done"
    facts = report("forget", KEY, "--yes")
    assert (facts["forgotten"], facts["why"], facts["state"]) == (True, None, "done")


@pytest.mark.parametrize("argv", [(), ("--json",)])
def test_without_a_terminal_it_wants_yes(world, keys, report, argv):
    """Exit code 2, and nothing is done."""
    deliver(by_key(nothing), ORDER, store=world.store)
    code, _, err = keys("forget", KEY, *argv)
    assert (code, "add --yes" in err) == (2, True)
    assert report()["state"] == "done"


def command(*argv: str, **options: Any) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "peeklock.cli", "keys", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@contextlib.contextmanager
def at_a_terminal(*argv: str) -> Iterator[tuple[subprocess.Popen[str], Callable[[str], int], str]]:
    """The command, how to type, and what it has asked."""
    ours, theirs = pty.openpty()
    try:
        with command(*argv, stdin=theirs) as process:
            assert process.stderr is not None
            asked = ""
            while not asked.endswith("[y/N] "):
                got = process.stderr.read(1)
                assert got, f"it ended without a question: {asked}"
                asked += got
            assert "its effect may happen twice" in asked
            yield process, lambda text: os.write(ours, text.encode()), asked
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(
    ("typed", "code", "text"), [("y\n", 0, "forgotten: "), ("\n", 1, "not forgotten\n"), ("\x04", 1, "not forgotten\n")]
)
def test_it_asks(world, report, typed, code, text):
    """Only a yes is one."""
    deliver(by_key(nothing), ORDER, store=world.store)
    with at_a_terminal("forget", KEY, "--store", world.url) as (process, answer, _):
        answer(typed)
        out, _ = process.communicate(timeout=30)
    assert (process.returncode, text in out) == (code, True)
    assert report()["found"] is bool(code)


@pytest.mark.parametrize(
    ("handler", "loss"),
    [
        (by_key(fail), "its attempts are counted from 1 again"),
        (by_key(condemn), "its verdict is lost"),
        (checking("r"), "the result that was kept for duplicates is lost"),
    ],
)
def test_it_says_what_is_lost(world, handler, loss):
    """Beside the effect that may happen twice."""
    deliver(handler, ORDER, store=world.store)
    with at_a_terminal("forget", KEY, "--store", world.url) as (process, answer, asked):
        answer("n\n")
        process.communicate(timeout=30)
    assert f"- {loss}" in asked


@pytest.mark.parametrize("as_json", [True, False])
def test_it_has_changed_meanwhile(world, report, as_json):
    """The user agreed to forget another record: the new one is shown, and kept."""
    deliver(by_key(fail), ORDER, store=world.store)
    argv = ("forget", KEY, "--store", world.url, *(["--json"] if as_json else []))
    with at_a_terminal(*argv) as (process, answer, _):
        deliver(by_key(nothing), ORDER, store=world.store)
        answer("y\n")
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    if as_json:
        facts = json.loads(out)
        assert (facts["forgotten"], facts["why"], facts["state"]) == (False, "changed", "done")
    else:
        assert "it has changed since it was shown" in out
        assert out.index("waiting: ") < out.index("it has changed") < out.index("done: ")
    assert report()["state"] == "done"


@pytest.mark.parametrize(
    ("key", "fix"),
    [
        ("orders", "orders/order-7     the queue's declared name"),
        ("order-7", "orders#059f36b4"),
        ("orders/", "names no record"),
        ("/order-7", "names no record"),
        ("orders/\udc80", "names no record"),
        ("orders.fifo/order-7", "no '.fifo'"),
    ],
)
def test_a_key_that_names_no_record(keys, world, key, fix):
    """Exit code 2, and the form is taught."""
    deliver(by_key(nothing), ORDER, store=world.store)
    for action in (("show",), ("forget", "--yes")):
        code, out, err = keys(action[0], key, *action[1:])
        assert (code, out, fix in err) == (2, "", True), err


@pytest.mark.parametrize(
    ("url", "fix"),
    [
        (None, "pass --store URL, or set PEEKLOCK_STORE"),
        ("memory://", "the memory of the process"),
        ("sqlite://nowhere/keys.db", "there is no file nowhere/keys.db; an absolute path has a third slash"),
        ("sqllite:///keys.db", "did you mean 'sqlite'?"),
    ],
)
def test_a_store_that_cannot_be(capsys, url, fix):
    """Exit code 2, and the fix."""
    with environment(PEEKLOCK_STORE=url):
        assert main(["keys", "show", KEY]) == 2
    assert fix in capsys.readouterr().err


def test_a_store_that_does_not_answer(tmp_path, keys, world):
    """Exit code 2, and the reason."""
    (tmp_path / "keys.db").write_bytes(b"not a database" * 100)
    for argv in (("show", KEY), ("forget", KEY, "--yes")):
        code, out, err = keys(*argv)
        assert (code, out, "file is not a database" in err) == (2, "", True)


def test_as_a_command(world):
    """Found by the environment's store; its help teaches the form of a key."""
    deliver(by_key(nothing), ORDER, store=world.store)
    with environment(PEEKLOCK_STORE=world.url), command("show", KEY) as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert "done: the handler has succeeded" in out
    for action in ("show", "forget"):
        with command(action, "--help") as process:
            text, _ = process.communicate(timeout=30)
        assert "orders/order-7     the queue's declared name, a slash, the business key" in text
        assert "exit codes:" in text


@pytest.mark.parametrize("name", params())
def test_reading_changes_nothing(name, tmp_path):
    """In any store: of a record, and of none."""
    with STORES[name](tmp_path) as store:
        assert read(store, "k") is None
        assert read(store, "k") is None
        assert store.swap([change("k", None, record(2**62))])[0].won, "there is still none"
        assert read(store, "k") == record(2**62)
        assert read(store, "k") == record(2**62)
        assert store.swap([change("k", 2**62, None)])[0].won


class Broken:
    """A store that answers in another way than it should."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def swap(self, _: Any, /) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    "answer", [StoreError("down"), RuntimeError("down"), [Answer(won=False, error=StoreError("down"))], []]
)
def test_a_store_that_fails_is_a_store_error(answer):
    """However it does."""
    with pytest.raises(StoreError, match=r"down|values to unpack"):
        read(Broken(answer), "k")


def test_a_lost_answer_to_the_removal():
    """May mean that it is forgotten: that is said, and how to find out."""
    store = MemoryStore()
    deliver(by_key(nothing), ORDER, store=store)
    view = look(store, KEY)
    with pytest.raises(
        StoreError, match="response was lost; whether it is forgotten is not known: `peeklock keys show`"
    ):
        _forget(FlakyStore(store, Script({1: "after"})), view, asks=False)
    assert _forget(store, view, asks=False) == ("", view), "again is no harm"


def test_when_it_was_written():
    """To the millisecond, from the version that the engine chose."""
    store, clock = MemoryStore(), FakeClock(datetime(2026, 5, 1, 12, 30, 15, 250_000, tzinfo=UTC))
    deliver(by_key(nothing), ORDER, store=store, clock=clock)
    written = written_at(store.records[KEY], datetime.now(UTC))
    assert timedelta() <= written - clock.now() < timedelta(milliseconds=3), (
        "each write of a record is a millisecond later"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s ago"),
        (119, "for another 119 s"),
        (120, "for another 2 min"),
        (-7_300, "2 h ago"),
        (-2e6, "23 days ago"),
    ],
)
def test_how_far_from_now(seconds, text):
    """In a unit that says enough."""
    now = datetime(2026, 5, 1, tzinfo=UTC)
    assert when(now + timedelta(seconds=seconds), now).endswith(f"UTC ({text})")


@pytest.mark.parametrize("state", State)
def test_every_state_has_its_words(state, capsys):
    """Alive, held and expired, for a person and for a machine."""
    from peeklock.cli.record_view import facts, print_view

    now = datetime(2026, 5, 1, tzinfo=UTC)
    for lease, expiry in ((1, 2), (-1, 2), (-2, -1)):
        held = record(
            7,
            state=state,
            reason="fatal" if state in (State.DEAD_LETTERING, State.DEAD_LETTERED) else "",
            generation=1,
            copy_number=1,
            lease_until=now + timedelta(hours=lease),
            expires_at=now + timedelta(hours=expiry),
        )
        view = RecordView(key=KEY, record=held, now=now)
        print_view(view)
        assert f"{state}" in capsys.readouterr().out
        assert json.loads(json.dumps(facts(view)))["held"] is (
            lease == 1 and state in (State.RUNNING, State.DEAD_LETTERING)
        )

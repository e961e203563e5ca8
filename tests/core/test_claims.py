"""The claim protocol's numbers and corners: leases, versions, how long a record is kept, dead letters without lineage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from peeklock import Queue, cloudtasks, consumer
from peeklock.binding.bind import binding_of
from peeklock.engine.bound_consumer import RESERVE, SKEW, Deadline
from peeklock.engine.run import handle
from peeklock.errors import SendError
from peeklock.idempotency.arrival import UNPUBLISHED_LIMIT, arrive
from peeklock.idempotency.claims import announce_bare, failed, finish, release_late, release_lease, timed_out
from peeklock.idempotency.decision import Action, Decision, Verdict
from peeklock.idempotency.record import LONGEST_EVENT, LONGEST_LEASE, UNSETTLED_KEEP, Record, Stamp, State, next_version
from peeklock.message import Lineage, Message
from peeklock.outcome import Reason
from peeklock.outgoing import OutgoingMessage
from peeklock.stores.memory import MemoryStore
from peeklock.testing import FakeClock, Outbox
from tests.core.world import FlakyStore, Script, bound_for, message

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SOON = NOW + timedelta(minutes=1)
MINE = Lineage(id="m")


def stamp(version: int = 2, now: datetime = NOW) -> Stamp:
    return Stamp(version=version, owner="me", now=now, lease_until=now + timedelta(minutes=1), keep=timedelta(days=7))


def record(state: State, **changes: Any) -> Record:
    basic: dict[str, Any] = {"version": 1, "owner": "other", "message": "m", "lease_until": NOW - timedelta(minutes=1)}
    return Record(state=state, expires_at=NOW + UNSETTLED_KEEP, **{**basic, **changes})


# -- leases


@pytest.mark.parametrize("seconds", [40, 899.5])
def test_a_lease_ends_with_its_event_and_five_seconds_later(seconds):
    """In seconds; from the time that the platform leaves, and not from the time-out."""
    clock, store = FakeClock(), MemoryStore()
    leases = []

    @consumer(Queue("orders", timeout=30))
    def handler(payload: dict) -> None:
        leases.append(store.records["orders#m-1"].lease_until)

    handle(bound_for(handler, store=store, clock=clock), [message({})], timedelta(seconds=seconds))
    assert timedelta(seconds=5) == SKEW
    assert leases == [clock.now() + timedelta(seconds=seconds + 5)]


def test_a_lease_where_the_platform_says_no_time():
    """Each message may take its time-out, and the I/O one more."""
    clock = FakeClock()

    @consumer(Queue("orders", timeout=30))
    def handler(payload: dict) -> None: ...

    deadline = Deadline(bound_for(handler, clock=clock), None, 3)
    assert deadline.lease_until == clock.now() + timedelta(seconds=30 * 4) + RESERVE + SKEW
    assert Deadline(bound_for(handler, clock=clock), None, 10_000).lease_until == clock.now() + LONGEST_EVENT + SKEW


def test_a_task_holds_its_key_until_its_dispatch_deadline():
    """Cloud Tasks gives up on a request after ten minutes, unless the task says otherwise; then it sends another."""
    leases, store, clock = [], MemoryStore(), FakeClock()

    @consumer(Queue("orders", timeout=30))
    def handler(payload: dict, message: Message) -> None:
        leases.append(store.records[f"orders#{message.id}"].lease_until)

    event = {"headers": {"X-CloudTasks-TaskName": "t-1"}, "body": "{}"}
    cloudtasks.run_sample(handler, event, store=store, clock=clock, dead_letter=Outbox(), queue=Outbox())
    assert leases == [clock.now() + timedelta(minutes=10) + SKEW]
    entry = cloudtasks.bind(handler, store=store, clock=clock, dead_letter=Outbox(), queue=Outbox())
    binding = binding_of(entry)
    assert binding is not None
    assert binding.longest_delay == timedelta(days=30)


def test_a_verdict_is_held_as_long_as_a_run():
    """While one process publishes the dead letter, another does not; and a failure to does not hold it."""
    decision = arrive(None, MINE, stamp(), 3, Verdict(reason=Reason.INVALID))
    assert decision.record is not None
    assert decision.record.lease_until == SOON
    assert arrive(decision.record, MINE, stamp(3), 3).reason is Reason.BUSY
    free = release_lease(decision.record, stamp(3))
    assert arrive(free, MINE, stamp(4), 3).action is Action.DEAD_LETTER
    taken = arrive(free, MINE, stamp(4, NOW + timedelta(hours=1)), 3).record
    assert taken is not None
    assert taken.lease_until == NOW + timedelta(hours=1, minutes=1)


@pytest.mark.parametrize("state", [State.RUNNING, State.DEAD_LETTERING])
@pytest.mark.parametrize("lineage", [MINE, Lineage(id="twin")])
def test_a_lease_from_a_clock_far_ahead_is_cut(state, lineage):
    """To what an event may last, by any message of the key; its owner, if alive, writes on (trials 1.27)."""
    far = record(state, lease_until=NOW + timedelta(days=900), reason="fatal")
    decision = arrive(far, lineage, stamp(), 3)
    assert (decision.action, decision.reason) == (Action.ABANDON, Reason.BUSY)
    assert decision.record == replace(far, lease_until=NOW + LONGEST_LEASE)
    assert arrive(decision.record, lineage, stamp(), 3).record is None, "cut once"
    later = arrive(decision.record, MINE, stamp(now=NOW + LONGEST_LEASE + timedelta(seconds=1)), 3)
    assert later.action is (Action.RUN if state is State.RUNNING else Action.DEAD_LETTER)


def test_a_cut_lease_is_written_and_waited_for():
    """The engine makes one change, and delays the message by the rest of the lease (trials 1.27)."""
    clock, store = FakeClock(), MemoryStore()

    @consumer(Queue("orders"))
    def handler(payload: dict) -> None: ...

    ahead = clock.now() + timedelta(days=365)
    store.records["orders#m-1"] = record(State.RUNNING, message="m-1", lease_until=ahead)
    bound = bound_for(handler, store=store, clock=clock)
    (busy,) = handle(bound, [message({}, id="m-1")])
    assert (busy.outcome.reason, busy.outcome.delay) == ("busy", LONGEST_LEASE)
    clock.advance(LONGEST_LEASE)
    (delivery,) = handle(bound, [message({}, id="m-1")])
    assert delivery.outcome.reason == Reason.DONE


def test_a_version_from_a_clock_far_ahead_still_grows():
    """The next one is above it, though this clock is behind."""
    ahead = next_version(0, NOW + timedelta(days=3650), 5)
    following = [ahead := next_version(ahead, NOW, nonce) for nonce in (7, 0, 2**22 - 1)]
    assert following == sorted(following)
    assert following[0] > next_version(0, NOW + timedelta(days=3650), 5)
    assert following[-1] < 2**63


# -- how long


def test_what_is_not_settled_outlives_its_message():
    """Service Bus keeps a message without end, by default; a delay is added (trials 1.27)."""
    assert timedelta(days=400) == UNSETTLED_KEEP
    delay = timedelta(days=60)
    claim = arrive(None, MINE, stamp(), 3).record
    assert claim is not None
    assert claim.expires_at == NOW + UNSETTLED_KEEP
    waiting = failed(claim, stamp(3), 3, copies=False, delay=delay).record
    delaying = failed(claim, stamp(3), 3, copies=True, delay=delay).record
    assert waiting is not None
    assert delaying is not None
    assert waiting.expires_at == delaying.expires_at == NOW + delay + UNSETTLED_KEEP
    assert delaying.due == NOW + delay
    assert finish(delaying, stamp(4), State.DELAYED).expires_at == NOW + delay + UNSETTLED_KEEP
    assert finish(replace(delaying, due=None), stamp(4), State.DELAYED).expires_at == NOW + UNSETTLED_KEEP
    assert finish(claim, stamp(4), State.DONE).expires_at == NOW + timedelta(days=7)


# -- attempts


@pytest.mark.parametrize("reason", [Reason.EXHAUSTED, Reason.FATAL])
def test_a_redriven_dead_letter_starts_with_no_attempts(reason):
    """The new generation has all attempts."""
    dead = record(State.DEAD_LETTERED, attempts=5, lost=2, suspect=True, detail="old", reason=reason)
    decision = arrive(dead, MINE.dead_letter(), stamp(), 5)
    assert decision.action is Action.RUN
    claim = decision.record
    assert claim is not None
    assert (claim.attempts, claim.lost, claim.suspect, claim.detail, claim.generation) == (0, 0, False, "", 1)


def test_a_start_that_timed_out_is_counted_once():
    """The process may have died after recording the time-out, and the next delivery finds the lease over."""
    claim = arrive(None, MINE, stamp(), 3).record
    assert claim is not None
    late = timed_out(claim, stamp(3), "ran past its 30 s")
    again = arrive(replace(late, lease_until=NOW), MINE, stamp(4), 3)
    assert again.record is not None
    assert (again.record.attempts, again.record.lost, again.alone) == (1, 0, True)
    freed = release_late(again.record, stamp(5))
    assert (freed.state, freed.suspect, freed.attempts) == (State.WAITING, False, 2), (
        "also where its time-out was not recorded"
    )
    gone = arrive(replace(late, lease_until=NOW), MINE, stamp(4), 1)
    assert gone.record is not None
    assert (gone.reason, gone.record.detail) == (Reason.EXHAUSTED, "ran past its 30 s")


def test_attempts_that_a_copy_remembers_alone():
    """The record is gone; the dead letter is not without a reason."""
    decision = arrive(None, Lineage(id="m", copy_number=3, attempts=3), stamp(), 3)
    assert decision.record is not None
    assert decision.reason is Reason.EXHAUSTED
    assert decision.record.detail == "it had 3 attempts before this delivery, and what ended the last is not recorded"


def test_a_lost_start_is_shared_with_another_message_of_the_key():
    """Whoever comes next: the key is what may kill a process."""
    lost = record(State.RUNNING, attempts=1)
    decision = arrive(lost, Lineage(id="twin"), stamp(), 3)
    assert decision.record is not None
    assert (decision.alone, decision.record.attempts, decision.record.lost) == (True, 2, 1)


# -- other messages of a key


def test_a_verdict_about_a_message_does_not_block_its_key():
    """A message that is too old stays so: it is judged again if it comes back (trials 1.25)."""
    old = record(State.DEAD_LETTERING, reason=Reason.EXPIRED)
    assert arrive(old, Lineage(id="twin"), stamp(), 3).action is Action.RUN
    assert (
        arrive(record(State.DEAD_LETTERING, reason=Reason.FATAL), Lineage(id="twin"), stamp(), 3).reason is Reason.BUSY
    )


def test_a_verdict_nobody_publishes_blocks_its_key_for_a_day():
    """The message must have left the queue in another way, or it would have come back by then."""
    fatal = record(State.DEAD_LETTERING, reason=Reason.FATAL, lease_until=NOW)
    for after, action in ((timedelta(0), Action.ABANDON), (timedelta(seconds=1), Action.RUN)):
        assert arrive(fatal, Lineage(id="twin"), stamp(now=NOW + UNPUBLISHED_LIMIT + after), 3).action is action


# -- dead letters that carry no lineage


def test_a_bare_dead_letter_runs_when_it_is_redriven():
    """It is recognised by its id alone, repeatedly, and each generation is told from the one before (trials 1.1)."""
    dead = finish(
        record(State.DEAD_LETTERING, reason="exhausted", attempts=3, copy_number=2),
        stamp(),
        State.DEAD_LETTERED,
        bare=True,
    )
    for life in (1, 2):
        claim = ran(arrive(dead, MINE, stamp(), 3))
        assert (claim.generation, claim.copy_number, claim.attempts, claim.bare) == (life, 0, 0, True)
        waiting = failed(claim, stamp(4), 3, copies=False).record
        again = ran(arrive(waiting, MINE, stamp(5), 3))
        assert (again.generation, again.attempts, again.bare) == (life, 1, True)
        assert arrive(finish(again, stamp(6), State.DONE), MINE, stamp(7), 3).reason is Reason.DUPLICATE
        dead = finish(
            replace(again, state=State.DEAD_LETTERING, reason="fatal"), stamp(6), State.DEAD_LETTERED, bare=True
        )


def test_a_life_of_a_bare_dead_letter_goes_on_in_copies():
    """They carry the lineage; the message itself, delivered again, is an older copy."""
    claim = ran(arrive(record(State.DEAD_LETTERED, bare=True, reason="fatal"), MINE, stamp(), 3))
    delaying = failed(claim, stamp(3), 3, copies=True).record
    assert delaying is not None
    assert arrive(delaying, MINE, stamp(4), 3).action is Action.PUBLISH
    moved = finish(delaying, stamp(4), State.DELAYED)
    assert arrive(moved, MINE, stamp(5), 3).reason is Reason.SUPERSEDED
    copy = ran(arrive(moved, Lineage(id="m", generation=1, copy_number=1, attempts=1), stamp(5), 3))
    assert (copy.generation, copy.copy_number, copy.bare) == (1, 1, True)


def test_a_bare_dead_letter_that_is_redriven_before_it_is_recorded():
    """Nobody knows which of the two this is: its dead letter is published again, not lost."""
    condemned = announce_bare(record(State.DEAD_LETTERING, reason="fatal", copy_number=2, lease_until=SOON), stamp())
    assert arrive(condemned, MINE, stamp(3), 3).reason is Reason.BUSY
    assert arrive(replace(condemned, lease_until=NOW), MINE, stamp(3), 3).action is Action.DEAD_LETTER


def test_a_dead_letter_with_lineage_is_not_taken_for_a_bare_one():
    """The message itself, delivered once more, completes with its verdict."""
    dead = finish(record(State.DEAD_LETTERING, reason="fatal"), stamp(), State.DEAD_LETTERED)
    assert arrive(dead, MINE, stamp(3), 3) == Decision(action=Action.COMPLETE, reason=Reason.FATAL)


def ran(decision: Decision) -> Record:
    assert decision.action is Action.RUN
    assert decision.record is not None
    return decision.record


class Narrow:
    """A dead-letter queue into which a message fits only as it came."""

    limit = 100

    def __init__(self) -> None:
        self.outbox = Outbox()
        self.down = False

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]:
        return [SendError("down")] * len(outgoing_messages) if self.down else self.outbox.send(outgoing_messages)

    def accepts(self, outgoing: OutgoingMessage, /) -> bool:
        return outgoing.bare

    def weigh(self, outgoing: OutgoingMessage, /) -> int:
        return len(outgoing.body)


def test_a_redriven_bare_dead_letter_really_runs():
    """End to end: the same id, without lineage, at the hour of its return (trials 1.1)."""
    clock, store, dead_letters, fails = FakeClock(), MemoryStore(), Narrow(), [True]

    @consumer(Queue("orders", max_attempts=1))
    def handler(payload: dict) -> None:
        if fails:
            raise ValueError("no")

    bound = bound_for(handler, store=store, dead_letters=dead_letters, clock=clock)
    dead_letters.down = True
    (refused,) = handle(bound, [message({})])
    assert refused.outcome.disposition == "abandon"
    dead_letters.down = False
    for life in range(3):
        (dead,) = handle(bound, [message({})])
        assert (dead.outcome.reason, len(dead_letters.outbox.outgoing_messages)) == ("exhausted", life + 1)
        held = store.records["orders#m-1"]
        assert (held.state, held.bare, held.generation) == (State.DEAD_LETTERED, True, life)
    fails.clear()
    assert [handle(bound, [message({})])[0].outcome.reason for _ in range(2)] == ["done", "duplicate"]


def test_a_bare_dead_letter_waits_for_its_record():
    """Where the store does not take that it is bare, it is not published: redriven, it would be taken for the message."""
    dead_letters = Narrow()

    @consumer(Queue("orders", max_attempts=1))
    def handler(payload: dict) -> None:
        raise ValueError("no")

    script = Script({3: "before", 4: "before", 5: "before"})  # the claim, the verdict, and then this
    flaky = FlakyStore(MemoryStore(), script)
    bound = bound_for(handler, store=flaky, dead_letters=dead_letters)
    (delivery,) = handle(bound, [message({})])
    assert (delivery.outcome.disposition, dead_letters.outbox.outgoing_messages) == ("abandon", [])


# -- redriven dead letters of a key that others have


def test_a_redriven_dead_letter_begins_anew_among_others():
    """Once: whoever joins its life shares its attempts, also itself when it comes back, so that two messages that take turns
    are exhausted; and the next redrive begins anew again."""
    spent = record(State.WAITING, message="other", attempts=2)
    redriven = Lineage(id="m", generation=1)
    claim = arrive(spent, redriven, stamp(), 3).record
    assert claim is not None
    assert claim.attempts == 0
    tired = replace(claim, state=State.WAITING, attempts=1)
    theirs = arrive(tired, Lineage(id="other"), stamp(3), 3).record
    assert theirs is not None
    assert (theirs.message, theirs.attempts) == ("other", 1)
    waiting = replace(theirs, state=State.WAITING, attempts=2)
    for lineage, attempts in (
        (redriven, 2),
        (Lineage(id="m", generation=2, copy_number=1), 2),
        (Lineage(id="m", generation=2), 0),
    ):
        mine = arrive(waiting, lineage, stamp(4), 9).record
        assert mine is not None
        assert mine.attempts == attempts


def test_a_redrive_of_long_ago_decides_over_no_new_life():
    """The mark of it ends with its life; a redriven dead letter then begins with no attempts again."""
    over = record(State.DEAD_LETTERED, message="other", generation=5, redriven="0000000005.old")
    begun = arrive(over, Lineage(id="new"), stamp(), 13).record
    assert begun is not None
    tired = replace(begun, state=State.WAITING, attempts=12)
    mine = arrive(tired, Lineage(id="b", generation=1), stamp(3), 13).record
    assert mine is not None
    assert mine.attempts == 0


@pytest.mark.parametrize("state", [State.WAITING, State.DELAYED, State.DEAD_LETTERED])
def test_a_delivery_of_an_earlier_life_is_over(state):
    """The redriven dead letter carries on; this delivery neither runs nor publishes a second dead letter."""
    later = record(state, generation=1, reason="fatal" if state is State.DEAD_LETTERED else "")
    decision = arrive(later, MINE, stamp(), 3)
    assert (decision.action, decision.reason, decision.record) == (Action.COMPLETE, Reason.SUPERSEDED, None)

"""An explicit-state model check of the claim protocol: every interleaving of workers that may die between any two steps.

The rules come as a table, so that a test can plant a fault and see that it is found. Versions only matter by being equal
or not, and leases by their owner being alive or not; so both are renamed, and the states are finite. A real store can
take the place of the rule of `swap`: each step then asks it, with the world's record under a key that is new to it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from peeklock.idempotency import arrival, claims
from peeklock.idempotency.decision import Action, Decision
from peeklock.idempotency.record import Record, Stamp, State
from peeklock.idempotency.store import Answer, Change, Store, decide
from peeklock.message import Lineage

NOW = datetime(2099, 1, 1, tzinfo=UTC)
"""Far away: a real store must not find the records expired."""
ALIVE, OVER = NOW + timedelta(minutes=1), NOW - timedelta(minutes=1)
KEEP = timedelta(days=7)


@dataclass(frozen=True)
class Rules:
    """The protocol under check."""

    arrive: Callable[..., Decision] = arrival.arrive
    failed: Callable[..., Decision] = claims.failed
    timed_out: Callable[..., Record] = claims.timed_out
    give_back: Callable[..., Record] = claims.give_back
    finish: Callable[..., Record] = claims.finish
    without_copies: Callable[..., Record] = claims.without_copies
    adopted: bool = True
    """Copies and dead letters have the generation of the record."""
    announced: bool = True
    """The record says that a dead letter is bare before it is published."""
    dead_letter_first: bool = True
    """The dead letter is published before its message is completed."""


@dataclass(frozen=True)
class Case:
    """How much to explore."""

    messages: int = 1
    workers: int = 2
    deaths: int = 1
    duplicates: int = 0
    """Times that the queue delivers what is still held."""
    lost_answers: int = 0
    redrives: int = 1
    copies: bool = False
    mixed: bool = False
    """All workers but the first belong to a deployment that publishes no copies."""
    max_attempts: int = 2
    timeouts: int = 0
    waits: int = 0
    """Claims that are given back unused."""
    bare: bool = False
    """Dead letters are published without lineage, so that a redriven one has only its id."""
    apart: bool = True
    """Other workers act between the answer to a claim and its next attempt, as in reality; this triples the states."""


@dataclass(frozen=True)
class Worker:
    step: str = "free"
    lineage: Lineage | None = None
    record: Record | None = None


@dataclass(frozen=True)
class World:
    queue: tuple[Lineage, ...]
    workers: tuple[Worker, ...]
    budget: tuple[int, ...]
    """Deaths, duplicates, lost answers, redrives, time-outs and give-backs that are left."""
    record: Record | None = None
    owner: int = -1
    dead_letters: tuple[Lineage, ...] = ()
    effects: int = 0
    starts: int = 0
    """Starts in the generation of the record; a `dead_lettered` record ends it."""
    crashed: bool = False
    """A start of this generation was lost, and none has ended since."""
    rerun: bool = False
    settled: frozenset[str] = field(default_factory=frozenset)


DEATHS, DUPLICATES, LOST, REDRIVES, TIMEOUTS, WAITS = range(6)


KEEPS_SUSPICION = {"is halted", "times out", "has its effect and times out"}
"""Writes after which no start has ended."""


class Broken(Exception):
    """A law does not hold; the text is the law and the way there."""


def by_name(lineages: tuple[Lineage, ...]) -> tuple[Lineage, ...]:
    return tuple(sorted(lineages, key=repr))


class Explorer:
    """Walks all states of a case under some rules."""

    def __init__(self, case: Case, rules: Rules, store: Store | None = None) -> None:
        self.case = case
        self.rules = rules
        self.store = store
        self.version = 1000  # above every name that a version gets
        self.keys = 0

    def stamp(self) -> Stamp:
        self.version += 1
        return Stamp(version=self.version, owner="w", now=NOW, lease_until=ALIVE, keep=KEEP)

    def explore(self) -> int:
        """The number of states. Raises Broken."""
        case = self.case
        budget = (case.deaths, case.duplicates, case.lost_answers, case.redrives, case.timeouts, case.waits)
        lineages = tuple(Lineage(id=f"m{n}") for n in range(case.messages))
        start = canonical(World(lineages, (Worker(),) * case.workers, budget))
        parents: dict[World, tuple[World, str] | None] = {start: None}
        self.parents = parents
        todo = deque([start])
        while todo:
            world = todo.popleft()
            self.check(world, parents)
            for label, after in self.steps(world):
                state = canonical(after)
                if state not in parents:
                    parents[state] = (world, label)
                    todo.append(state)
                if label.endswith("to run") and world.record is not None and world.record.state is State.DONE:
                    self.fail("a run after a recorded success", state, parents)
            if not world.queue and all(worker.step == "free" for worker in world.workers):
                self.check_end(world, parents)
        return len(parents)

    def check(self, world: World, parents: dict[World, Any]) -> None:
        case = self.case
        spent = case.deaths - world.budget[DEATHS]
        slow = case.timeouts - world.budget[TIMEOUTS]
        if sum(worker.step == "run" for worker in world.workers) > 1:
            self.fail("two runs of a key at once", world, parents)
        if world.effects > 1 + spent + slow:
            self.fail("an effect repeated without a crash", world, parents)
        if world.starts > case.max_attempts:
            self.fail("more starts than attempts", world, parents)
        held = sum(worker.step != "free" for worker in world.workers)
        most = case.messages + spent + case.duplicates + case.redrives + case.lost_answers
        if len(world.queue) + held > most + held:
            self.fail("copies multiply", world, parents)

    def check_end(self, world: World, parents: dict[World, Any]) -> None:
        """Nothing moves any more: each message is done or dead-lettered, and a redriven one has really run."""
        if world.rerun and world.starts == 0 and world.effects == 0 and not world.dead_letters:
            self.fail("a redriven dead letter did not run", world, parents)
        for n in range(self.case.messages):
            dead_lettered = any(lineage.id == f"m{n}" for lineage in world.dead_letters)
            if not (world.effects or dead_lettered):
                self.fail(f"m{n} is lost", world, parents)
        ends = (State.DONE, State.DEAD_LETTERED, State.DEAD_LETTERING)
        if world.record is None or (world.record.state not in ends and self.case.lost_answers == 0):
            self.fail("quiet, but not settled", world, parents)

    def fail(self, law: str, world: World, parents: dict[World, Any]) -> None:
        path = []
        step = parents.get(world)
        while step is not None:
            path.append(step[1])
            step = parents[step[0]]
        raise Broken("\n".join([law, *reversed(path), str(world)]))

    # -- the steps of a world

    def steps(self, world: World) -> Iterator[tuple[str, World]]:
        for n, worker in enumerate(world.workers):
            if worker.step == "free":
                yield from self.receive(world, n)
            else:
                yield from self.mishaps(world, n, worker)
                yield from getattr(self, f"do_{worker.step}")(world, n, worker)
        if world.dead_letters and world.budget[REDRIVES]:
            dead_letter, *rest = world.dead_letters
            yield (
                f"{dead_letter.id} is redriven",
                replace(
                    spend(world, REDRIVES),
                    dead_letters=tuple(rest),
                    queue=by_name(
                        (*world.queue, Lineage(id=dead_letter.id) if self.case.bare else dead_letter.dead_letter())
                    ),
                    starts=0,
                    rerun=True,
                ),
            )

    def receive(self, world: World, n: int) -> Iterator[tuple[str, World]]:
        for lineage in sorted(set(world.queue), key=repr):
            rest = list(world.queue)
            rest.remove(lineage)
            yield f"w{n} receives {lineage}", put(replace(world, queue=tuple(rest)), n, Worker("arrived", lineage))

    def mishaps(self, world: World, n: int, worker: Worker) -> Iterator[tuple[str, World]]:
        assert worker.lineage is not None
        again = by_name((*world.queue, worker.lineage))
        if world.budget[DEATHS]:
            yield f"w{n} dies at {worker.step}", self.end(spend(replace(world, queue=again), DEATHS), n)
        if world.budget[DUPLICATES]:
            yield f"{worker.lineage.id} is delivered again", spend(replace(world, queue=again), DUPLICATES)

    def end(self, world: World, n: int) -> World:
        """The worker is free, or dead and replaced: either way its lease is over."""
        return put(replace(world, owner=-1 if world.owner == n else world.owner), n, Worker())

    def swap(
        self, world: World, n: int, expected: Record | None, record: Record
    ) -> Iterator[tuple[Answer, str, World]]:
        """The store's answers: won or lost; or lost on the way and asked for again, which must win."""
        change = Change(key="k", expected=expected.version if expected else None, record=record)
        answer, held = self.ask(world.record, change)
        after = replace(world, record=held, owner=n if answer.won else world.owner)
        yield answer, "", after
        if answer.won and world.budget[LOST]:
            again, held = self.ask(held, change)
            yield again, " (answer lost, asked again)", spend(replace(after, record=held), LOST)

    def ask(self, held: Record | None, change: Change) -> tuple[Answer, Record | None]:
        """The answer to a change where this record is held, and what is held afterwards."""
        if self.store is None:
            answer = decide(held, change)
            return answer, change.record if answer.won else held
        self.keys += 1
        key = f"k-{self.keys}"
        if held is not None:
            self.store.swap([Change(key=key, expected=None, record=held)])
        (answer,) = self.store.swap([replace(change, key=key)])
        return answer, look(self.store, key, change.record if answer.won else answer.record)

    def copies(self, n: int) -> bool:
        return self.case.copies and not (self.case.mixed and n)

    def do_arrived(self, world: World, n: int, worker: Worker) -> Iterator[tuple[str, World]]:
        """First as if there were no record, then by the one that it was told of; others may act in between."""
        seen = worker.record if self.case.apart else told(world.record, world)
        if seen is not None and not self.copies(n):
            seen = self.rules.without_copies(seen)
        decision = self.rules.arrive(seen, worker.lineage, self.stamp(), self.case.max_attempts)
        if decision.record is None:
            yield from self.settle(world, n, worker, decision)
            return
        for answer, how, after in self.swap(world, n, seen, decision.record):
            if not answer.won:
                yield f"w{n} loses its claim{how}", put(after, n, replace(worker, record=told(answer.record, after)))
                continue
            step = {Action.RUN: "run", Action.PUBLISH: "publish", Action.DEAD_LETTER: "bury"}[decision.action]
            started = self.start(world, after, seen, decision) if step == "run" else after
            yield f"w{n} claims{how} to {step}", put(started, n, Worker(step, worker.lineage, decision.record))

    def start(self, world: World, after: World, seen: Record | None, decision: Decision) -> World:
        """A run is claimed. One that did not come back is suspected until a start of the life ends."""
        assert decision.record is not None
        goes_on = seen is not None and seen.generation == decision.record.generation
        crashed = goes_on and seen is not None and (seen.state is State.RUNNING or world.crashed)
        if crashed and not decision.alone:
            self.fail("a suspect runs beside others", world, self.parents)
        return replace(after, starts=after.starts + 1 if goes_on or seen is None else 1, crashed=crashed)

    def settle(self, world: World, n: int, worker: Worker, decision: Decision) -> Iterator[tuple[str, World]]:
        assert worker.lineage is not None
        if decision.action is Action.COMPLETE:
            done = replace(world, settled=world.settled | {worker.lineage.id})
            yield f"w{n} completes, {decision.reason}", put(done, n, Worker())
        else:
            yield f"w{n} abandons, {decision.reason}", put(self.requeue(world, worker), n, Worker())

    def requeue(self, world: World, worker: Worker) -> World:
        assert worker.lineage is not None
        return replace(world, queue=by_name((*world.queue, worker.lineage)))

    def back(self, world: World, n: int, worker: Worker) -> World:
        return self.end(self.requeue(world, worker), n)

    def do_run(self, world: World, n: int, worker: Worker) -> Iterator[tuple[str, World]]:
        assert worker.record is not None
        yield f"w{n} has its effect", put(replace(world, effects=world.effects + 1), n, replace(worker, step="ran"))
        decision = self.rules.failed(worker.record, self.stamp(), self.case.max_attempts, copies=self.copies(n))
        yield from self.after_failure(world, n, worker, decision)
        if world.budget[TIMEOUTS]:
            late = self.rules.timed_out(worker.record, self.stamp())
            slow = spend(world, TIMEOUTS)
            yield from self.write(slow, n, worker, late, "times out", "giveback")
            slow_effect = replace(slow, effects=slow.effects + 1)
            yield from self.write(slow_effect, n, worker, late, "has its effect and times out", "giveback")
        if world.budget[WAITS]:
            unused = self.rules.give_back(worker.record, self.stamp())
            halted = replace(spend(world, WAITS), starts=max(world.starts - 1, 0))
            yield from self.write(halted, n, worker, unused, "is halted", "giveback")

    def after_failure(self, world: World, n: int, worker: Worker, decision: Decision) -> Iterator[tuple[str, World]]:
        assert decision.record is not None
        step = {Action.ABANDON: "giveback", Action.PUBLISH: "publish", Action.DEAD_LETTER: "bury"}[decision.action]
        yield from self.write(world, n, worker, decision.record, f"fails, to {step}", step)

    def write(
        self, world: World, n: int, worker: Worker, record: Record, what: str, step: str
    ) -> Iterator[tuple[str, World]]:
        """Follow the claim with another record, or find that somebody else has."""
        for answer, how, after in self.swap(world, n, worker.record, record):
            if answer.won:
                ended = after if what in KEEPS_SUSPICION else replace(after, crashed=False)
                yield f"w{n} {what}{how}", put(ended, n, Worker(step, worker.lineage, record))
            else:
                yield f"w{n} {what}, fenced out", self.back(after, n, worker)

    def do_giveback(self, world: World, n: int, worker: Worker) -> Iterator[tuple[str, World]]:
        yield f"w{n} gives back", self.back(world, n, worker)

    def do_ran(self, world: World, n: int, worker: Worker) -> Iterator[tuple[str, World]]:
        assert worker.record is not None
        done = self.rules.finish(worker.record, self.stamp(), State.DONE)
        for _, how, after in self.swap(world, n, worker.record, done):
            yield f"w{n} records done{how}", put(after, n, replace(worker, step="leave"))

    def do_publish(self, world: World, n: int, worker: Worker) -> Iterator[tuple[str, World]]:
        assert worker.record is not None
        assert worker.lineage is not None
        life = worker.record.generation if self.rules.adopted else worker.lineage.generation
        copy = replace(
            worker.lineage, generation=life, copy_number=worker.record.copy_number, attempts=worker.record.attempts
        )
        published = replace(world, queue=by_name((*world.queue, copy)))
        yield f"w{n} publishes copy {copy.copy_number}", put(published, n, replace(worker, step="published"))

    def do_published(self, world: World, n: int, worker: Worker) -> Iterator[tuple[str, World]]:
        assert worker.record is not None
        moved = self.rules.finish(worker.record, self.stamp(), State.DELAYED)
        for _, how, after in self.swap(world, n, worker.record, moved):
            yield f"w{n} records moved{how}", put(after, n, replace(worker, step="leave"))

    def do_bury(self, world: World, n: int, worker: Worker) -> Iterator[tuple[str, World]]:
        assert worker.lineage is not None
        if not self.rules.dead_letter_first:
            yield f"w{n} completes before its dead letter", put(world, n, replace(worker, step="unsent"))
            return
        assert worker.record is not None
        if self.case.bare and not worker.record.bare and self.rules.announced:
            bare = claims.announce_bare(worker.record, self.stamp())
            yield from self.write(world, n, worker, bare, "announces a bare dead letter", "bury")
            return
        life = worker.record.generation if self.rules.adopted else worker.lineage.generation
        sent = replace(world, dead_letters=(*world.dead_letters, replace(worker.lineage, generation=life)))
        yield f"w{n} publishes the dead letter", put(sent, n, replace(worker, step="buried"))
        yield f"w{n} cannot publish the dead letter", self.back(world, n, worker)

    def do_unsent(self, world: World, n: int, worker: Worker) -> Iterator[tuple[str, World]]:
        """Only with a planted fault: the message is gone already, the dead letter is not there yet."""
        assert worker.lineage is not None
        yield f"w{n} dies", put(replace(world, owner=-1 if world.owner == n else world.owner), n, Worker())

    def do_buried(self, world: World, n: int, worker: Worker) -> Iterator[tuple[str, World]]:
        assert worker.record is not None
        dead = self.rules.finish(worker.record, self.stamp(), State.DEAD_LETTERED, bare=self.case.bare)
        for answer, how, after in self.swap(world, n, worker.record, dead):
            over = replace(after, starts=0, crashed=False) if answer.won else after
            yield f"w{n} records dead{how}", put(over, n, replace(worker, step="leave"))

    def do_leave(self, world: World, n: int, worker: Worker) -> Iterator[tuple[str, World]]:
        assert worker.lineage is not None
        yield f"w{n} completes", self.end(replace(world, settled=world.settled | {worker.lineage.id}), n)


def told(record: Record | None, world: World) -> Record | None:
    """Return the record as a worker sees it: the lease of a held record is over when its owner is gone."""
    return record and replace(record, lease_until=OVER if world.owner == -1 else ALIVE)


def look(store: Store, key: str, believed: Record | None) -> Record | None:
    """Return the record in the store, by a write from an impossible version, which is answered with the record that is
    there."""
    (answer,) = store.swap([Change(key=key, expected=-1, record=believed)])
    return believed if answer.won else answer.record


def put(world: World, n: int, worker: Worker) -> World:
    workers = list(world.workers)
    workers[n] = worker
    return replace(world, workers=tuple(workers))


def spend(world: World, what: int) -> World:
    budget = list(world.budget)
    budget[what] -= 1
    return replace(world, budget=tuple(budget))


def canonical(world: World) -> World:
    """Rename versions, and forget what no rule looks at."""
    names: dict[int, int] = {}

    def rename(record: Record | None) -> Record | None:
        if record is None:
            return None
        name = names.setdefault(record.version, len(names))
        return replace(record, version=name, lease_until=ALIVE, expires_at=ALIVE, due=record.due and NOW)

    def renamed(worker: Worker) -> Worker:
        if worker.step == "arrived" and worker.record is not None:  # it decides by the lease that it was told of
            return replace(worker, record=replace(rename(worker.record), lease_until=worker.record.lease_until))
        return replace(worker, record=rename(worker.record))

    record = rename(world.record)
    workers = tuple(renamed(worker) for worker in world.workers)
    return replace(world, record=record, workers=workers)

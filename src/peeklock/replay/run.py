"""Running sample events through their handlers, without side effects: a new memory store for each event, sends that are only
recorded, and the same random source each time, so that a replay has the same results whenever it is run."""

from __future__ import annotations

import difflib
import json
import os
import random
import sys
from bisect import insort
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NoReturn

from peeklock import unwrap as envelopes
from peeklock.binding.bind import Options
from peeklock.binding.option_checks import unwrap_of
from peeklock.errors import ConfigError, EventError, SendError
from peeklock.idempotency.store import Store
from peeklock.message import Message
from peeklock.observability.observer import Settled
from peeklock.outgoing import REASON, OutgoingMessage, Sender
from peeklock.platform_registry import module_of, platform_named
from peeklock.queue import Queue
from peeklock.registry import open_store
from peeklock.replay.handlers import Handler, handler_of
from peeklock.replay.samples import EXPECTED, ReplayError, Sample, expected_path, platform_of
from peeklock.sending.send import routed
from peeklock.sending.strict_sender import StrictSender
from peeklock.stores.memory import MemoryStore
from peeklock.timing.clock import SystemClock
from peeklock.timing.delays import Seconds
from peeklock.unwrap import Unwrap


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOptions:
    """Settings of a replay."""

    handlers: Sequence[Handler]
    queue: str | None = None
    """Declared queue of all events, whatever they say."""
    platform: str | None = None
    unwrap: Unwrap | None = None
    store: str | None = None
    live: bool = False
    times: int = 1
    attempt: int | None = None
    deadline: Seconds | None = None
    at: datetime | None = None
    """Time at which all events take place."""


@dataclass(slots=True, kw_only=True)
class Run:
    """Results of one run of one event."""

    sample: Sample
    number: int
    platform: str
    asked: str | None = None
    """Queue that was asked for, whatever the event says."""
    at: datetime | None = None
    """Time of the run, where the age of its messages matters."""
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    durations: list[float] = field(default_factory=list)
    """Milliseconds, one an outcome."""
    details: list[str] = field(default_factory=list)
    """Problem and place, one an outcome; empty where there is none."""
    errors: list[BaseException | None] = field(default_factory=list)
    """Exceptions that the handler raised, one an outcome."""
    refused: EventError | None = None
    exit_status: int | None = None
    """Status with which the handler ended the process, by `os._exit`; None where it did not. There are no outcomes then."""
    sent: list[dict[str, Any]] = field(default_factory=list)
    response: object = None
    """Answer to the platform."""

    def end_process(self, status: int) -> None:
        """Note that the handler ended the process. What became of the messages after it did not happen, and nothing was
        answered."""
        self.exit_status = status
        for results in (self.outcomes, self.durations, self.details, self.errors, self.sent):
            results.clear()
        self.response = {"raises": f"os._exit({status})"}

    def facts(self) -> dict[str, Any]:
        """Return the results that are the same each time: the content of an expected file."""
        settings = {name: self.sample.setting(name) for name in ("queue", "unwrap", "at")}
        return {
            **{name: value for name, value in settings.items() if value},
            "outcomes": self.outcomes,
            "response": self.response,
            "sent": self.sent,
        }


def route(sample: Sample, settings: ReplayOptions) -> tuple[str, Handler]:
    """Return the platform and the handler of an event. Raises ReplayError for an event that has none."""
    platform = platform_of(sample, settings.platform)
    return platform, handler_of(sample, platform, settings.handlers, settings.queue)


def replay(sample: Sample, settings: ReplayOptions) -> Iterator[Run]:
    """Run an event, `times` over one store, until a run ends the process. Raises ReplayError where it cannot be run at all."""
    platform, handler = route(sample, settings)
    store = _store(settings)
    for number in range(1, settings.times + 1):
        at = settings.at or _at(sample, handler.queue)
        run = Run(sample=sample, number=number, platform=platform, asked=settings.queue, at=at)
        _run_once(run, handler, settings, store)
        yield run
        if run.exit_status is not None:
            return


def _at(sample: Sample, queue: Queue) -> datetime | None:
    """Return the time of an event whose messages may be too old: the same each time, once `--accept` has written it."""
    text = sample.setting("at")
    if text is None:
        return None if queue.max_age is None else datetime.now(UTC)
    return moment(text, f"{sample.name}{EXPECTED}, at")


def moment(text: str, where: str) -> datetime:
    """Return an aware time from a text. Raises ReplayError, with the place of the text."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ReplayError(f"{where}: {text!r} is no time, such as 2026-11-30T12:00:00+00:00")
    return at


class _ShiftedClock(SystemClock):
    """The machine's clock, set to another time."""

    def __init__(self, at: datetime) -> None:
        self._ahead = at - datetime.now(UTC)

    def now(self) -> datetime:  # type: ignore[override] # that of the machine needs no object
        return datetime.now(UTC) + self._ahead


def _run_once(run: Run, handler: Handler, settings: ReplayOptions, store: Store | None) -> None:
    """Run an event once. What the handler prints goes to standard error: standard output has the results alone."""
    recorder = _Recorder(run)
    options = _options(settings, handler, run.sample, store, recorder)
    if run.at is not None:
        options["clock"] = _ShiftedClock(run.at)
    run_sample = module_of(run.platform).run_sample
    statuses: list[int] = []
    try:
        with (
            redirect_stdout(sys.stderr),
            _no_exit(statuses),
            nullcontext() if settings.live else routed(recorder.to),
        ):
            run.response = run_sample(handler.function, run.sample.event, **options)
    except EventError as exc:
        run.response = {"raises": "EventError"}
        run.refused = exc
    except ConfigError as exc:
        raise ReplayError(f"{run.sample.name}: {exc}") from exc
    if statuses:
        run.end_process(statuses[0])


class ProcessEnded(BaseException):
    """Raised by `os._exit` during a replay, to stop the handler that calls it."""


@contextmanager
def _no_exit(statuses: list[int]) -> Iterator[None]:
    """Record in `statuses` when a handler ends the process by `os._exit`, and only stop the handler: else the replay
    would end without the results of the other events, and perhaps with exit status 0. Processes that a handler forks end
    as they would."""
    original, process = os._exit, os.getpid()

    def refuse(status: int) -> NoReturn:
        if os.getpid() != process:
            original(status)
        statuses.append(status)
        raise ProcessEnded(f"os._exit({status})")

    os._exit = refuse
    try:
        yield
    finally:
        os._exit = original


def _store(settings: ReplayOptions) -> Store | None:
    if settings.store is not None:
        return open_store(settings.store)
    return None if settings.live else MemoryStore()


def _options(
    settings: ReplayOptions, handler: Handler, sample: Sample, store: Store | None, recorder: _Recorder
) -> Options:
    options: Options = {"observer": recorder, "random": random.Random(0)}  # noqa: S311 - the same each time is the point
    if store is not None:
        options["store"] = store
    if not settings.live:
        queue = handler.queue
        options["dead_letter"] = recorder.queue_named(f"{queue.name}-dead-letters")
        options["queue"] = recorder.queue_named(queue.name)
    if settings.deadline is not None:
        options["lock"] = settings.deadline
    unwrap = _unwrap(settings, handler, sample)
    if unwrap is not None:
        options["unwrap"] = unwrap
    return options


def _unwrap(settings: ReplayOptions, handler: Handler, sample: Sample) -> Unwrap | None:
    """Return what opens the envelope, and sets the attempt for `--attempt`."""
    bound = handler.binding.options.get("unwrap") if handler.binding else None
    opened = settings.unwrap or _expected_unwrap(sample) or unwrap_of(bound)
    attempt = settings.attempt
    if attempt is None:
        return opened

    def pretend(message: Message) -> Message:
        lineage = replace(message.effective_lineage, attempts=attempt - 1)
        aged = replace(message, lineage=lineage, attempt=attempt)
        return opened(aged) if opened else aged

    return pretend


def _expected_unwrap(sample: Sample) -> Unwrap | None:
    names = sample.setting("unwrap")
    if names is None:
        return None
    try:
        return envelopes.named(names)
    except ConfigError as exc:
        raise ReplayError(f"{sample.name}{EXPECTED}, unwrap: {exc}") from None


class _Recorder:
    """Records the results of an event: as its observer, and as every queue that something is sent to."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def running(self, _: Message, /) -> None:
        return None

    def settled(self, platform: str, settled: Sequence[Settled], /) -> None:
        del platform
        for settlement in settled:
            outcome = settlement.outcome
            delay = None if outcome.delay is None else round(outcome.delay.total_seconds(), 3)
            self.run.outcomes.append(
                {
                    "message_id": settlement.message.id,
                    "attempt": outcome.attempt,
                    "disposition": outcome.disposition.value,
                    "reason": outcome.reason.value,
                    **({} if delay is None else {"delay_s": delay}),
                }
            )
            self.run.durations.append(settlement.duration * 1000)
            self.run.details.append(outcome.detail)
            self.run.errors.append(outcome.error)

    def to(self, queue: Queue) -> Sender:
        """Return a sender for what a handler sends, which refuses what the platform would refuse. Where that has no delays, a
        message with one goes to a queue of another platform."""
        if not platform_named(self.run.platform).delays:
            return self.queue_named(queue.name)
        return StrictSender(queue=queue, sender=self.queue_named(queue.name), platform=self.run.platform)

    def queue_named(self, name: str) -> _RecordingSender:
        return _RecordingSender(self.run, name)


class _RecordingSender:
    """Records the messages sent to one queue."""

    def __init__(self, run: Run, name: str) -> None:
        self.run = run
        self.name = name

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]:
        for outgoing in outgoing_messages:
            sent: dict[str, Any] = {"to": self.name, "id": outgoing.lineage.id}
            if outgoing.dead_letter:
                sent["reason"] = outgoing.attributes.get(REASON)
            if outgoing.delay:
                sent["delay_s"] = round(outgoing.delay.total_seconds(), 3)
            insort(self.run.sent, sent, key=lambda each: str(each["to"]))  # queues are sent to side by side
        return [None] * len(outgoing_messages)


def difference(run: Run) -> list[str]:
    """Return the differences of a run from its expected results, as a diff; empty where there are none."""
    if run.sample.expected is None:
        return [f"no expected results: write {run.sample.name.rpartition('/')[2]}{EXPECTED}, or let --accept write it"]
    wanted, got = _lines(run.sample.expected), _lines(run.facts())
    return list(difflib.unified_diff(wanted, got, "expected", "replayed", lineterm="", n=2))


def _lines(facts: Mapping[str, Any]) -> list[str]:
    return json.dumps(facts, indent=2, ensure_ascii=False, sort_keys=True).splitlines()


def accept(run: Run) -> None:
    """Write the results as the expected ones, in one step."""
    if run.sample.path is not None:
        asked = {"queue": run.asked, "at": run.at and run.at.isoformat(timespec="seconds")}
        facts = {**{name: value for name, value in asked.items() if value}, **run.facts()}
        text = json.dumps(facts, indent=2, ensure_ascii=False)
        file = expected_path(run.sample.path)
        scratch = file.with_name(f".{file.name}.{os.getpid()}")
        scratch.write_text(text + "\n", encoding="utf-8")
        scratch.replace(file)

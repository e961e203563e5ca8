"""Run sample events through a handler, touching nothing: a fresh memory store for each event, sends that are only
recorded, and the same random source each time, so that a replay says the same whenever it is run."""

from __future__ import annotations

import difflib
import importlib
import json
import random
import sys
import tomllib
from bisect import insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from peeklock import unwrap as envelopes
from peeklock.binding import Options, binding_of
from peeklock.declare import declaration
from peeklock.delays import Seconds
from peeklock.errors import ConfigError, EventError, PeeklockError, SendError
from peeklock.message import Message
from peeklock.observe import Settled
from peeklock.option_checks import unwrap_of
from peeklock.parcel import REASON, Parcel
from peeklock.queue import Queue
from peeklock.registry import PLATFORMS, open_store
from peeklock.sending import routed
from peeklock.store import Store
from peeklock.stores.memory import MemoryStore
from peeklock.unwrap import Unwrap

EXPECTED = ".expected.json"


class ReplayError(PeeklockError):
    """A replay that cannot be run; the text names the fix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A sample event, and what is expected of it."""

    name: str
    event: Any
    expected: Mapping[str, Any] | None = None
    path: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How to replay."""

    function: Callable[..., Any]
    platform: str | None = None
    unwrap: Unwrap | None = None
    store: str | None = None
    live: bool = False
    times: int = 1
    attempt: int | None = None
    deadline: Seconds | None = None


@dataclass(slots=True, kw_only=True)
class Run:
    """What one run of one event came to."""

    sample: Sample
    number: int
    platform: str
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    durations: list[float] = field(default_factory=list)
    """Milliseconds, one an outcome."""
    details: list[str] = field(default_factory=list)
    """What is wrong and where, one an outcome; empty where nothing is."""
    errors: list[BaseException | None] = field(default_factory=list)
    """What the handler raised, one an outcome."""
    refused: EventError | None = None
    sent: list[dict[str, Any]] = field(default_factory=list)
    told: object = None

    def facts(self) -> dict[str, Any]:
        """What is the same each time: the content of an expected file."""
        unwrap = (self.sample.expected or {}).get("unwrap")
        return {
            **({"unwrap": unwrap} if unwrap else {}),
            "outcomes": self.outcomes,
            "told": self.told,
            "sent": self.sent,
        }


def load_handler(target: str) -> Callable[..., Any]:
    """The consumer, or the bound entry point, that `module:function` names. Raises ReplayError."""
    module_name, _, name = target.partition(":")
    if not module_name or not name:
        raise ReplayError(f"--handler {target!r}: write module:function, such as handlers.orders.charge:charge")
    sys.path.insert(0, "")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as exc:
        if not exc.name or not f"{module_name}.".startswith(f"{exc.name}."):
            raise ReplayError(
                f"--handler {target!r}: {module_name} imports {exc.name!r}, which is not installed"
            ) from exc
        raise ReplayError(f"--handler {target!r}: there is no module {exc.name!r} under {Path.cwd()}") from exc
    finally:
        sys.path.remove("")
    found = getattr(module, name, None)
    if found is None:
        near = difflib.get_close_matches(name, dir(module), 1)
        hint = f"; did you mean {module_name}:{near[0]}?" if near else ""
        raise ReplayError(f"--handler {target!r}: {module_name} has no {name!r}{hint}")
    return _checked(found, target)


def _function(handler: Callable[..., Any]) -> Callable[..., Any]:
    """The consumer itself, also of a bound entry point."""
    bound = binding_of(handler)
    return bound.function if bound else handler


def _checked(found: Any, target: str) -> Callable[..., Any]:
    try:
        declaration(_function(found))
    except ConfigError as exc:
        raise ReplayError(f"--handler {target!r}: {exc}") from exc
    handler: Callable[..., Any] = found
    return handler


def default_handler(folder: Path) -> str | None:
    """The handler in the nearest pyproject.toml's `[tool.peeklock]`."""
    for parent in (folder, *folder.parents):
        path = parent / "pyproject.toml"
        if path.is_file():
            settings = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("peeklock", {})
            target = settings.get("handler")
            return None if target is None else str(target)
    return None


def samples(paths: Sequence[str]) -> list[Sample]:
    """The events of files and folders, `-` for standard input. Raises ReplayError naming every file that is none."""
    found: list[Sample] = []
    problems: list[str] = []
    for path in _files(paths):
        try:
            found.append(_sample(path))
        except (ValueError, RecursionError) as exc:
            problems.append(f"{path}: not JSON ({exc}); an event is one JSON document a file")
        except OSError as exc:
            problems.append(f"{path}: {exc.strerror or exc}")
    if problems:
        raise ReplayError("\n".join(problems))
    return found


def _files(paths: Sequence[str]) -> Iterator[str]:
    for path in paths:
        if path == "-" or not Path(path).is_dir():
            yield path
            continue
        inside = sorted(str(one) for one in Path(path).rglob("*.json") if not one.name.endswith(EXPECTED))
        if not inside:
            raise ReplayError(f"{path}: no events in this folder; an event is a file *.json")
        yield from inside


def _sample(path: str) -> Sample:
    if path == "-":
        return Sample(name="-", event=json.loads(sys.stdin.buffer.read()))
    file = Path(path)
    expected = expected_path(file)
    return Sample(
        name=f"{file.parent.name}/{file.stem}" if file.parent.name else file.stem,
        event=json.loads(file.read_bytes()),
        expected=json.loads(expected.read_bytes()) if expected.is_file() else None,
        path=file,
    )


def expected_path(file: Path) -> Path:
    return file.with_name(file.stem + EXPECTED)


def platform_of(sample: Sample, wished: str | None) -> str:
    """Raises ReplayError for an event that no platform recognises."""
    if wished is not None:
        return wished
    for name, module in PLATFORMS.items():
        if importlib.import_module(module).recognises(sample.event):
            return name
    raise ReplayError(
        f"{sample.name}: not an event of {', '.join(PLATFORMS)}; see events/README.md for their shapes, or say --platform"
    )


def replay(sample: Sample, wishes: Wishes) -> Iterator[Run]:
    """Run an event as often as wished, over one store. Raises ReplayError where it cannot be run at all."""
    platform = platform_of(sample, wishes.platform)
    store = _store(wishes)
    for number in range(1, wishes.times + 1):
        run = Run(sample=sample, number=number, platform=platform)
        mail = _Mail(run)
        options = _options(wishes, sample, store, mail)
        rehearse = importlib.import_module(PLATFORMS[platform]).rehearse
        try:
            with nullcontext() if wishes.live else routed(mail.to):
                run.told = rehearse(_function(wishes.function), sample.event, **options)
        except EventError as exc:
            run.told = {"raises": "EventError"}
            run.refused = exc
        except ConfigError as exc:
            raise ReplayError(f"{sample.name}: {exc}") from exc
        yield run


def _store(wishes: Wishes) -> Store | None:
    if wishes.store is not None:
        return open_store(wishes.store)
    return None if wishes.live else MemoryStore()


def _options(wishes: Wishes, sample: Sample, store: Store | None, mail: _Mail) -> Options:
    options: Options = {"observer": mail, "random": random.Random(0)}  # noqa: S311 - the same each time is the point
    if store is not None:
        options["store"] = store
    if not wishes.live:
        queue = declaration(_function(wishes.function)).queue
        options["dead_letter"] = mail.box(f"{queue.name}-dead-letter")
        options["queue"] = mail.box(queue.name)
    if wishes.deadline is not None:
        options["lock"] = wishes.deadline
    unwrap = _unwrap(wishes, sample)
    if unwrap is not None:
        options["unwrap"] = unwrap
    return options


def _unwrap(wishes: Wishes, sample: Sample) -> Unwrap | None:
    """The envelope to open, and what `--attempt` pretends."""
    bound = binding_of(wishes.function)
    opened = wishes.unwrap or _expected_unwrap(sample) or unwrap_of(bound.options.get("unwrap") if bound else None)
    attempt = wishes.attempt
    if attempt is None:
        return opened

    def pretend(message: Message) -> Message:
        trail = replace(message.lineage, attempts=attempt - 1)
        aged = replace(message, trail=trail, attempt=attempt)
        return opened(aged) if opened else aged

    return pretend


def _expected_unwrap(sample: Sample) -> Unwrap | None:
    names = (sample.expected or {}).get("unwrap")
    if not isinstance(names, str):
        return None
    try:
        return envelopes.named(names)
    except ConfigError as exc:
        raise ReplayError(f"{sample.name}{EXPECTED}, unwrap: {exc}") from None


class _Mail:
    """Remembers what an event came to: as its observer, and as every queue that something is sent to."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def running(self, _: Message, /) -> None:
        return None

    def settled(self, platform: str, settled: Sequence[Settled], /) -> None:
        del platform
        for one in settled:
            outcome = one.outcome
            delay = None if outcome.delay is None else round(outcome.delay.total_seconds(), 3)
            self.run.outcomes.append(
                {
                    "message_id": one.message.id,
                    "attempt": outcome.attempt,
                    "disposition": outcome.disposition.value,
                    "reason": outcome.reason.value,
                    **({} if delay is None else {"delay_s": delay}),
                }
            )
            self.run.durations.append(one.duration * 1000)
            self.run.details.append(outcome.detail)
            self.run.errors.append(outcome.error)

    def to(self, queue: Queue) -> _Box:
        return self.box(queue.name)

    def box(self, name: str) -> _Box:
        return _Box(self.run, name)


class _Box:
    """A queue that records."""

    def __init__(self, run: Run, name: str) -> None:
        self.run = run
        self.name = name

    def send(self, parcels: Sequence[Parcel], /) -> Sequence[SendError | None]:
        for parcel in parcels:
            sent: dict[str, Any] = {"to": self.name, "id": parcel.trail.id}
            if parcel.letter:
                sent["reason"] = parcel.attributes.get(REASON)
            if parcel.delay:
                sent["delay_s"] = round(parcel.delay.total_seconds(), 3)
            insort(self.run.sent, sent, key=lambda one: str(one["to"]))  # queues are sent to side by side
        return [None] * len(parcels)


def difference(run: Run) -> list[str]:
    """How a run differs from what is expected, as a diff; empty if it does not."""
    if run.sample.expected is None:
        return [f"no expected results: write {run.sample.name.rpartition('/')[2]}{EXPECTED}, or let --accept write it"]
    wanted, got = _lines(run.sample.expected), _lines(run.facts())
    return list(difflib.unified_diff(wanted, got, "expected", "replayed", lineterm="", n=2))


def _lines(facts: Mapping[str, Any]) -> list[str]:
    return json.dumps(facts, indent=2, ensure_ascii=False, sort_keys=True).splitlines()


def accept(run: Run) -> None:
    """Write what happened as what is expected."""
    if run.sample.path is not None:
        text = json.dumps(run.facts(), indent=2, ensure_ascii=False)
        expected_path(run.sample.path).write_text(text + "\n", encoding="utf-8")

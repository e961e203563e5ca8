"""Screens of `peeklock dev`: a live table on a terminal, a line for each settlement elsewhere, or JSON."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from peeklock.cli.escaping import escaped
from peeklock.cli.table import WHOLE, Table
from peeklock.dev.runner import Screen
from peeklock.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import RenderableType

MOST_SHOWN = 1e12

STYLES = {"complete": "green", "abandon": "yellow", "dead_letter": "red"}


class Lines:
    """Prints lines, for a pipe or a file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._table = Table(
            platform=10, queue=20, message=38, attempt=7, outcome=11, reason=11, delay=9, time=10, detail=0
        )

    def event(self, kind: str, fields: Mapping[str, Any]) -> None:
        if kind == "settled":
            with self._lock:
                self._table.row(*_cells(fields), colour=str(fields.get("disposition")))
                sys.stdout.flush()

    def line(self, platform: str, text: str) -> None:
        self.say(f"{platform} | {text}")

    def addresses(self, platforms: Mapping[str, Mapping[str, str]]) -> None:
        for line in _exports(platforms):
            self.say(line)

    def ready(self, seconds: float, next_step: str) -> None:
        self.say(_ready(seconds, next_step))

    def say(self, text: str) -> None:
        with self._lock:
            self._table.line(text)
            sys.stdout.flush()

    def close(self) -> None:
        return


class Json:
    """Prints one JSON object a line, for a machine."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def event(self, kind: str, fields: Mapping[str, Any]) -> None:
        self._print({kind: dict(fields)})

    def addresses(self, platforms: Mapping[str, Mapping[str, str]]) -> None:
        self._print({"addresses": {platform: dict(variables) for platform, variables in platforms.items()}})

    def line(self, platform: str, text: str) -> None:
        self._print({"line": {"platform": platform, "text": text}})

    def ready(self, seconds: float, next_step: str) -> None:
        self._print({"ready": {"after_s": round(seconds, 3), "next_step": next_step}})

    def say(self, text: str) -> None:
        self._print({"say": text})

    def _print(self, line: object) -> None:
        with self._lock:
            sys.stdout.write(json.dumps(line, ensure_ascii=True) + "\n")
            sys.stdout.flush()

    def close(self) -> None:
        return


class Live:
    """Shows a row for each message, which changes with its deliveries, for a person at a terminal; all other lines scroll by above."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live as Display

        self._lock = threading.Lock()
        self._rows: OrderedDict[tuple[str, str, str], dict[str, Any]] = OrderedDict()
        self._counts: Counter[str] = Counter()
        self._console = Console()
        self._display = Display(console=self._console, get_renderable=self._render, refresh_per_second=8)
        self._display.start()

    def event(self, kind: str, fields: Mapping[str, Any]) -> None:
        key = (str(fields.get("platform")), str(fields.get("queue")), str(fields.get("message_id")))
        with self._lock:
            row = self._rows.setdefault(key, {})
            if kind == "settled":
                self._counts[str(fields.get("reason"))] += 1
                row.update(
                    {"delay_s": None, "detail": "", "dead_letter_queue": "", **fields, "since": time.monotonic()}
                )
            else:
                row.update({**fields, "disposition": "", "reason": "running", "since": time.monotonic()})
            self._rows.move_to_end(key)
            while len(self._rows) > max(self._console.size.height - 8, 5):
                self._rows.popitem(last=False)

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table as Columns
        from rich.text import Text

        columns = Columns(box=None, pad_edge=False, expand=True)
        for name in ("platform", "queue", "message", "attempt", "outcome", "reason", "delay", "time", "detail"):
            whole = name in WHOLE
            columns.add_column(name, no_wrap=not whole, overflow="fold" if whole else "ellipsis")
        with self._lock:
            for row in self._rows.values():
                style = STYLES.get(str(row.get("disposition")), "cyan")
                columns.add_row(*(Text(escaped(str(cell)), style) for cell in _cells(row)))
            counted = ", ".join(f"{count} {reason}" for reason, count in self._counts.most_common())
        return Group(columns, Text(f"{counted or 'no message yet'}   Ctrl-C stops", "dim"))

    def line(self, platform: str, text: str) -> None:
        from rich.text import Text

        self._console.print(Text(f"{platform} | {escaped(text)}", "dim"), soft_wrap=True)

    def addresses(self, platforms: Mapping[str, Mapping[str, str]]) -> None:
        for line in _exports(platforms):
            self.say(line)

    def ready(self, seconds: float, next_step: str) -> None:
        self.say(_ready(seconds, next_step))

    def say(self, text: str) -> None:
        from rich.text import Text

        self._console.print(Text(escaped(text)), soft_wrap=True)

    def close(self) -> None:
        self._display.stop()


def _ready(seconds: float, next_step: str) -> str:
    return f"\nready after {seconds:.1f} s. {next_step}\n"


def _exports(platforms: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Yield a block of `export` lines for each platform."""
    apart = ", in a shell of its own: the platforms' variables have the same names" if len(platforms) > 1 else ""
    for platform, variables in platforms.items():
        yield f"\n{platform}: paste this where a client runs{apart}"
        for name, value in variables.items():
            yield f"  export {name}='{value}'"


def _cells(fields: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        fields.get("platform", ""),
        fields.get("queue", ""),
        fields.get("message_id", ""),
        fields.get("attempt", ""),
        fields.get("disposition", ""),
        fields.get("reason", ""),
        _amount(fields.get("delay_s"), "g", "s"),
        _amount(fields.get("duration_ms"), ".1f", "ms"),
        _detail(fields),
    )


def _detail(fields: Mapping[str, Any]) -> str:
    """Return the detail of a settlement, and the queue that has its dead letter."""
    queue = fields.get("dead_letter_queue")
    return "; ".join(filter(None, [str(fields.get("detail", "")), f"dead letter in {queue}" if queue else ""]))


def _amount(value: object, form: str, unit: str) -> str:
    """Return a number with its unit; empty for anything else, since other processes may write to the socket that it comes from."""
    return f"{value:{form}} {unit}" if isinstance(value, int | float) and abs(value) < MOST_SHOWN else ""


def screen(*, as_json: bool) -> Screen:
    """Return the screen that suits standard output. Raises ConfigError where rich is missing."""
    if as_json:
        return Json()
    if not sys.stdout.isatty():
        return Lines()
    try:
        return Live()
    except ImportError as exc:
        raise ConfigError(
            f"the live table needs {exc.name}: pip install 'peeklock[dev]', or say --json, or pipe it into cat"
        ) from exc

"""What is said of a program that runs on this machine, as lines."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cloudqueues.pulumi.engine import Step
from cloudqueues.pulumi.environment import GUARDS
from peeklock.dev.deployed.local_context import Function
from peeklock.redaction import shown

MEANING = {
    "applied": "made in an emulator",
    "recorded": "checked against the SDK's types, and only remembered",
    "refused": "unknown here: the program is not applied",
}


def types(known: Mapping[str, str]) -> Iterator[str]:
    """A table: what became of each type that the program asks for."""
    for how, meaning in MEANING.items():
        if those := [type_ for type_, became in known.items() if became == how]:
            yield f"\n{how} ({meaning})"
            yield from (f"  {one}" for one in those)


def steps(done: Sequence[Step]) -> Iterator[str]:
    """What `pulumi up` did: each change, but what is new is only counted."""
    counts = Counter(one.op for one in done)
    yield "\npulumi up: " + (", ".join(f"{count} {op}" for op, count in sorted(counts.items())) or "nothing to change")
    for one in done:
        if one.op != "create":
            yield f"  {one.op} {one.name} ({one.type})" + (f": {', '.join(one.changed)}" if one.changed else "")


def failure(output: str, folder: Path) -> str:
    """Return what went wrong, from all that `pulumi up` printed: place and problem of the program's own code, and each error of
    a resource; everything where it names none."""
    return "\n".join(_error(resource, text, folder) for resource, text in _errors(output)) or output


def _errors(output: str) -> Iterator[tuple[str, str]]:
    """Resources and their errors, from the section "Diagnostics", in which each has a heading of its own."""
    _, _, after = output.partition("\nDiagnostics:\n")
    section = re.split(r"\n(?=\S)", after)[0]
    for block in re.split(r"^(?=  \S)", section, flags=re.MULTILINE):
        resource, _, messages = block.partition(":\n")
        for message in re.split(r"^    (?=(?:error|warning|info): )", messages, flags=re.MULTILINE):
            if message.startswith("error: "):
                yield resource.strip(), textwrap.dedent(f"    {message.removeprefix('error: ')}").strip()


def _error(resource: str, text: str, folder: Path) -> str:
    if "Traceback (most recent call last):" not in text:
        return f"{resource}: {text}"
    own = [place for place in _PLACE.finditer(text) if Path(place["file"]).is_relative_to(folder)]
    where = f"{Path(own[-1]['file']).relative_to(folder.parent)}, line {own[-1]['line']}: " if own else ""
    lines = text.splitlines()
    problem = max(n for n, line in enumerate(lines) if line and not line.startswith(" "))
    return where + "\n".join(lines[problem:])


_PLACE = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')


def function(one: Function) -> Iterator[str]:
    """As the program made it, and what is said to it instead on this machine."""
    yield f"\nfunction {one.name}: {one.entry}" + ("" if one.consuming else " (consuming off: it gets no messages)")
    yield f"  timeout {one.timeout:g} s, batch {one.batch}, at once {one.concurrency}"
    if kept := sorted(set(one.environment) - set(one.changed) - GUARDS):
        yield f"  as the program says: {', '.join(kept)}"
    for address, here in sorted(one.reached.items()):
        yield f"  {address} is {here} here"
    for name, value in sorted(one.changed.items()):
        before = one.environment.get(name)
        yield f"  {name}={value}  " + ("(only here)" if before is None else f"(here, instead of {shown(before)})")
    for name in sorted(GUARDS & set(one.environment)):
        yield f"  {name}: the program's is not taken here: it would lead away from this machine"


def environment(outputs: Mapping[str, Any]) -> dict[str, str]:
    """The output `environment` of a program: where its queues are."""
    given = outputs.get("environment")
    return {str(name): str(value) for name, value in given.items()} if isinstance(given, Mapping) else {}

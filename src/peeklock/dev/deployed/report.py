"""Lines about a program that runs on this machine."""

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

TRACEBACK = "Traceback (most recent call last):"


def types(outcomes: Mapping[str, str], *, failed: bool) -> Iterator[str]:
    """Yield a table of the resource types that the program uses, by what became of them. Of an `up` that failed only the
    refused types are shown: the others may not have been reached."""
    for outcome, meaning in MEANING.items():
        names = [type_ for type_, became in outcomes.items() if became == outcome]
        if names and (outcome == "refused" or not failed):
            yield f"\n{outcome} ({meaning})"
            yield from (f"  {name}" for name in names)


def steps(done: Sequence[Step]) -> Iterator[str]:
    """Yield the changes of a `pulumi up`; created resources are only counted."""
    counts = Counter(step.op for step in done)
    yield "\npulumi up: " + (", ".join(f"{count} {op}" for op, count in sorted(counts.items())) or "nothing to change")
    for step in done:
        if step.op != "create":
            yield f"  {step.op} {step.name} ({step.type})" + (f": {', '.join(step.changed)}" if step.changed else "")


def failure(output: str, folder: Path, root: Path) -> str:
    """Return the problems in the output of a failed `pulumi up`: each error of a resource, and place and problem of an
    exception in code of the program or the project, relative to the project; all of the output where it names no error."""
    folders = (folder, root)
    return "\n".join(_error(resource, text, folders, root) for resource, text in _errors(output)) or output


def messages(output: str) -> Iterator[str]:
    """Yield what the program said in a `pulumi up` that succeeded, under the resource that it is about: `pulumi.log`, and what
    it printed."""
    if lines := _diagnostics(output).rstrip().splitlines():
        yield "\nsaid by the program"
        yield from lines


def _diagnostics(output: str) -> str:
    """Return the section "Diagnostics", in which each resource has a heading of its own; empty where there is none."""
    _, _, after = output.partition("\nDiagnostics:\n")
    return re.split(r"\n(?=\S)", after)[0]


def _errors(output: str) -> Iterator[tuple[str, str]]:
    """Yield resources and their errors."""
    for block in re.split(r"^(?=  \S)", _diagnostics(output), flags=re.MULTILINE):
        resource, _, texts = block.partition(":\n")
        for text in re.split(r"^    (?=(?:error|warning|info): )", texts, flags=re.MULTILINE):
            if text.startswith("error: "):
                yield resource.strip(), textwrap.dedent(f"    {text.removeprefix('error: ')}").strip()


def _error(resource: str, text: str, folders: Sequence[Path], root: Path) -> str:
    before, _, trace = text.rpartition(TRACEBACK)
    if not (before or trace) or TRACEBACK not in text:
        return f"{resource}: {text}"
    places = list(_PLACE.finditer(trace))
    own = [place for place in places if _is_own(Path(place["file"]), folders)]
    where = f"{_relative(Path(own[-1]['file']), folders, root)}, line {own[-1]['line']}: " if own else ""
    return where + _problem(trace[places[-1].end() :].partition("\n")[2] if places else trace)


def _problem(text: str) -> str:
    """Return the exception below the last place of a traceback, up to the next blank line or text that is not part of it: what
    the program printed may follow, and may be a secret."""
    lines = text.splitlines()
    start = next((n for n, line in enumerate(lines) if line and not line.startswith((" ", "^"))), 0)
    end = next((n for n, line in enumerate(lines[start:], start) if not line.strip()), len(lines))
    return "\n".join(lines[start:end]) or text.strip()


def _is_own(file: Path, folders: Sequence[Path]) -> bool:
    return "site-packages" not in file.parts and any(file.is_relative_to(folder) for folder in folders)


def _relative(file: Path, folders: Sequence[Path], root: Path) -> Path:
    base = root if file.is_relative_to(root) else folders[0].parent
    return file.relative_to(base)


_PLACE = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')


def function(deployed: Function) -> Iterator[str]:
    """Yield a function as the program made it, and the values that replace the program's on this machine."""
    yield f"\nfunction {deployed.name}: {deployed.entry}" + (
        "" if deployed.consuming else " (consuming off: it gets no messages)"
    )
    yield f"  timeout {deployed.timeout:g} s, batch {deployed.batch}, at once {deployed.concurrency}"
    if kept := sorted(set(deployed.environment) - set(deployed.changed) - GUARDS):
        yield f"  as the program says: {', '.join(kept)}"
    for address, local in sorted(deployed.reached.items()):
        yield f"  {address} is {local} here"
    for name, value in sorted(deployed.changed.items()):
        before = deployed.environment.get(name)
        yield f"  {name}={value}  " + ("(only here)" if before is None else f"(here, instead of {shown(before)})")
    for name in sorted(GUARDS & set(deployed.environment)):
        yield f"  {name}: the program's is not taken here: it would lead away from this machine"


def environment(outputs: Mapping[str, Any]) -> dict[str, str]:
    """Return the program's output `environment`, which has the addresses of its queues."""
    variables = outputs.get("environment")
    return {str(name): str(value) for name, value in variables.items()} if isinstance(variables, Mapping) else {}

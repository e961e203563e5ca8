"""What is said of a program that runs on this machine, as lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from peeklock.dev.deployed.place import Function
from peeklock.emulators.pulumi.engine import Step
from peeklock.emulators.pulumi.environment import GUARDS
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

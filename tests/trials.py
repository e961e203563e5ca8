"""The table of what broke when the product was tried as a new user would, and of the tests that hold each line since.

A test names its line at the end of its docstring: "(trials 1.14)". `python -m tests.trials` writes tests/TRIALS.md.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.support import ROOT

PAGE = ROOT / "tests" / "TRIALS.md"

LINES = {
    "1.1": "dead letters that could never be published, for size or form",
    "1.2": "envelopes in envelopes; keys of S3 objects; S3's test event",
    "1.3": "Pub/Sub without its wrapper; empty data",
    "1.4": "a copy that is not the message: types and system properties lost",
    "1.5": "an age that restarted with each copy",
    "1.6": "keys that could not be: UUID, Decimal, date, Enum",
    "1.7": "exceptions: whose text raises, in groups, that end a generator",
    "1.8": "check_body took numbers as floats and repeated names for one",
    "1.9": "fetching while decoding made a message invalid",
    "1.10": "crashes were no attempts, and left no detail",
    "1.11": "batch handlers that answer with other ids",
    "1.12": "unknown keywords were ignored",
    "1.13": "observers decided over messages",
    "1.14": "hung handlers poisoned the process",
    "1.15": "event limits overrun, by whatever hangs",
    "1.16": "polling looked like failure; a delay that was not kept was logged",
    "1.17": "exhausted without a run, where there is no store",
    "1.18": "context variables leaked to the next message",
    "1.19": "a remembered task name queued nothing, in silence; NaN in models",
    "1.20": "the first import of an SDK counted as the handler's time",
    "1.21": "unrelated messages completed as duplicates",
    "1.22": "a handler that never got a thread was called later",
    "1.23": "a copy whose headers no server takes",
    "1.24": "a slot that is gone stopped the event",
    "1.25": "expiry was judged before the key was known",
    "1.26": "spans that swallow; late successes; a delay that was forgotten",
    "1.27": "halted suspects; links over forks; addresses; clocks far ahead",
    "2.1": "push bindings were open by default",
    "2.2": "secrets in errors",
    "2.3": "credentials in copies and dead letters",
    "2.4": "names of the body in paths; files that everybody may read",
    "2.5": "OIDC: fetches under a lock, no memory of failures, no skew",
    "2.6": "log values that forge fields; escape sequences; datagrams",
    "2.7": "bundles followed links out of the project",
    "3.1": "replay knew one handler, cut ids, and did not say why",
    "3.3": "dev: restarts for any file, tracebacks without their end, sends across clouds that went nowhere",
    "3.4": "deliver took sends that the queue refuses; a FIFO queue without a group",
    "3.5": "a TypedDict that Python 3.11 cannot read was refused with the advice to use it",
    "3.8": "a test that failed on a busy machine",
    "5.21": "dev --infra: 80 lines for one error; a stack without a file",
    "3.2": "peeklock dev without Azure's worker: tracebacks, and nothing ran",
    "3.7": "a lock without a package that the code imports",
    "5.17": "bundles with secrets that git ignores, databases, node_modules",
    "5.18": "bundles of code that cannot start",
    "5.19": "a forgotten all(); handlers that are none, or another queue's",
    "5.20": "--skip-preview took the consumer from a protected stack",
    "6": "planted faults that no test noticed",
}
"""Faults that the trials found, by number."""

_MARK = re.compile(r"\(trials ([\d., ]+)\)")


def marks() -> Iterator[tuple[str, str]]:
    """Each number that a docstring names, with the test's id."""
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        name = file.relative_to(ROOT / "tests").as_posix()
        yield from _marks(ast.parse(file.read_text()), name)


def _marks(parent: ast.AST, name: str) -> Iterator[tuple[str, str]]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            test_id = f"{name}::{node.name}"
            for match in _MARK.finditer(ast.get_docstring(node) or ""):
                for number in match[1].split(","):
                    yield number.strip(" ."), test_id
            yield from _marks(node, test_id)


def page() -> str:
    """The table as Markdown."""
    tests: dict[str, list[str]] = {}
    for number, test in marks():
        tests.setdefault(number, []).append(f"`{test}`")
    rows = [f"| {number} | {line} | {'<br>'.join(tests.get(number, ()))} |" for number, line in LINES.items()]
    head = "# What the trials broke, and the tests that hold it\n\nMade by `python -m tests.trials`.\n"
    return "\n".join([head, "| | what was wrong | tests |", "|---|---|---|", *rows, ""])


if __name__ == "__main__":
    PAGE.write_text(page())

"""The rules of the house that a machine can check."""

from __future__ import annotations

import ast
import importlib
import itertools
import json
import re
import statistics
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

import peeklock
from peeklock.platform_registry import PLATFORMS, load_target
from tests.support import ROOT

SOURCE = ROOT / "src"
FILES = sorted(SOURCE.rglob("*.py"))

LOADED = "import sys; before = set(sys.modules); import {module}; import json; print(json.dumps(sorted(set(sys.modules) - before)))"

SDKS = {
    "boto3",
    "botocore",
    "azure",
    "google",
    "grpc",
    "flask",
    "starlette",
    "functions_framework",
    "aws_lambda_powertools",
    "pydantic",
    "redis",
    "kafka",
    "requests",
}


def loaded_by(module: str) -> set[str]:
    """Modules that an import adds to a bare interpreter."""
    run = subprocess.run(
        [sys.executable, "-c", LOADED.format(module=module)], capture_output=True, text=True, check=True
    )
    return set(json.loads(run.stdout))


def test_the_core_is_the_standard_library():
    """`import peeklock` loads nothing else, and neither asyncio nor a data base of metadata."""
    modules = loaded_by("peeklock")
    tops = {name.partition(".")[0] for name in modules}
    assert tops - set(sys.stdlib_module_names) == {"peeklock"}
    assert not modules & {"asyncio", "importlib.metadata", "sqlite3", "http.client", "concurrent.futures"}


@pytest.mark.parametrize(
    "platform",
    [
        *(f"platforms.{name}.bind" for name in PLATFORMS),
        "stores.sqlite",
        "stores.memory",
        "stores.tables",
        "stores.firestore",
        "sending.file",
        "observability.powertools",
        "testing",
        "replay",
    ],
)
def test_a_platform_loads_no_sdk_until_it_is_used(platform):
    """Neither its own nor another's."""
    tops = {name.partition(".")[0] for name in loaded_by(f"peeklock.{platform}")}
    assert not tops & SDKS


def test_the_public_names():
    """Sorted, and each of them there."""
    assert list(peeklock.__all__) == sorted(peeklock.__all__)
    assert all(hasattr(peeklock, name) for name in peeklock.__all__)


@cache
def nodes(file: Path) -> tuple[ast.AST, ...]:
    """Return the nodes of a file's syntax tree, its module first."""
    return tuple(ast.walk(ast.parse(file.read_text())))


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef, list[str]]]:
    for file in FILES:
        lines = file.read_text().splitlines()
        for node in nodes(file):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield f"{file.relative_to(SOURCE)}:{node.name}", node, lines


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]) -> int:
    """Lines that are neither blank, comment nor docstring."""
    body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
    inside = lines[body[0].lineno - 1 : node.end_lineno]
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in inside)


def test_functions_are_short():
    """The middle one has at most 8 lines of body, nine of ten are under 20, none has over 40."""
    sizes = {name: code_lines(node, lines) for name, node, lines in functions()}
    ordered = sorted(sizes.values())
    assert [name for name, size in sizes.items() if size > 40] == []
    assert statistics.median(ordered) <= 8
    assert ordered[int(len(ordered) * 0.9)] < 20


def test_files_are_short():
    """Under 250 lines of code: what is longer is two things."""
    sizes = {
        str(file.relative_to(SOURCE)): sum(bool(line.strip()) for line in file.read_text().splitlines())
        for file in FILES
    }
    assert {name: size for name, size in sizes.items() if size >= 275} == {}


def test_the_words_of_the_house():
    """One word for one idea; these mean different things elsewhere."""
    banned = re.compile(r"\b(nack|retries|park|ack)\b")
    misnamed = [f"{name} {node.name}" for name, node, _ in functions() if banned.search(node.name)]
    for file in FILES:
        for node in nodes(file):
            if isinstance(node, (ast.Name, ast.arg)):
                word = node.id if isinstance(node, ast.Name) else node.arg
                misnamed += [f"{file.name}: {word}"] if banned.fullmatch(word) else []
    assert misnamed == []


def test_doubles_are_classes_and_not_patches():
    """Fewer than three patches for a hundred asserts."""
    text = "\n".join(file.read_text() for file in (ROOT / "tests").rglob("*.py") if file.name != "test_architecture.py")
    patches = len(re.findall(r"monkeypatch\.|\bpatch\(|\bMock\(", text))
    asserts = len(re.findall(r"^\s*assert |pytest\.raises", text, re.MULTILINE))
    assert patches * 100 < asserts * 3


def test_the_readme_is_short_and_shows_the_commands():
    """Under 150 lines, with both commands on its first screen."""
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) < 150
    first = "\n".join(lines[:60])
    for command in ("make replay", "make test", "sqs.bind", "servicebus.bind", "cloudtasks.bind"):
        assert command in first


def test_nothing_is_left_to_do():
    """No note to oneself in what is called done."""
    note = re.compile("TO" + "DO|FIX" + "ME|XX" + "X")
    files = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
    texts = [name for name in files if name.endswith((".py", ".md", ".toml")) or name == "Makefile"]
    assert [name for name in texts if (ROOT / name).is_file() and note.search((ROOT / name).read_text())] == []


def test_entry_files_are_thin():
    """At most 25 lines: all else is the consumer's or the library's."""
    entries = [
        ROOT / "handlers" / name
        for name in (
            "aws_sqs/handler.py",
            "azure_servicebus/function_app.py",
            "gcp_cloudtasks/main.py",
            "gcp_pubsub/main.py",
        )
    ]
    assert {
        file.name: len(file.read_text().splitlines()) for file in entries if len(file.read_text().splitlines()) > 25
    } == {}


Nodes = Iterable[ast.AST]


def modules() -> dict[str, Nodes]:
    """The nodes of each module, by its dotted name."""
    names = {file: ".".join(file.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__") for file in FILES}
    return {name: nodes(file) for file, name in names.items()}


def imports(nodes_of_module: Nodes, members: Collection[str]) -> set[str]:
    """The modules of this tree that a module imports anywhere, also for its types alone."""
    named = set()
    for node in nodes_of_module:
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            named |= (inner & members) or {node.module}
    return named & members


def check_circles(trees: Mapping[str, Nodes]) -> None:
    """Raise CycleError, with the circle, for modules that import each other, be it for their types alone."""
    graph = {
        name: imports(tree, trees.keys()) - {name, "peeklock"} for name, tree in trees.items() if name != "peeklock"
    }
    TopologicalSorter(graph).prepare()  # but for `peeklock`, whose lazy names lead everywhere


def test_there_are_no_import_circles():
    """In both packages."""
    trees = modules()
    assert {"peeklock.engine.run", "cloudqueues.servicebus.amqp.session"} <= trees.keys()
    check_circles(trees)


def test_a_circle_for_types_alone_is_noticed():
    """And one through an import inside a function."""
    sources = {
        "a.b": "if TYPE_CHECKING:\n    from a.c import C\n",
        "a.c": "def late() -> None:\n    from a import b\n",
    }
    with pytest.raises(CycleError):
        check_circles({name: ast.walk(ast.parse(source)) for name, source in sources.items()})


def docstrings(nodes_of_module: Nodes) -> Iterator[str]:
    """Yield those of modules, classes and functions, and the strings below constants and fields."""
    for node in nodes_of_module:
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield ast.get_docstring(node) or ""
        for before, after in (
            itertools.pairwise(getattr(node, "body", None) or ())
            if isinstance(node, (ast.Module, ast.ClassDef))
            else ()
        ):
            if isinstance(before, (ast.Assign, ast.AnnAssign)) and isinstance(after, ast.Expr):
                yield str(getattr(after.value, "value", ""))


RIDDLES = re.compile(r"(Of|As|Its|By|What|Whether)\b")
EMPTY_NAMES = {"told", "found", "given", "made", "known", "one", "ones", "others", "here"}


def empty_names(nodes_of_module: Nodes) -> Iterator[int]:
    """Lines on which a variable or a parameter has a name that says nothing."""
    for node in nodes_of_module:
        if (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in EMPTY_NAMES) or (
            isinstance(node, ast.arg) and node.arg in EMPTY_NAMES
        ):
            yield node.lineno


def test_docstrings_begin_with_a_verb_or_a_noun():
    """Each can be read without its neighbour."""
    assert [
        f"{name}: {text[:60]}" for name, tree in modules().items() for text in docstrings(tree) if RIDDLES.match(text)
    ] == []


def test_variables_say_what_they_hold():
    """`store_url` and not `given`."""
    assert [f"{name}:{line}" for name, tree in modules().items() for line in empty_names(tree)] == []


def test_names_and_docstrings_of_tests():
    """The same two rules hold in tests."""
    tests = ROOT / "tests"
    files = sorted(tests.rglob("*.py"))
    assert {"core", "emulators", "infra", "test_architecture.py"} <= {
        path.relative_to(tests).parts[0] for path in files
    }
    assert [f"{path}:{line}" for path in files for line in empty_names(nodes(path))] == []
    assert [f"{path}: {text[:60]}" for path in files for text in docstrings(nodes(path)) if RIDDLES.match(text)] == []


def test_no_value_is_compared_with_itself():
    """Such a comparison asserts nothing; calls are compared with themselves to see that they answer the same."""
    same = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in (ROOT / "tests").rglob("*.py")
        for node in nodes(path)
        if isinstance(node, ast.Compare)
        for left, right in pairwise([node.left, *node.comparators])
        if not isinstance(left, (ast.Call, ast.Constant)) and ast.dump(left) == ast.dump(right)
    ]
    assert same == []


def test_the_map_is_true():
    """Each path in ARCHITECTURE.md is there, and each package is on it."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    assert len(text.splitlines()) < 200
    assert [
        path
        for path in re.findall(r"`((?:src|tests|docs|infra|benchmarks)[\w/.]*)`", text)
        if not (ROOT / path).exists()
    ] == []
    picture = text.partition("```mermaid")[2].partition("```")[0]
    packages = {path.parent.name for path in (SOURCE / "peeklock").glob("*/__init__.py")}
    assert {name for name in packages if not re.search(rf"\b{name}\b", picture)} == set()


def test_every_platform_is_whole():
    """Each entry of the registry has its module, its sample events, its name in `peeklock`, and all that it names by texts."""
    for name, platform in PLATFORMS.items():
        module = importlib.import_module(platform.module)
        assert {"bind", "matches", "run_sample", "source_of", "SHAPE", "SOURCE"} <= set(dir(module))
        assert getattr(peeklock, name) is module
        assert list((ROOT / "events" / name).glob("*.json"))
        for target in (platform.span, *platform.senders.values()):
            assert callable(load_target(target))
        if platform.dev:
            assert load_target(platform.dev.runner).platform == name
            assert callable(load_target(platform.dev.describe))


WALK = """
import json, sys, threading
from peeklock import Queue, consumer, sqs

@consumer(Queue("orders"), key="order_id")
def charge(order: dict) -> None: ...

handler = sqs.bind(charge, store="memory://records", dead_letter="memory://dead")
packages = set()

def note(frame, event, argument):
    path = frame.f_code.co_filename.rpartition("/peeklock/")[2]
    if event == "call" and counting and path != frame.f_code.co_filename:
        packages.add(path.partition("/")[0] if "/" in path else "values")

threading.setprofile(note)
sys.setprofile(note)
for counting in (False, True):  # the first event pays for a cold start
    body = json.dumps({"order_id": f"o-{counting}"})
    record = {"messageId": body, "body": body, "attributes": {"ApproximateReceiveCount": "1"}, "eventSource": "aws:sqs"}
    assert handler({"Records": [record]}) == {"batchItemFailures": []}
sys.setprofile(None)
print(json.dumps(sorted(packages)))
"""


def test_a_message_crosses_few_packages():
    """From SQS's event to its answer, with a store."""
    ran = subprocess.run([sys.executable, "-c", WALK], capture_output=True, text=True, check=True)
    packages = json.loads(ran.stdout)
    assert {"platforms", "engine", "idempotency", "stores"} <= set(packages)
    assert len(packages) <= 10, packages

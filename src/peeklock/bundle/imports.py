"""Whether what a project's modules import is there where the bundle runs: in it, or in the platform's Python."""

from __future__ import annotations

import ast
import io
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from peeklock.bundle.code import Module, module_name, version_of
from peeklock.bundle.contents import Entries
from peeklock.bundle.targets import Target

REMOVED = {
    (3, 12): {"asynchat", "asyncore", "distutils", "imp", "smtpd"},
    (3, 13): {
        *(
            "aifc",
            "audioop",
            "cgi",
            "cgitb",
            "chunk",
            "crypt",
            "imghdr",
            "lib2to3",
            "mailcap",
            "msilib",
            "nis",
            "nntplib",
        ),
        *("ossaudiodev", "pipes", "sndhdr", "spwd", "sunau", "telnetlib", "uu", "xdrlib"),
    },
}
"""Modules of the standard library by the Python that has them no more.
https://docs.python.org/3/whatsnew/3.12.html#removed, https://docs.python.org/3/whatsnew/3.13.html#whatsnew313-pep594"""

ADDED = {(3, 14): {"annotationlib", "compression"}}
"""https://docs.python.org/3/whatsnew/3.14.html#new-modules"""

WINDOWS = {"_winapi", "msilib", "msvcrt", "nt", "winreg", "winsound"}
"""https://docs.python.org/3/library/windows.html"""

_MODULE = re.compile(r".*\.(py|so)")
_INSTALLED = re.compile(r"[^/]+\.data/(purelib|platlib)/")
# https://packaging.python.org/specifications/binary-distribution-format/#the-data-directory

_MAY_FAIL = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
_ELSEWHERE = {"TYPE_CHECKING", "version_info", "platform", "__name__"}
"""Names in a condition that says where its imports run: not for certain at the target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """A module that some code needs, and the names that it takes from it."""

    line: int
    module: str
    names: tuple[str, ...] = ()
    problem: str = ""
    """What is wrong with it, wherever it leads."""


def problems(modules: Mapping[str, Module], entries: Entries, target: Target, lock: str) -> list[str]:
    """A sentence for each import that would fail, with its file and line."""
    there = Importable(entries, target)
    return [
        f"{module.source}:{one.line}: {wrong}"
        for module in modules.values()
        for one in _needed(module, module.tree, there)
        if (wrong := one.problem or there.problem(one, lock))
    ]


class Importable:
    """What can be imported from a bundle on its platform."""

    def __init__(self, entries: Entries, target: Target) -> None:
        self._target = target
        self._standard = _standard_library(target)
        self._own: dict[str, bytes] = {}
        self._modules: set[str] = set()
        self._folders: set[str] = set()
        for path, entry in entries.items():
            if entry.source or entry.part == "peeklock":
                self._own[module_name(path)] = entry.data
            for inner in _laid_down(path, entry.data, target):
                self._modules.add(module_name(inner))
                self._folders |= {".".join(parent.parts) for parent in PurePosixPath(inner).parents}

    def problem(self, one: Import, lock: str) -> str | None:
        """What would fail at the import, and how to mend it; None where nothing would."""
        top = one.module.partition(".")[0]
        if top in self._standard:
            return None
        if top in sys.stdlib_module_names or any(top in names for names in REMOVED.values()):
            return f"Python {self._target.python} on {self._target.platform} has no module {top}; do without it"
        missing = self._missing(one)
        if missing is None or top in self._target.provided:
            return None
        if self._is_own(top):
            return (
                f"imports {missing}, which is not in the bundle: add it to sources, or to include where git ignores it"
            )
        return (
            f"imports {missing}, which is in no package of {lock}, not in sources, and not in Python"
            f" {self._target.python}: add its package to the lock, or its folder to sources"
        )

    def _missing(self, one: Import) -> str | None:
        """The first part of it that is nowhere."""
        parts = one.module.split(".")
        for length in range(1, len(parts) + 1):
            name = ".".join(parts[:length])
            if name in self._modules and name not in self._own:
                return None  # a package of somebody else may make modules of its own as it pleases
            if name not in self._modules and name not in self._folders:
                return name
        return next((f"{one.module}.{name}" for name in one.names if not self._has(one.module, name)), None)

    def _has(self, module: str, name: str) -> bool:
        """Whether a module of the project has a name. A word in its text is enough: it may come about in many ways."""
        inner = f"{module}.{name}"
        if inner in self._modules or inner in self._folders or name == "*":
            return True
        text = self._own.get(module, b"")
        return bool(re.search(rb"\b(%s|__getattr__|import \*)" % re.escape(name.encode()), text))

    def _is_own(self, top: str) -> bool:
        return any(f"{name}.".startswith(f"{top}.") for name in self._own)


def _standard_library(target: Target) -> set[str]:
    version = version_of(target)
    gone = (names for since, names in REMOVED.items() if since <= version)
    later = (names for since, names in ADDED.items() if since > version)
    return set(sys.stdlib_module_names).difference(WINDOWS, *gone, *later)


def _laid_down(path: str, data: bytes, target: Target) -> Iterator[str]:
    """The importable files that a file of the bundle is, or brings, by their paths from where Python looks for them."""
    if path.endswith(".whl"):
        with zipfile.ZipFile(io.BytesIO(data)) as wheel:
            names = wheel.namelist()
    else:
        names = [path.removeprefix(f"{target.packages}/") if target.packages else path]
    yield from (inner for name in names if _MODULE.fullmatch(inner := _INSTALLED.sub("", name, count=1)))


def _needed(module: Module, node: ast.AST, there: Importable) -> Iterator[Import]:
    """The imports that run for certain, or that somebody counts on when a function runs."""
    match node:
        case ast.Import():
            yield from (Import(line=node.lineno, module=one.name) for one in node.names)
        case ast.ImportFrom():
            yield _absolute(module, node)
        case ast.Try() if handlers := [one for one in node.handlers if _catches_a_failed_import(one)]:
            yield from _tried(module, node, handlers, there)
        case ast.With() if any("suppress" in (names := _names_in(one)) and names & _MAY_FAIL for one in node.items):
            return
        case ast.If() if _names_in(node.test) & _ELSEWHERE:
            if "TYPE_CHECKING" in _names_in(node.test):
                runs = node.body if isinstance(node.test, ast.UnaryOp) else node.orelse  # `not TYPE_CHECKING`
                yield from _of_all(module, runs, there)
        case _:
            yield from _of_all(module, list(ast.iter_child_nodes(node)), there)


def _of_all(module: Module, nodes: Sequence[ast.AST], there: Importable) -> Iterator[Import]:
    for node in nodes:
        yield from _needed(module, node, there)


def _tried(module: Module, node: ast.Try, handlers: Sequence[ast.ExceptHandler], there: Importable) -> Iterator[Import]:
    """Nothing of what may fail. What is imported instead is needed where it does fail, unless that may fail, too."""
    fails = any(one.problem or there.problem(one, "") for one in _of_all(module, node.body, there))
    others = [one for one in node.handlers if one not in handlers]
    instead = handlers if fails else []
    yield from _of_all(module, [*others, *instead, *node.orelse, *node.finalbody], there)


def _catches_a_failed_import(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or bool(_names_in(handler.type) & _MAY_FAIL)


def _names_in(node: ast.AST) -> set[str]:
    return {
        one.id if isinstance(one, ast.Name) else one.attr
        for one in ast.walk(node)
        if isinstance(one, ast.Name | ast.Attribute)
    }


def _absolute(module: Module, node: ast.ImportFrom) -> Import:
    """A `from ... import`, with the dots at its beginning resolved."""
    names = tuple(one.name for one in node.names)
    if not node.level:
        return Import(line=node.lineno, module=node.module or "", names=names)
    parts = module.package.split(".") if module.package else []
    if node.level > len(parts):
        return Import(
            line=node.lineno,
            module="",
            problem="a relative import that leads out of its package; import by the whole name, as from the bundle's root",
        )
    base = parts[: len(parts) - node.level + 1]
    return Import(line=node.lineno, module=".".join([*base, *filter(None, [node.module])]), names=names)

"""Finding imports of a project's modules that fail where the bundle runs: in neither the bundle nor the platform's Python."""

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
"""Modules of the standard library, by the Python that removed them.
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
"""Names in conditions on where code runs, whose imports may not run at the target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """A module that some code needs, and the names that it takes from it."""

    line: int
    module: str
    names: tuple[str, ...] = ()
    problem: str = ""
    """Reason why it fails wherever it leads; else empty."""


def problems(modules: Mapping[str, Module], entries: Entries, target: Target, lock: str) -> list[str]:
    """Return a sentence for each import that would fail, with its file and line, and for each module that hides one of
    Python's own."""
    importable = Importable(entries, target)
    failing = [
        f"{module.source}:{each.line}: {problem}"
        for module in modules.values()
        for each in _needed(module, module.tree, importable)
        if (problem := each.problem or importable.problem(each, lock))
    ]
    return [*_hiding(modules, target), *failing]


def _hiding(modules: Mapping[str, Module], target: Target) -> list[str]:
    """Return a sentence for each module at the bundle's root with the name of a module of Python: the bundle is searched
    first, so peeklock and the runtime would import it instead."""
    standard = _standard_library(target)
    return [
        f"{module.source}: it would hide Python's own module {name}, which peeklock, the runtime or a package may import;"
        " give it another name"
        for name, module in modules.items()
        if name in standard
    ]


class Importable:
    """The modules that can be imported from a bundle on its platform."""

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

    def problem(self, imported: Import, lock: str) -> str | None:
        """Return why an import would fail, and how to mend it; None where it would not."""
        top = imported.module.partition(".")[0]
        if top in self._standard:
            return None
        if top in sys.stdlib_module_names or any(top in names for names in REMOVED.values()):
            return f"Python {self._target.python} on {self._target.platform} has no module {top}; do without it"
        missing = self._missing(imported)
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

    def _missing(self, imported: Import) -> str | None:
        """Return the first part of an import that is nowhere."""
        parts = imported.module.split(".")
        for length in range(1, len(parts) + 1):
            name = ".".join(parts[:length])
            if name in self._modules and name not in self._own:
                return None  # a package of somebody else may make modules of its own as it pleases
            if name not in self._modules and name not in self._folders:
                return name
        return next(
            (f"{imported.module}.{name}" for name in imported.names if not self._has(imported.module, name)), None
        )

    def _has(self, module: str, name: str) -> bool:
        """Return whether a module of the project has a name. A word in its text is enough: it may be bound in many ways."""
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
    """Yield the importable files that a file of the bundle is, or contains, by their paths from where Python looks for them."""
    if path.endswith(".whl"):
        with zipfile.ZipFile(io.BytesIO(data)) as wheel:
            names = wheel.namelist()
    else:
        names = [path.removeprefix(f"{target.packages}/") if target.packages else path]
    yield from (inner for name in names if _MODULE.fullmatch(inner := _INSTALLED.sub("", name, count=1)))


def _needed(module: Module, node: ast.AST, importable: Importable) -> Iterator[Import]:
    """Yield the imports that run for certain, or that a function needs when it runs."""
    match node:
        case ast.Import():
            yield from (Import(line=node.lineno, module=alias.name) for alias in node.names)
        case ast.ImportFrom():
            yield _absolute(module, node)
        case ast.Try() if handlers := [handler for handler in node.handlers if _catches_a_failed_import(handler)]:
            yield from _tried(module, node, handlers, importable)
        case ast.With() if any("suppress" in (names := _names_in(item)) and names & _MAY_FAIL for item in node.items):
            return
        case ast.If() if _names_in(node.test) & _ELSEWHERE:
            if "TYPE_CHECKING" in _names_in(node.test):
                runs = node.body if isinstance(node.test, ast.UnaryOp) else node.orelse  # `not TYPE_CHECKING`
                yield from _of_all(module, runs, importable)
        case _:
            yield from _of_all(module, list(ast.iter_child_nodes(node)), importable)


def _of_all(module: Module, nodes: Sequence[ast.AST], importable: Importable) -> Iterator[Import]:
    for node in nodes:
        yield from _needed(module, node, importable)


def _tried(
    module: Module, node: ast.Try, handlers: Sequence[ast.ExceptHandler], importable: Importable
) -> Iterator[Import]:
    """Yield the imports of a `try` whose failing imports are caught. Those in the handlers are needed only where one in the body
    fails."""
    fails = any(each.problem or importable.problem(each, "") for each in _of_all(module, node.body, importable))
    unrelated = [handler for handler in node.handlers if handler not in handlers]
    instead = handlers if fails else []
    yield from _of_all(module, [*unrelated, *instead, *node.orelse, *node.finalbody], importable)


def _catches_a_failed_import(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or bool(_names_in(handler.type) & _MAY_FAIL)


def _names_in(node: ast.AST) -> set[str]:
    return {
        inner.id if isinstance(inner, ast.Name) else inner.attr
        for inner in ast.walk(node)
        if isinstance(inner, ast.Name | ast.Attribute)
    }


def _absolute(module: Module, node: ast.ImportFrom) -> Import:
    """Return a `from ... import`, with the dots at its beginning resolved."""
    names = tuple(alias.name for alias in node.names)
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

"""The modules of a project as its bundle has them, read for the Python that will run them."""

from __future__ import annotations

import ast
import sys
import warnings
from dataclasses import dataclass
from pathlib import PurePosixPath

from peeklock.bundle.contents import Entries
from peeklock.bundle.targets import Target
from peeklock.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A file of Python code, by the name that it is imported by."""

    name: str
    source: str
    """Its path from the project's folder."""
    is_package: bool
    tree: ast.Module

    @property
    def package(self) -> str:
        """What its relative imports begin at; empty for a module at the bundle's root."""
        return self.name if self.is_package else self.name.rpartition(".")[0]


def modules(entries: Entries, target: Target) -> dict[str, Module]:
    """The project's own, by name. Raises ConfigError, with file and line of each, where the target's Python would not take
    their syntax."""
    found: dict[str, Module] = {}
    wrong: list[str] = []
    for path, entry in sorted(entries.items()):
        if not entry.source or not path.endswith(".py"):
            continue
        try:
            tree = _parsed(entry.data, entry.source, target)
        except (SyntaxError, ValueError) as exc:
            wrong.append(_told(entry.source, exc))
            continue
        name = module_name(path)
        is_package = PurePosixPath(path).stem == "__init__"
        found[name] = Module(name=name, source=entry.source, is_package=is_package, tree=tree)
    if wrong:
        raise ConfigError("\n".join([_cannot_start(target), *wrong]))
    return found


def module_name(path: str) -> str:
    """The name by which a file is imported, such as `app.work` for `app/work.py` or for `app/work.cpython-313.so`."""
    *folders, file = PurePosixPath(path).parts
    stem = file.partition(".")[0]
    return ".".join(folders if stem == "__init__" else [*folders, stem])


def _parsed(data: bytes, source: str, target: Target) -> ast.Module:
    """Syntax that is newer than the target is refused by `feature_version`; what only a compiler sees, such as a `return`
    outside of a function, by compiling."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a linter's business
        tree = ast.parse(data, source, feature_version=version_of(target))
        compile(data, source, "exec", dont_inherit=True)
    return tree


def version_of(target: Target) -> tuple[int, int]:
    major, minor = target.python.split(".")
    return int(major), int(minor)


def _told(source: str, exc: SyntaxError | ValueError) -> str:
    line = getattr(exc, "lineno", None)
    return f"  {source}:{line or 1}: {getattr(exc, 'msg', exc)}"


def _cannot_start(target: Target) -> str:
    here = sys.version_info[:2]
    if here < version_of(target):
        return (
            f"the code is no Python, as this Python {here[0]}.{here[1]} reads it; correct it, or, where its syntax is newer,"
            f" run peeklock with Python {target.python}, for which the bundle is"
        )
    return f"the code is no Python {target.python}, for which the bundle is; correct it"

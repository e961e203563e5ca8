"""The modules of a project in its bundle, parsed for the Python that will run them."""

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
    """Path from the project's folder."""
    is_package: bool
    tree: ast.Module

    @property
    def package(self) -> str:
        """Package that relative imports begin at; empty for a module at the bundle's root."""
        return self.name if self.is_package else self.name.rpartition(".")[0]


def modules(entries: Entries, target: Target) -> dict[str, Module]:
    """Return the project's own modules, by name. Raises ConfigError, with file and line of each, where the target's Python
    would refuse their syntax."""
    parsed: dict[str, Module] = {}
    wrong: list[str] = []
    for path, entry in sorted(entries.items()):
        if not entry.source or not path.endswith(".py"):
            continue
        try:
            tree = _parsed(entry.data, entry.source, target)
        except (SyntaxError, ValueError) as exc:
            wrong.append(_place(entry.source, exc))
            continue
        name = module_name(path)
        is_package = PurePosixPath(path).stem == "__init__"
        parsed[name] = Module(name=name, source=entry.source, is_package=is_package, tree=tree)
    if wrong:
        raise ConfigError("\n".join([_cannot_start(target), *wrong]))
    return parsed


def module_name(path: str) -> str:
    """Return the name by which a file is imported, such as `app.work` for `app/work.py` or for `app/work.cpython-313.so`."""
    *folders, file = PurePosixPath(path).parts
    stem = file.partition(".")[0]
    return ".".join(folders if stem == "__init__" else [*folders, stem])


def _parsed(data: bytes, source: str, target: Target) -> ast.Module:
    """Parse a file: `feature_version` refuses syntax that is newer than the target, and compiling what only a compiler finds,
    such as a `return` outside of a function."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # for a linter, not for a bundle
        tree = ast.parse(data, source, feature_version=version_of(target))
        compile(data, source, "exec", dont_inherit=True)
    return tree


def version_of(target: Target) -> tuple[int, int]:
    major, minor = target.python.split(".")
    return int(major), int(minor)


def _place(source: str, exc: SyntaxError | ValueError) -> str:
    line = getattr(exc, "lineno", None)
    return f"  {source}:{line or 1}: {getattr(exc, 'msg', exc)}"


def _cannot_start(target: Target) -> str:
    current = sys.version_info[:2]
    if current < version_of(target):
        return (
            f"the code is no Python, as this Python {current[0]}.{current[1]} reads it; correct it, or, where its syntax is newer,"
            f" run peeklock with Python {target.python}, for which the bundle is"
        )
    return f"the code is no Python {target.python}, for which the bundle is; correct it"

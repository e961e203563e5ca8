"""Finding what the names in a project's modules are bound to: which of them a cloud can call, and for which queue.

The code is read, not run: a laptop need not have the packages of a bundle, nor the environment of a function. A name that cannot
be read, such as one that a function makes up, is recorded as unknown, and is never refused.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from peeklock.bundle.code import Module
from peeklock.platform_registry import PLATFORMS

_BIND = re.compile(r"^peeklock\.platforms\.(\w+)\.bind$")
"""The module that `from peeklock import sqs` gives."""

CONSUMER = "consumer"

_MAKERS = {"exec", "globals", "setattr", "vars"}
"""Built-in functions by which a module may get names that nobody can read."""

_FOLLOWED = 20
"""Names behind a name, at most: more are a circle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Value of a name, as far as it can be read."""

    kind: str
    """The platform whose `bind` made it, `consumer` for what the decorator marked, or `queue`; else a name of peeklock's, or
    a module."""
    name: str = ""
    """Name of the queue, where it is known; else of the module."""


def entries(modules: Mapping[str, Module]) -> dict[str, dict[str, str | None] | None]:
    """Return kind and queue of each public name at the top of a module, by its full name; None where they are unknown. The name
    `*` stands for further names of a module that cannot be read."""
    reader = _Reader(modules)
    described: dict[str, dict[str, str | None] | None] = {}
    for module in modules.values():
        names = _names(module.tree)
        for name in sorted(name for name in names if not name.startswith("_")):
            described[f"{module.name}.{name}"] = _described(reader.name(module, name, _FOLLOWED))
        if names & {"*", "__getattr__"} or _makes_names(module.tree):
            described[f"{module.name}.*"] = None
    return described


def _described(bound: Bound | None) -> dict[str, str | None] | None:
    if bound is None or bound.kind not in {CONSUMER, *PLATFORMS}:
        return None
    return {"kind": bound.kind, "queue": bound.name or None}


class _Reader:
    """Follows names through a project's modules."""

    def __init__(self, modules: Mapping[str, Module]) -> None:
        self._modules = modules

    def name(self, module: Module, name: str, left: int) -> Bound | None:
        """Return the value of a module's name at the module's end: the last statement counts. `left`: names that may still be
        followed."""
        if not left:
            return None
        bound: Bound | None = None
        for node in module.tree.body:
            if name in {*_names_of(node), *_imported_whole(node)}:
                bound = self._statement(module, node, name, left - 1)
        return bound

    def _statement(self, module: Module, node: ast.stmt, name: str, left: int) -> Bound | None:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                marks = (self._marked(module, decorator, left) for decorator in node.decorator_list)
                return next(filter(None, marks), None)
            case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value):
                return self._value(module, value, left)
            case ast.Import() | ast.ImportFrom():
                return self._import(module, node, name, left)
        return None

    def _import(self, module: Module, node: ast.Import | ast.ImportFrom, name: str, left: int) -> Bound | None:
        for alias in node.names:
            if (alias.asname or alias.name.partition(".")[0]) != name:
                continue
            if isinstance(node, ast.Import):
                return Bound(kind="module", name=alias.name if alias.asname else name)
            return self._member(_from(module, node), alias.name, left)
        return None

    def _member(self, module: str, name: str, left: int) -> Bound | None:
        """Return the value of a name of a module, of the project's or of peeklock."""
        module = _BIND.sub(r"peeklock.\1", module)
        if module.partition(".")[0] == "peeklock":
            return Bound(kind="peeklock", name=f"{module}.{name}".removeprefix("peeklock."))
        inner = f"{module}.{name}".lstrip(".")
        if (other := self._modules.get(module)) and name in _names(other.tree):
            return self.name(other, name, left)
        return Bound(kind="module", name=inner) if self._is_module(inner) else None

    def _is_module(self, name: str) -> bool:
        return any(f"{module}.".startswith(f"{name}.") for module in self._modules)

    def _value(self, module: Module, node: ast.expr, left: int) -> Bound | None:
        match node:
            case ast.Name(id=name):
                return self.name(module, name, left)
            case ast.Attribute(value=value, attr=name):
                outer = self._value(module, value, left)
                if outer is None or outer.kind not in {"module", "peeklock"}:
                    return None
                prefix = "peeklock." if outer.kind == "peeklock" else ""
                return self._member(f"{prefix}{outer.name}", name, left)
            case ast.Call():
                return self._call(module, node, left)
        return None

    def _call(self, module: Module, node: ast.Call, left: int) -> Bound | None:
        """Return the value of `Queue(...)`, `consumer(...)(f)` or a platform's `bind(f)`."""
        if isinstance(node.func, ast.Call):
            return self._marked(module, node.func, left)
        made_by = self._value(module, node.func, left)
        if made_by is None or made_by.kind != "peeklock":
            return None
        *_, platform, name = ["", *made_by.name.split(".")]
        if name == "Queue":
            return Bound(kind="queue", name=_text(_argument(node, "name")))
        first = _argument(node, "function")
        if name != "bind" or first is None:
            return None
        bound = self._value(module, first, left)
        return Bound(kind=platform, name=bound.name if bound and bound.kind == CONSUMER else "")

    def _marked(self, module: Module, node: ast.expr, left: int) -> Bound | None:
        """Return the consumer that `@consumer(QUEUE)` makes."""
        if not isinstance(node, ast.Call):
            return None
        mark = self._value(module, node.func, left)
        if mark is None or mark.kind != "peeklock" or mark.name.rpartition(".")[2] != CONSUMER:
            return None
        first = _argument(node, "queue")
        queue = None if first is None else self._value(module, first, left)
        return Bound(kind=CONSUMER, name=queue.name if queue and queue.kind == "queue" else "")


def _argument(node: ast.Call, name: str) -> ast.expr | None:
    """Return the first argument of a call, by its position or its name."""
    return next(iter(node.args), None) or next((each.value for each in node.keywords if each.arg == name), None)


def _text(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _from(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.package.split(".")
    return ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [node.module])])


def _names(tree: ast.Module) -> set[str]:
    """Return the names at the top of a module, also those that a condition or a loop binds."""
    return {name for node in tree.body for name in _names_of(node)}


def _makes_names(tree: ast.Module) -> bool:
    return any(isinstance(node, ast.Name) and node.id in _MAKERS for node in ast.walk(tree))


def _imported_whole(node: ast.stmt) -> set[str]:
    """Return the names that `import app.work` binds: modules, which are no entry points themselves."""
    return {alias.name.partition(".")[0] for alias in node.names} if isinstance(node, ast.Import) else set()


def _names_of(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name
        case ast.ImportFrom():
            yield from (alias.asname or alias.name for alias in node.names)
        case ast.Import():
            yield from (alias.asname for alias in node.names if alias.asname)
        case ast.Name(ctx=ast.Store()):
            yield node.id
        case ast.expr() if not isinstance(node, ast.Tuple | ast.List | ast.Starred | ast.NamedExpr):
            return
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _names_of(child)

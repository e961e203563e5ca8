"""What the names in a project's modules are bound to: which of them a cloud can call, and for which queue.

The code is read, not run: a laptop need not have the packages of a bundle, nor the environment of a function. What cannot be
read, such as a name that a function makes up, is recorded as not known, and nobody is refused for it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from peeklock.bundle.code import Module

_BIND = re.compile(r"^peeklock\.platforms\.(\w+)\.bind$")
"""The module that `from peeklock import sqs` gives."""

CONSUMER = "consumer"

_MAKERS = {"exec", "globals", "setattr", "vars"}
"""Built-in functions by which a module may get names that nobody can read."""

_FOLLOWED = 20
"""Names behind a name, at most: more are a circle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What a name is, as far as it can be read."""

    kind: str
    """The platform whose `bind` made it, `consumer` for what the decorator marked, or `queue`; else a name of peeklock's, or
    a module."""
    name: str = ""
    """The queue's, where it is known; else the module's."""


def entries(modules: Mapping[str, Module]) -> dict[str, dict[str, str | None] | None]:
    """For each public name at the top of a module, by its whole name: kind and queue, or None where they are not known. The
    name `*` stands for others that a module has and that cannot be read."""
    reader = _Reader(modules)
    found: dict[str, dict[str, str | None] | None] = {}
    for module in modules.values():
        names = _names(module.tree)
        for name in sorted(one for one in names if not one.startswith("_")):
            found[f"{module.name}.{name}"] = _told(reader.name(module, name, _FOLLOWED))
        if names & {"*", "__getattr__"} or _makes_names(module.tree):
            found[f"{module.name}.*"] = None
    return found


def _told(bound: Bound | None) -> dict[str, str | None] | None:
    if bound is None or bound.kind not in {CONSUMER, "sqs", "servicebus", "cloudtasks", "pubsub"}:
        return None
    return {"kind": bound.kind, "queue": bound.name or None}


class _Reader:
    """Follows names through a project's modules."""

    def __init__(self, modules: Mapping[str, Module]) -> None:
        self._modules = modules

    def name(self, module: Module, name: str, left: int) -> Bound | None:
        """What a module's name is at its end: its last statement counts. `left`: names that may still be followed."""
        if not left:
            return None
        found: Bound | None = None
        for node in module.tree.body:
            if name in {*_names_of(node), *_imported_whole(node)}:
                found = self._statement(module, node, name, left - 1)
        return found

    def _statement(self, module: Module, node: ast.stmt, name: str, left: int) -> Bound | None:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                marks = (self._marked(module, one, left) for one in node.decorator_list)
                return next(filter(None, marks), None)
            case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value):
                return self._value(module, value, left)
            case ast.Import() | ast.ImportFrom():
                return self._import(module, node, name, left)
        return None

    def _import(self, module: Module, node: ast.Import | ast.ImportFrom, name: str, left: int) -> Bound | None:
        for one in node.names:
            if (one.asname or one.name.partition(".")[0]) != name:
                continue
            if isinstance(node, ast.Import):
                return Bound(kind="module", name=one.name if one.asname else name)
            return self._member(_from(module, node), one.name, left)
        return None

    def _member(self, module: str, name: str, left: int) -> Bound | None:
        """A name of a module: one of the project's, or of peeklock."""
        module = _BIND.sub(r"peeklock.\1", module)
        if module.partition(".")[0] == "peeklock":
            return Bound(kind="peeklock", name=name if module == "peeklock" else f"{module}.{name}")
        inner = f"{module}.{name}".lstrip(".")
        if (other := self._modules.get(module)) and name in _names(other.tree):
            return self.name(other, name, left)
        return Bound(kind="module", name=inner) if self._is_module(inner) else None

    def _is_module(self, name: str) -> bool:
        return any(f"{one}.".startswith(f"{name}.") for one in self._modules)

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
        """`Queue(...)`, `consumer(...)(f)` or a platform's `bind(f)`."""
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
        """What `@consumer(QUEUE)` marks."""
        if not isinstance(node, ast.Call):
            return None
        mark = self._value(module, node.func, left)
        if mark is None or mark.kind != "peeklock" or mark.name.rpartition(".")[2] != CONSUMER:
            return None
        first = _argument(node, "queue")
        queue = None if first is None else self._value(module, first, left)
        return Bound(kind=CONSUMER, name=queue.name if queue and queue.kind == "queue" else "")


def _argument(node: ast.Call, name: str) -> ast.expr | None:
    """The first argument of a call, by its place or by its name."""
    return next(iter(node.args), None) or next((one.value for one in node.keywords if one.arg == name), None)


def _text(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _from(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.package.split(".")
    return ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [node.module])])


def _names(tree: ast.Module) -> set[str]:
    """The names at the top of a module, also those that a condition or a loop binds."""
    return {name for node in tree.body for name in _names_of(node)}


def _makes_names(tree: ast.Module) -> bool:
    return any(isinstance(node, ast.Name) and node.id in _MAKERS for node in ast.walk(tree))


def _imported_whole(node: ast.stmt) -> set[str]:
    """What `import app.work` binds: a module, which is no entry point itself."""
    return {one.name.partition(".")[0] for one in node.names} if isinstance(node, ast.Import) else set()


def _names_of(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name
        case ast.ImportFrom():
            yield from (one.asname or one.name for one in node.names)
        case ast.Import():
            yield from (one.asname for one in node.names if one.asname)
        case ast.Name(ctx=ast.Store()):
            yield node.id
        case ast.expr() if not isinstance(node, ast.Tuple | ast.List | ast.Starred | ast.NamedExpr):
            return
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _names_of(child)

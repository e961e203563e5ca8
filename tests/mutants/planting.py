"""Planting a fault: one expression or statement of a function, found by its syntax tree, becomes another."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

_CONTEXT = re.compile(r",? ?ctx=(Load|Store|Del)\(\)")


class NotThere(Exception):
    """The table no longer fits the code: the entry's `old` is not in its function exactly once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One entry of the table."""

    name: str
    """Defect of the code once the fault is planted."""
    module: str
    function: str
    """Qualified name within the module; empty for the whole module."""
    old: str
    new: str
    tests: tuple[str, ...]
    """Node ids, at least one of which has to fail."""


def plant(source: str, fault: Fault) -> ast.Module:
    """The module's syntax tree with the fault. Raises NotThere."""
    tree = ast.parse(source)
    scope = _scope(tree, fault)
    old, new = _expression(fault.old), _expression(fault.new)
    if old is not None and new is not None:
        _replace_expression(scope, old, new, fault)
    else:
        _replace_statements(scope, ast.parse(dedent(fault.old)).body, ast.parse(dedent(fault.new)).body, fault)
    return ast.fix_missing_locations(tree)


def _expression(text: str) -> ast.expr | None:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        return None


def _scope(tree: ast.Module, fault: Fault) -> ast.AST:
    scope: Any = tree
    for name in filter(None, fault.function.split(".")):
        scope = next((node for node in _definitions(scope) if node.name == name), None)
        if scope is None:
            raise NotThere(f"{fault.module} has no {fault.function!r} any more: mend or remove {fault.name!r}")
    return scope  # type: ignore[no-any-return] # a definition, or the module


def _definitions(scope: ast.AST) -> Iterator[Any]:
    for node in ast.walk(scope):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node is not scope:
            yield node


def _text(node: ast.AST) -> str:
    """Return the text that is compared: the tree without places, and without whether a name is read or written."""
    return _CONTEXT.sub("", ast.dump(node))


def _only(places: list[Any], fault: Fault) -> Any:
    if len(places) != 1:
        where = f"{fault.module}:{fault.function}"
        raise NotThere(f"{fault.name!r}: {where} has {len(places)} times, and not once: {fault.old!r}")
    return places[0]


def _replace_expression(scope: ast.AST, old: ast.expr, new: ast.expr, fault: Fault) -> None:
    wanted = _text(old)
    places = [
        (node, field, index)
        for node in ast.walk(scope)
        for field, index, child in _children(node)
        if isinstance(child, ast.expr) and type(child) is type(old) and _text(child) == wanted
    ]
    node, field, index = _only(places, fault)
    if index is None:
        setattr(node, field, new)
    else:
        getattr(node, field)[index] = new


def _children(node: ast.AST) -> Iterator[tuple[str, int | None, Any]]:
    for field, value in ast.iter_fields(node):
        if isinstance(value, list):
            for index, child in enumerate(value):
                yield field, index, child
        else:
            yield field, None, value


def _replace_statements(scope: ast.AST, old: list[ast.stmt], new: list[ast.stmt], fault: Fault) -> None:
    wanted = [_text(statement) for statement in old]
    places = [
        (block, start)
        for node in ast.walk(scope)
        for _, block in ast.iter_fields(node)
        if isinstance(block, list)
        for start in range(len(block) - len(old) + 1)
        if all(isinstance(statement, ast.stmt) for statement in block[start : start + len(old)])
        and [_text(statement) for statement in block[start : start + len(old)]] == wanted
    ]
    block, start = _only(places, fault)
    block[start : start + len(old)] = new

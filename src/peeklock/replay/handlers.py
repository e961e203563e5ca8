"""The handlers of a project, and the choice of an event's handler: the one of its queue."""

from __future__ import annotations

import difflib
import importlib
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peeklock.binding.bind import Binding, binding_of
from peeklock.consuming.declaration import declaration
from peeklock.errors import ConfigError
from peeklock.keywords import nearest
from peeklock.platform_registry import find_platform, module_of
from peeklock.queue import Queue
from peeklock.replay.problems import explained
from peeklock.replay.samples import EXPECTED, ReplayError, Sample, check_shape

TABLES = ("handlers", "dev", "bundle")
"""Names in `[tool.peeklock]` of a pyproject.toml."""

FIX = """\
no handler: pass --handler module:function, or name all of them in pyproject.toml:

  [tool.peeklock]
  handlers = ["app.orders:charge", "app.receipts:write"]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """A consumer, or an entry point that is bound to one."""

    target: str
    """Name, `module:function`."""
    function: Callable[..., Any]
    """The consumer itself; of a bound entry point, the consumer that it is bound to."""
    entry: Callable[..., Any]
    """Object of that name: the consumer, or an entry point that is bound to it."""

    @property
    def queue(self) -> Queue:
        return declaration(self.function).queue

    @property
    def binding(self) -> Binding | None:
        return binding_of(self.entry)

    @property
    def names(self) -> set[str]:
        """Names that its function may have in a function app."""
        return {getattr(function, "__name__", "") for function in (self.function, self.entry)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """The folder that handlers are imported from, and the handlers that its pyproject.toml names."""

    root: Path
    targets: Sequence[str] = ()


def project_of(folder: Path) -> Project:
    """Return the project with the nearest pyproject.toml: the handlers of `[tool.peeklock]`, or else the entry points of
    `[tool.peeklock.dev]`. Raises ReplayError for a table with other contents."""
    for parent in (folder, *folder.parents):
        file = parent / "pyproject.toml"
        if file.is_file():
            return Project(root=parent, targets=_targets(file))
    return Project(root=folder)


def _targets(file: Path) -> list[str]:
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ReplayError(f"{file}: {exc}") from None
    table = _table(_table(document, "tool", str(file)), "peeklock", f"{file}, [tool]")
    for name in table:
        if name not in TABLES:
            raise ReplayError(f"{file}, [tool.peeklock]: {name!r} is unknown; {nearest(name, TABLES)}")
    if "handlers" in table:
        return _texts(table["handlers"], f"{file}, [tool.peeklock]: handlers")
    return [
        target
        for name, value in _table(table, "dev", f"{file}, [tool.peeklock]").items()
        if _lists_functions(name)
        for target in _texts(value, f"{file}, [tool.peeklock.dev]: {name}")
    ]


def _table(parent: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    """Return a table in another one; an empty one where it is missing. Raises ReplayError for any other value."""
    table = parent.get(name, {})
    if not isinstance(table, dict):
        raise ReplayError(f"{where}: {name} = {table!r} is no table")
    return table


def _lists_functions(name: str) -> bool:
    """Return whether an entry of `[tool.peeklock.dev]` lists bound functions, rather than a folder with an app."""
    platform = find_platform(name)
    return platform is not None and platform.dev is not None and not platform.dev.app_file


def _texts(value: Any, where: str) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ReplayError(f"{where} = {value!r} is no list of module:function")
    return texts


def load_handlers(targets: Sequence[str], project: Project) -> list[Handler]:
    """Return the handlers of these targets, or else the project's. Raises ReplayError where there are none."""
    names = list(targets or project.targets)
    if not names:
        raise ReplayError(FIX)
    return [load_handler(target, project.root) for target in names]


def load_handler(target: str, root: Path) -> Handler:
    """Return the consumer, or the bound entry point, that `module:function` names. Raises ReplayError."""
    module_name, _, name = target.partition(":")
    if not module_name or not name:
        raise ReplayError(f"handler {target!r}: write module:function, such as app.orders:charge")
    module = _imported(module_name, target, root)
    entry = getattr(module, name, None)
    if entry is None:
        near = difflib.get_close_matches(name, dir(module), 1)
        hint = f"; did you mean {module_name}:{near[0]}?" if near else ""
        raise ReplayError(f"handler {target!r}: {module_name} has no {name!r}{hint}")
    bound = binding_of(entry)
    handler = Handler(target=target, entry=entry, function=bound.function if bound else entry)
    try:
        _ = handler.queue
    except ConfigError as exc:
        raise ReplayError(f"handler {target!r}: {exc}") from exc
    return handler


def _imported(name: str, target: str, root: Path) -> Any:
    """Return a module of the project, whose folder stays importable: handlers import more when they run."""
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name and f"{name}.".startswith(f"{exc.name}."):
            raise ReplayError(f"handler {target!r}: there is no module {exc.name!r} under {root}") from exc
        raise ReplayError(
            f"handler {target!r}: {name} imports {exc.name!r}, which is not installed\n{explained(exc, root)}"
        ) from exc
    except Exception as exc:
        raise ReplayError(f"handler {target!r}: {explained(exc, root)}") from exc


def handler_of(sample: Sample, platform: str, handlers: Sequence[Handler], queue: str | None) -> Handler:
    """Return the handler of an event's queue: of several for one queue, the one that is bound to the platform. `queue`: the
    queue's declared name, whatever the event says. Raises ReplayError for an event of a queue that no handler has."""
    by_queue: dict[str, list[Handler]] = {}
    for handler in handlers:
        by_queue.setdefault(handler.queue.name, []).append(handler)
    name = queue or sample.setting("queue")
    if name is None:
        return _chosen(sample, platform, _matching(sample, platform, by_queue))
    if name not in by_queue:
        raise ReplayError(f"{sample.name}: no handler has the queue {name!r}; {nearest(name, sorted(by_queue))}")
    return _chosen(sample, platform, by_queue[name])


def _matching(sample: Sample, platform: str, by_queue: Mapping[str, list[Handler]]) -> list[Handler]:
    """Return the handlers of the queue that the event itself names."""
    module = module_of(platform)
    named = module.source_of(sample.event)
    if named is None:
        if len(by_queue) == 1:
            return next(iter(by_queue.values()))
        check_shape(sample, platform)
        raise ReplayError(f"{sample.name}: it does not say which {module.SOURCE} it is of; {_fix(sample, by_queue)}")
    if module.SOURCE == "function":
        matching = [handler for several in by_queue.values() for handler in several if named in handler.names]
    else:
        matching = by_queue.get(named, [])
    if not matching:
        raise ReplayError(
            f"{sample.name}: it is of the {module.SOURCE} {named!r}, and no handler is; {_fix(sample, by_queue)}"
        )
    return matching


def _fix(sample: Sample, by_queue: Mapping[str, object]) -> str:
    name = sample.name.rpartition("/")[2] + EXPECTED
    return (
        f"there are handlers for the queues {', '.join(sorted(by_queue))}. Add the missing one with --handler or to"
        f' handlers in pyproject.toml; or say whose event it is with --queue NAME, or "queue": "NAME" in {name}'
    )


def _chosen(sample: Sample, platform: str, handlers: Sequence[Handler]) -> Handler:
    bound = [each for each in handlers if each.binding is not None and each.binding.platform == platform]
    plain = [each for each in handlers if each.binding is None]
    best = bound or plain or list(handlers)
    if len({each.function for each in best}) > 1:
        targets = ", ".join(each.target for each in best)
        raise ReplayError(f"{sample.name}: queue {best[0].queue.name!r} has several handlers, {targets}: say --handler")
    return best[0]

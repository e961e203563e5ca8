"""Everything together: emulators, queues, functions, and what is shown; until it is told to stop."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from cloudqueues.errors import CloudqueuesError
from peeklock.dev import across
from peeklock.dev.bell import CHANGED, until_stopped
from peeklock.dev.code import Code
from peeklock.dev.project import Project
from peeklock.dev.state import State, announce, opened
from peeklock.dev.watching import watching
from peeklock.dev.world import Found, Screen, Stand, World, find
from peeklock.errors import ConfigError, PeeklockError

T = TypeVar("T")
Failure = PeeklockError | CloudqueuesError

STANDS = {
    "sqs": "peeklock.dev.sqs:Sqs",
    "servicebus": "peeklock.dev.servicebus:ServiceBus",
    "cloudtasks": "peeklock.dev.cloudtasks:CloudTasks",
}
"""By name, so that an emulator's SDK is loaded only where its platform is used."""


def run(project: Project, screen: Screen, *, reload: bool) -> None:
    """Serve until a SIGINT or a SIGTERM; a platform that cannot start is said, and the others run without it. Raises
    PeeklockError where none can be started, and for code that does not load; whatever was started is stopped on any way
    out."""
    started = time.monotonic()
    with ExitStack() as stack:
        bell = stack.enter_context(until_stopped())
        state = stack.enter_context(opened(project.root, screen))
        changes = stack.enter_context(watching(project.root, bell, reload=reload))
        world = World(project=project, state=state.folder, follow=state.follow, on_line=state.on_line)
        stands = stack.enter_context(_stands(project, world, screen))
        project = project.only([stand.platform for stand in stands])
        stands, found = _open(project, stands, screen)
        running = _Running(project, state, stands, screen)
        announce(screen, running.serve(found))
        screen.say(f"\nready after {time.monotonic() - started:.1f} s. Try: peeklock send QUEUE FILE\n")
        while bell.wait() == CHANGED:
            running.renew(changes.take())
        screen.say("stopping")


@contextmanager
def _stands(project: Project, world: World, screen: Screen) -> Iterator[Sequence[Stand]]:
    """Of the platforms whose packages are here."""
    with ExitStack() as stack:
        stands = {name: _tried(partial(_stand, name, world)) for name in project.platforms}
        ready = _begun(stands, screen)
        yield [stack.enter_context(closing(stand)) for stand in ready.values()]


def _stand(name: str, world: World) -> Stand:
    module, _, attribute = STANDS[name].partition(":")
    try:
        stand: Stand = getattr(importlib.import_module(module), attribute)(world)
    except ImportError as exc:
        raise ConfigError(f"{name} on this machine needs {exc.name}: pip install 'peeklock[dev,{name}]'") from exc
    return stand


def _open(project: Project, stands: Sequence[Stand], screen: Screen) -> tuple[Sequence[Stand], Found]:
    """The emulators, while another process looks into the code. One after the other: they import SDKs, some of which do
    not stand it that others are imported meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        finding = pool.submit(find, project)
        ready = _begun({stand.platform: _tried(partial(_opened, stand)) for stand in stands}, screen)
        return list(ready.values()), finding.result()


def _opened(stand: Stand) -> Stand:
    stand.open()
    return stand


def _tried(start: Callable[[], T]) -> T | Failure:
    try:
        return start()
    except (PeeklockError, CloudqueuesError) as exc:
        return exc


def _begun(platforms: Mapping[str, T | Failure], screen: Screen) -> dict[str, T]:
    """What was started; the rest is said. Raises PeeklockError where that is all of it."""
    failed = {name: one for name, one in platforms.items() if isinstance(one, Failure)}
    if len(failed) == len(platforms):
        raise next(iter(failed.values()))
    for name, exc in failed.items():
        screen.say(f"without {name}: {exc}")
    return {name: one for name, one in platforms.items() if not isinstance(one, Failure)}


class _Running:
    """The platforms that run. What was said of them is said again only where it changed."""

    def __init__(self, project: Project, state: State, stands: Sequence[Stand], screen: Screen) -> None:
        self._project, self._state, self._stands, self._screen = project, state, stands, screen
        self._code: Code = Code.unknown(project)
        self._notices: list[str] = []

    def serve(self, found: Found) -> dict[str, dict[str, str]]:
        """Start all platforms at once, since each waits for processes that start; what keeps one from it is said. Returns what a
        client of each platform needs, which `peeklock send` is told. Raises PeeklockError where none starts."""
        self._code = Code.of(self._project, found)
        for stand in self._stands:
            stand.make(found)
        carried = across.carried(self._stands, found)
        with ThreadPoolExecutor(len(self._stands)) as pool:
            serving = {
                stand.platform: pool.submit(_tried, partial(stand.serve, found, carried[stand.platform]))
                for stand in self._stands
            }
            _begun({platform: one.result() for platform, one in serving.items()}, self._screen)
        self._say(list(across.notices(self._stands, found)))
        variables = {stand.platform: {**stand.variables(), **carried[stand.platform]} for stand in self._stands}
        self._state.tell(variables)
        return variables

    def _say(self, lines: list[str]) -> None:
        if lines != self._notices:
            self._notices = lines
            for line in lines:
                self._screen.say(line)

    def renew(self, files: set[Path]) -> None:
        """Serve the changed code; while it does not load, the processes that run serve on."""
        if not any(self._code.has(file) for file in files):
            return
        started = time.monotonic()
        try:
            self.serve(find(self._project))
        except (PeeklockError, CloudqueuesError) as exc:
            self._code = Code.unknown(self._project)
            self._screen.say(f"not reloaded: {exc}")
            return
        self._screen.say(f"reloaded in {time.monotonic() - started:.1f} s")

"""Everything together: emulators, queues, functions, and what is shown; until it is told to stop."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import TypeVar

from peeklock.dev.bell import CHANGED, until_stopped
from peeklock.dev.project import Project
from peeklock.dev.state import State, announce, opened
from peeklock.dev.watching import watching
from peeklock.dev.world import Found, Screen, Stand, World, find
from peeklock.errors import ConfigError, PeeklockError

T = TypeVar("T")

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
        stack.enter_context(watching(project.root, bell, reload=reload))
        world = World(project=project, state=state.folder, follow=state.follow, on_line=state.on_line)
        stands = stack.enter_context(_stands(project, world, screen))
        project = project.only([stand.platform for stand in stands])
        stands, found = _open(project, stands, screen)
        _begun(_serve(stands, found), screen)
        announce(screen, _tell(state, stands))
        screen.say(f"\nready after {time.monotonic() - started:.1f} s. Try: peeklock send QUEUE FILE\n")
        while bell.wait() == CHANGED:
            _reload(project, state, stands, screen)
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


def _serve(stands: Sequence[Stand], found: Found) -> dict[str, PeeklockError | None]:
    """All platforms at once: each waits for processes that start. Returns what kept each of them from it."""
    with ThreadPoolExecutor(len(stands)) as pool:
        serving = {stand.platform: pool.submit(_tried, partial(stand.serve, found)) for stand in stands}
        return {platform: one.result() for platform, one in serving.items()}


def _tried(start: Callable[[], T]) -> T | PeeklockError:
    try:
        return start()
    except PeeklockError as exc:
        return exc


def _begun(platforms: Mapping[str, T | PeeklockError], screen: Screen) -> dict[str, T]:
    """What was started; the rest is said. Raises PeeklockError where that is all of it."""
    failed = {name: one for name, one in platforms.items() if isinstance(one, PeeklockError)}
    if len(failed) == len(platforms):
        raise next(iter(failed.values()))
    for name, exc in failed.items():
        screen.say(f"without {name}: {exc}")
    return {name: one for name, one in platforms.items() if not isinstance(one, PeeklockError)}


def _tell(state: State, stands: Sequence[Stand]) -> dict[str, dict[str, str]]:
    variables = {stand.platform: dict(stand.variables()) for stand in stands}
    state.tell(variables)
    return variables


def _reload(project: Project, state: State, stands: Sequence[Stand], screen: Screen) -> None:
    """The changed code; while it does not load, the processes that run serve on."""
    started = time.monotonic()
    try:
        _begun(_serve(stands, find(project)), screen)
    except PeeklockError as exc:
        screen.say(f"not reloaded: {exc}")
        return
    _tell(state, stands)
    screen.say(f"reloaded in {time.monotonic() - started:.1f} s")

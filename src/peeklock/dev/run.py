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
from peeklock.dev import cross_platform
from peeklock.dev.project import Project
from peeklock.dev.runner import Discovery, RunContext, Runner, Screen, find
from peeklock.dev.shutdown import CHANGED, until_stopped
from peeklock.dev.state import State, announce, opened
from peeklock.dev.watched_code import Code
from peeklock.dev.watching import watching
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
        wakeup = stack.enter_context(until_stopped())
        state = stack.enter_context(opened(project.root, screen))
        changes = stack.enter_context(watching(project.root, wakeup, reload=reload))
        context = RunContext(project=project, state=state.folder, follow=state.follow, on_line=state.on_line)
        runners = stack.enter_context(_runners(project, context, screen))
        project = project.only([runner.platform for runner in runners])
        runners, found = _open(project, runners, screen)
        running = _Running(project, state, runners, screen)
        announce(screen, running.serve(found))
        screen.say(f"\nready after {time.monotonic() - started:.1f} s. Try: peeklock send QUEUE FILE\n")
        while wakeup.wait() == CHANGED:
            running.renew(changes.take())
        screen.say("stopping")


@contextmanager
def _runners(project: Project, context: RunContext, screen: Screen) -> Iterator[Sequence[Runner]]:
    """Of the platforms whose packages are here."""
    with ExitStack() as stack:
        runners = {name: _tried(partial(_stand, name, context)) for name in project.platforms}
        ready = _begun(runners, screen)
        yield [stack.enter_context(closing(runner)) for runner in ready.values()]


def _stand(name: str, context: RunContext) -> Runner:
    module, _, attribute = STANDS[name].partition(":")
    try:
        runner: Runner = getattr(importlib.import_module(module), attribute)(context)
    except ImportError as exc:
        raise ConfigError(f"{name} on this machine needs {exc.name}: pip install 'peeklock[dev,{name}]'") from exc
    return runner


def _open(project: Project, runners: Sequence[Runner], screen: Screen) -> tuple[Sequence[Runner], Discovery]:
    """The emulators, while another process looks into the code. One after the other: they import SDKs, some of which do
    not stand it that others are imported meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        finding = pool.submit(find, project)
        ready = _begun({runner.platform: _tried(partial(_opened, runner)) for runner in runners}, screen)
        return list(ready.values()), finding.result()


def _opened(runner: Runner) -> Runner:
    runner.open()
    return runner


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

    def __init__(self, project: Project, state: State, runners: Sequence[Runner], screen: Screen) -> None:
        self._project, self._state, self._runners, self._screen = project, state, runners, screen
        self._code: Code = Code.unknown(project)
        self._notices: list[str] = []

    def serve(self, found: Discovery) -> dict[str, dict[str, str]]:
        """Start all platforms at once, since each waits for processes that start; what keeps one from it is said. Returns what a
        client of each platform needs, which `peeklock send` is told. Raises PeeklockError where none starts."""
        self._code = Code.of(self._project, found)
        for runner in self._runners:
            runner.make(found)
        carried = cross_platform.variables_across(self._runners, found)
        with ThreadPoolExecutor(len(self._runners)) as pool:
            serving = {
                runner.platform: pool.submit(_tried, partial(runner.serve, found, carried[runner.platform]))
                for runner in self._runners
            }
            _begun({platform: one.result() for platform, one in serving.items()}, self._screen)
        self._say(list(cross_platform.notices(self._runners, found)))
        variables = {runner.platform: {**runner.variables(), **carried[runner.platform]} for runner in self._runners}
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

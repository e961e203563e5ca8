"""`peeklock dev`: emulators, queues, functions and a screen, until a signal stops them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from cloudqueues.errors import CloudqueuesError
from cloudqueues.shutdown import CHANGED, until_stopped
from peeklock.dev import cross_platform
from peeklock.dev.discovery import Discovery, discover
from peeklock.dev.project import Project, support_of
from peeklock.dev.runner import RunContext, Runner, Screen
from peeklock.dev.state import State, opened
from peeklock.dev.watched_code import WatchedCode
from peeklock.dev.watching import Changes, watching
from peeklock.errors import ConfigError, PeeklockError
from peeklock.platform_registry import load_target, platform_named

T = TypeVar("T")
Failure = PeeklockError | CloudqueuesError


def run(project: Project, screen: Screen, *, reload: bool) -> None:
    """Serve until a SIGINT or a SIGTERM. A platform that cannot start is reported, and the others run without it. Raises
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
        runners, discovery = _open(project, runners, screen)
        serving = _Serving(project, state, runners, changes, screen)
        screen.addresses(serving.serve(discovery))
        screen.ready(time.monotonic() - started, "Try: peeklock send QUEUE FILE")
        while wakeup.wait() == CHANGED:
            serving.renew(changes.take())
        screen.say("stopping")


@contextmanager
def _runners(project: Project, context: RunContext, screen: Screen) -> Iterator[Sequence[Runner]]:
    """Yield a runner for each platform whose packages are installed."""
    with ExitStack() as stack:
        runners = {name: _attempt(partial(_runner, name, context)) for name in project.entries}
        yield [stack.enter_context(closing(runner)) for runner in _started(runners, screen).values()]


def _runner(name: str, context: RunContext) -> Runner:
    try:
        runner: Runner = load_target(support_of(name).runner)(context)
    except ImportError as exc:
        extras = ",".join(filter(None, ("dev", platform_named(name).extra)))
        raise ConfigError(f"{name} on this machine needs {exc.name}: pip install 'peeklock[{extras}]'") from exc
    return runner


def _open(project: Project, runners: Sequence[Runner], screen: Screen) -> tuple[Sequence[Runner], Discovery]:
    """Start the emulators while another process imports the code. One emulator after the other: they import SDKs, some of
    which fail when others are imported at the same time."""
    with ThreadPoolExecutor(1) as pool:
        discovering = pool.submit(discover, project)
        started = _started({runner.platform: _attempt(partial(_opened, runner)) for runner in runners}, screen)
        return list(started.values()), discovering.result()


def _opened(runner: Runner) -> Runner:
    runner.open()
    return runner


def _attempt(start: Callable[[], T]) -> T | Failure:
    try:
        return start()
    except (PeeklockError, CloudqueuesError) as exc:
        return exc


def _started(platforms: Mapping[str, T | Failure], screen: Screen) -> dict[str, T]:
    """Return what was started, and report the rest. Raises PeeklockError where nothing was started."""
    failed = {name: result for name, result in platforms.items() if isinstance(result, Failure)}
    if platforms and len(failed) == len(platforms):
        raise next(iter(failed.values()))
    for name, exc in failed.items():
        screen.say(f"without {name}: {exc}")
    return {name: result for name, result in platforms.items() if not isinstance(result, Failure)}


class _Serving:
    """The platforms that run. Notices are shown again only where they changed."""

    def __init__(
        self, project: Project, state: State, runners: Sequence[Runner], changes: Changes, screen: Screen
    ) -> None:
        self._project, self._state, self._runners, self._screen = project, state, runners, screen
        self._changes = changes
        self._code: WatchedCode = WatchedCode.unknown(project)
        self._notices: list[str] = []

    def serve(self, discovery: Discovery) -> dict[str, dict[str, str]]:
        """Start all platforms at once, since each waits for processes that start, and report those that fail. Returns the
        variables of each platform's clients, which are written for `peeklock send`. Raises PeeklockError where none starts."""
        self._code = WatchedCode.of(self._project, discovery)
        self._changes.watch(discovery.files)
        for runner in self._runners:
            runner.make(discovery)
        across = cross_platform.variables_across(self._runners, discovery)
        with ThreadPoolExecutor(len(self._runners)) as pool:
            starting = {
                runner.platform: pool.submit(_attempt, partial(runner.serve, discovery, across[runner.platform]))
                for runner in self._runners
            }
            _started({platform: start.result() for platform, start in starting.items()}, self._screen)
        self._say(list(cross_platform.notices(self._runners, discovery)))
        variables = {runner.platform: {**runner.variables(), **across[runner.platform]} for runner in self._runners}
        self._state.write_addresses(variables)
        self._state.dead_letters.update({runner.platform: runner.variables() for runner in self._runners})
        return variables

    def _say(self, lines: list[str]) -> None:
        if lines != self._notices:
            self._notices = lines
            for line in lines:
                self._screen.say(line)

    def renew(self, files: set[Path]) -> None:
        """Serve the changed code. While it does not load, the running processes go on."""
        if not any(self._code.has(file) for file in files):
            return
        started = time.monotonic()
        try:
            self.serve(discover(self._project))
        except (PeeklockError, CloudqueuesError) as exc:
            self._code = WatchedCode.unknown(self._project, self._code)
            self._screen.say(f"not reloaded: {exc}")
            return
        self._screen.say(f"reloaded in {time.monotonic() - started:.1f} s")

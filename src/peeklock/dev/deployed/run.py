"""`peeklock dev --infra`: a Pulumi program applied to emulators, and its functions running as it made them."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from cloudqueues.errors import CloudqueuesError
from cloudqueues.pulumi.engine import Engine, EngineError
from cloudqueues.shutdown import CHANGED, Wakeup, until_stopped
from peeklock import private_files as private
from peeklock.dev.deployed import clouds, report
from peeklock.dev.deployed.handlers import URL, Imported, addresses, idle_queues, import_handlers
from peeklock.dev.deployed.local_context import CloudRunner, Function, LocalContext, Resource
from peeklock.dev.runner import Screen
from peeklock.dev.state import State, opened
from peeklock.dev.watched_code import SETTINGS
from peeklock.dev.watching import Changes, watching
from peeklock.errors import ConfigError, PeeklockError
from peeklock.infra.bundles import VARIABLE
from peeklock.keywords import nearest

OUTPUT = "pulumi.log"
"""Name of the file, in the folder of the run, with the output of the last `pulumi up`."""


def run(root: Path, folder: Path, stack: str, screen: Screen, *, reload: bool) -> None:
    """Serve until a SIGINT or a SIGTERM. Raises PeeklockError for a program that cannot be applied, and for functions that
    cannot be started; whatever was started is stopped on any way out."""
    started = time.monotonic()
    names, has_file = clouds.clouds_of(folder), _has_file(folder, stack)
    with ExitStack() as within:
        stops: list[Callable[[], None]] = []
        wakeup = within.enter_context(until_stopped(lambda: [stop() for stop in stops]))
        state = within.enter_context(opened(root, screen))
        also = () if folder.resolve().is_relative_to(root) else (folder.resolve(),)
        changes = within.enter_context(watching(root, wakeup, reload=reload, kinds=(".yaml",), also=also))
        local = LocalContext(code=root, state=state.folder, on_line=state.on_line)
        engine, runners = within.enter_context(_started(names, local, folder, screen))
        stops.append(engine.stop)  # a program that hangs would keep the main thread
        stack_run = _Stack(engine, runners, local, state, changes, stack, screen.say)
        if not has_file:
            screen.say(f"no stack has a file in {folder}: the program has its defaults for everything")
        try:
            platforms = stack_run.begin()
        except EngineError:
            if wakeup.stopping():  # a terminal's Ctrl-C also ends the command
                return
            raise
        screen.addresses(platforms)
        screen.ready(time.monotonic() - started, _next_step(platforms))
        _follow(stack_run, wakeup, changes)
        screen.say("stopping")


@contextmanager
def _started(
    names: Sequence[str], local: LocalContext, folder: Path, screen: Screen
) -> Iterator[tuple[Engine, Sequence[CloudRunner]]]:
    with ExitStack() as within:
        runners = [within.enter_context(closing(clouds.create_runner(name, local, folder.resolve()))) for name in names]
        engine = Engine(
            folder,
            [runner.open() for runner in runners],
            program_environ={VARIABLE: str(_bundle(local.state))},
            on_refused=lambda where: screen.say(
                f"refused: something here asked for {where}, which is not on this machine"
            ),
            home=local.state,  # the next run empties it, if this one is killed
        )
        yield within.enter_context(engine), runners


def _next_step(platforms: Mapping[str, Mapping[str, str]]) -> str:
    """Say how to send a message: `peeklock send` knows the queues whose addresses the program exports or gives its functions."""
    queues = {
        name.removeprefix("PEEKLOCK_").removesuffix(URL).lower().replace("_", "-")
        for variables in platforms.values()
        for name in variables
        if name.startswith("PEEKLOCK_") and name.endswith(URL)
    }
    if not queues:
        return "The program names no queue of peeklock's: send with the cloud's SDK, and the variables above"
    return f"Try: peeklock send {min(queues)} FILE"


def _bundle(folder: Path) -> Path:
    """Write the bundle that the program deploys here. It has no code: the functions run the code where it lies, so that a
    change needs no new bundle."""
    path = folder / "bundle.zip"
    with zipfile.ZipFile(path, "w") as empty:
        empty.writestr("README.txt", "peeklock dev --infra runs the code of the project.\n")
    return path


def _follow(stack_run: _Stack, wakeup: Wakeup, changes: Changes) -> None:
    while wakeup.wait() == CHANGED:
        try:
            stack_run.renew(changes.take())
        except (PeeklockError, CloudqueuesError) as exc:
            if wakeup.stopping():
                return
            stack_run.say(f"not reloaded: {exc}")


class _Stack:
    """One stack. Reports are shown again only where they changed."""

    def __init__(
        self,
        engine: Engine,
        runners: Sequence[CloudRunner],
        local: LocalContext,
        state: State,
        changes: Changes,
        stack: str,
        say: Callable[[str], None],
    ) -> None:
        self._engine, self._runners, self._local = engine, runners, local
        self._state, self._changes, self._stack = state, changes, stack
        self._resources: Sequence[Resource] = ()
        self._queues: Mapping[str, str] = {}
        self._files: frozenset[Path] = frozenset()
        """Files that any run of the program has loaded: a run that failed may have loaded few of them."""
        self._applied = False
        """True once the program was applied as it is now."""
        self._shown: dict[str, list[str]] = {}
        self.say = say

    def begin(self) -> dict[str, dict[str, str]]:
        """Apply the program, start its functions, and return the variables of each platform's clients. Raises PeeklockError."""
        self._engine.init(self._stack)
        self._up()
        return self._serve()

    def renew(self, files: set[Path]) -> None:
        """Apply the program anew where it changed or was not applied, and restart the functions. Raises PeeklockError; the
        functions that run then go on."""
        started = time.monotonic()
        ours = {file for file in files if self._matters(file)}
        if not ours:
            return
        for file in sorted(ours):
            if file.suffix == ".py" and file.is_file():
                clouds.parsed(file, self._local.code)
        applies = not self._applied or any(file.suffix == ".yaml" for file in ours) or bool(ours & self._files)
        if applies:
            self._up()
        self._serve()
        what = "the program" if applies else "the functions"
        self.say(f"reloaded {what} in {time.monotonic() - started:.1f} s")

    def _matters(self, file: Path) -> bool:
        """Return whether program or functions may change when this file changes: Python files, the files that the program
        loads, those beside it, and the settings of a function app."""
        beside = file.is_relative_to(self._engine.folder) or file in self._files
        return file.suffix == ".py" or beside or file.name in SETTINGS

    def _up(self) -> None:
        self._applied = False
        try:
            result = self._engine.up(self._stack)
        except EngineError as exc:
            self._say_new(report.types(self._engine.types, failed=True))
            raise EngineError(self._failure(str(exc))) from None
        finally:
            self._files |= self._engine.files
            self._changes.watch(self._files)
        private.write_text(self._state.folder / OUTPUT, result.output)
        self._say_new(report.types(self._engine.types, failed=False))
        for line in (*report.messages(result.output), *report.steps(result.steps)):
            self.say(line)
        self._resources = self._engine.resources(self._stack)
        self._queues = report.environment(self._engine.outputs(self._stack))
        self._applied = True

    def _failure(self, output: str) -> str:
        """Return what went wrong, and the file with all of the command's output."""
        private.write_text(self._state.folder / OUTPUT, output)
        problem = report.failure(output, self._engine.folder, self._local.code.resolve())
        return f"{problem}\nAll of its output is in {self._state.folder / OUTPUT}"

    def _serve(self) -> dict[str, dict[str, str]]:
        """Start or restart the functions, and return the variables of each platform's clients, which are written for `peeklock
        send`. Raises PeeklockError, before any function is stopped, for handlers that cannot work."""
        base = self._engine.for_functions
        base |= {"PEEKLOCK_FOLLOW": self._state.follow, "PYTHONUNBUFFERED": "1"}
        imported = Imported()
        for runner in self._runners:
            imported |= import_handlers(runner.platform, runner.functions(self._resources), self._local, base)
        self._changes.watch(imported.files)
        functions: list[Function] = []
        platforms = {}
        for runner in self._runners:
            runner.serve(self._resources, base)
            deployed = runner.functions(self._resources)
            for function in deployed:
                self._say_new(report.function(function))
            dead_letters = self._state.dead_letters[runner.platform] = addresses(deployed, "_DEAD_LETTER")
            reachable = {**addresses(deployed, URL), **dead_letters}
            platforms[runner.platform] = {**runner.variables(), **reachable, **self._queues}
            functions += deployed
        self._say_new(idle_queues(functions, self._queues, imported))
        self._state.write_addresses(platforms)
        return platforms

    def _say_new(self, lines: Iterable[str]) -> None:
        """Show lines, unless they are the same as the last ones with the same first line."""
        block = list(lines)
        head = block[0] if block else ""
        if self._shown.get(head) != block:
            self._shown[head] = block
            for line in block:
                self.say(line)


def _has_file(folder: Path, stack: str) -> bool:
    """Return whether a stack has its file. Raises ConfigError where only others have one: a mistyped name would run with
    defaults."""
    names = sorted(file.name.removeprefix("Pulumi.").removesuffix(".yaml") for file in folder.glob("Pulumi.*.yaml"))
    if names and stack not in names:
        raise ConfigError(f"--stack {stack}: there is no Pulumi.{stack}.yaml in {folder}; {nearest(stack, names)}")
    return bool(names)

"""A Pulumi program on this machine: applied to emulators, and its functions running as it made them."""

from __future__ import annotations

import ast
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from cloudqueues.errors import CloudqueuesError
from cloudqueues.pulumi.engine import Engine, EngineError
from peeklock import private_files as private
from peeklock.dev.deployed import clouds, report
from peeklock.dev.deployed.local_context import CloudRunner, LocalContext, Resource
from peeklock.dev.runner import Screen
from peeklock.dev.shutdown import CHANGED, Wakeup, until_stopped
from peeklock.dev.state import State, announce, opened
from peeklock.dev.watched_code import SETTINGS
from peeklock.dev.watching import Changes, watching
from peeklock.errors import ConfigError, PeeklockError
from peeklock.infra.bundles import VARIABLE
from peeklock.keywords import nearest

Say = Callable[[str], None]

OUTPUT = "pulumi.log"
"""Name of the file, in the folder of the run, with what a `pulumi up` that failed printed."""


def run(root: Path, folder: Path, stack: str, screen: Screen, *, reload: bool) -> None:
    """Serve until a SIGINT or a SIGTERM. Raises PeeklockError for a program that cannot be applied, and for functions that
    cannot be started; whatever was started is stopped on any way out."""
    started = time.monotonic()
    names, has_file = clouds.named(folder), _has_file(folder, stack)
    with ExitStack() as within:
        wakeup = within.enter_context(until_stopped())
        state = within.enter_context(opened(root, screen))
        also = () if folder.resolve().is_relative_to(root) else (folder,)
        changes = within.enter_context(watching(root, wakeup, reload=reload, kinds=(".yaml",), also=also))
        one = within.enter_context(_running(names, state, root, folder, stack, screen.say))
        if not has_file:
            screen.say(f"no stack has a file in {folder}: the program has its defaults for everything")
        try:
            announce(screen, one.begin())
        except EngineError:
            if wakeup.stopping():  # a terminal's Ctrl-C is the command's, too
                return
            raise
        screen.say(f"\nready after {time.monotonic() - started:.1f} s. Try: peeklock send QUEUE FILE\n")
        _follow(one, wakeup, changes)
        screen.say("stopping")


@contextmanager
def _running(names: Sequence[str], state: State, root: Path, folder: Path, stack: str, say: Say) -> Iterator[_Running]:
    here = LocalContext(code=root, state=state.folder, on_line=state.on_line)
    with ExitStack() as within:
        places = [within.enter_context(closing(clouds.made(name, here, folder.resolve()))) for name in names]
        engine = Engine(
            folder,
            [one.open() for one in places],
            program_environ={VARIABLE: str(_bundle(state.folder))},
            on_refused=lambda where: say(f"refused: something here asked for {where}, which is not on this machine"),
            home=state.folder,  # where the next run removes what a killed one leaves
        )
        yield _Running(within.enter_context(engine), places, state, stack, say)


def _bundle(folder: Path) -> Path:
    """What the program deploys here: the functions run the code where it lies, so that a change needs no bundle."""
    path = folder / "bundle.zip"
    with zipfile.ZipFile(path, "w") as empty:
        empty.writestr("README.txt", "peeklock dev --infra runs the code of the project.\n")
    return path


def _follow(one: _Running, wakeup: Wakeup, changes: Changes) -> None:
    while wakeup.wait() == CHANGED:
        try:
            one.renew(changes.take())
        except (PeeklockError, CloudqueuesError) as exc:
            one.say(f"not reloaded: {exc}")


class _Running:
    """One stack. What was said of it is said again only where it changed."""

    def __init__(self, engine: Engine, places: Sequence[CloudRunner], state: State, stack: str, say: Say) -> None:
        self._engine, self._places, self._state, self._stack = engine, places, state, stack
        self._resources: Sequence[Resource] = ()
        self._queues: Mapping[str, str] = {}
        self._said: dict[str, list[str]] = {}
        self.say = say

    def begin(self) -> dict[str, dict[str, str]]:
        """Returns what a client of each platform needs. Raises PeeklockError."""
        self._engine.init(self._stack)
        self._up()
        return self._serve()

    def renew(self, files: set[Path]) -> None:
        """What follows from changed files: the program applied anew, or only the functions restarted. Raises PeeklockError:
        where the program fails, what runs serves on."""
        started = time.monotonic()
        ours = {file for file in files if self._matters(file)}
        if not ours:
            return
        for file in sorted(ours):
            _check(file)
        of_program = {file for file in ours if file.suffix == ".yaml"} | (ours & self._engine.files)
        if of_program:
            self._up()
        self._serve()
        what = "the program" if of_program else "the functions"
        self.say(f"reloaded {what} in {time.monotonic() - started:.1f} s")

    def _matters(self, file: Path) -> bool:
        """Return whether program or functions may be others when this file changes. Of what is no Python, that is what the program
        loads, what lies beside it, and the settings of a function app."""
        beside = file.is_relative_to(self._engine.folder) or file in self._engine.files
        return file.suffix == ".py" or beside or file.name in SETTINGS

    def _up(self) -> None:
        try:
            steps = self._engine.up(self._stack).steps
        except EngineError as exc:
            raise EngineError(self._failure(str(exc))) from None
        finally:
            self._say_new(report.types(self._engine.types))
        for line in report.steps(steps):
            self.say(line)
        self._resources = self._engine.resources(self._stack)
        self._queues = report.environment(self._engine.outputs(self._stack))

    def _failure(self, output: str) -> str:
        """Return what went wrong, and where the rest is that the command printed."""
        private.write_text(self._state.folder / OUTPUT, output)
        return f"{report.failure(output, self._engine.folder)}\nAll that it printed is in {self._state.folder / OUTPUT}"

    def _serve(self) -> dict[str, dict[str, str]]:
        """(Re)start the functions; returns what a client of each platform needs, which `peeklock send` is told."""
        base = self._engine.for_functions
        base |= {"PEEKLOCK_FOLLOW": self._state.follow, "PYTHONUNBUFFERED": "1"}
        for place in self._places:
            place.serve(self._resources, base)
            for one in place.functions(self._resources):
                self._say_new(report.function(one))
        platforms = {place.platform: {**place.variables(), **self._queues} for place in self._places}
        self._state.tell(platforms)
        return platforms

    def _say_new(self, lines: Iterable[str]) -> None:
        """All of them, unless they are what was said last under the same first line."""
        whole = list(lines)
        head = whole[0] if whole else ""
        if self._said.get(head) != whole:
            self._said[head] = whole
            for line in whole:
                self.say(line)


def _has_file(folder: Path, stack: str) -> bool:
    """Return whether a stack has its file. Raises ConfigError where only others have one: a mistyped name would run with
    defaults."""
    names = sorted(file.name.removeprefix("Pulumi.").removesuffix(".yaml") for file in folder.glob("Pulumi.*.yaml"))
    if names and stack not in names:
        raise ConfigError(f"--stack {stack}: there is no Pulumi.{stack}.yaml in {folder}; {nearest(stack, names)}")
    return bool(names)


def _check(file: Path) -> None:
    """Raises PeeklockError for Python that is none, as a file half written is: what runs then serves on."""
    if file.suffix == ".py" and file.is_file():
        try:
            ast.parse(file.read_bytes())
        except (SyntaxError, ValueError) as exc:
            raise PeeklockError(f"{file}: {exc}") from None

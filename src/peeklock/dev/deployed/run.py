"""A Pulumi program on this machine: applied to emulators, and its functions running as it made them."""

from __future__ import annotations

import ast
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from peeklock.dev.bell import CHANGED, Bell, until_stopped
from peeklock.dev.deployed import clouds, told
from peeklock.dev.deployed.place import Deployed, Here
from peeklock.dev.state import State, announce, opened
from peeklock.dev.watching import Changes, watching
from peeklock.dev.world import Screen
from peeklock.emulators.pulumi.engine import Engine, EngineError
from peeklock.errors import PeeklockError
from peeklock.infra.bundles import VARIABLE

Say = Callable[[str], None]


def run(root: Path, folder: Path, stack: str, screen: Screen, *, reload: bool) -> None:
    """Serve until a SIGINT or a SIGTERM. Raises PeeklockError for a program that cannot be applied, and for functions that
    cannot be started; whatever was started is stopped on any way out."""
    started = time.monotonic()
    names = clouds.named(folder)
    with ExitStack() as within:
        bell = within.enter_context(until_stopped())
        state = within.enter_context(opened(root, screen))
        also = () if folder.resolve().is_relative_to(root) else (folder,)
        changes = within.enter_context(watching(root, bell, reload=reload, kinds=(".yaml",), also=also))
        one = within.enter_context(_running(names, state, root, folder, stack, screen.say))
        try:
            announce(screen, one.begin())
        except EngineError:
            if bell.stopping():  # a terminal's Ctrl-C is the command's, too
                return
            raise
        screen.say(f"\nready after {time.monotonic() - started:.1f} s. Try: peeklock send QUEUE FILE\n")
        _follow(one, bell, changes)
        screen.say("stopping")


@contextmanager
def _running(names: Sequence[str], state: State, root: Path, folder: Path, stack: str, say: Say) -> Iterator[_Running]:
    here = Here(code=root, state=state.folder, on_line=state.on_line)
    with ExitStack() as within:
        places = [within.enter_context(closing(clouds.made(name, here, folder.resolve()))) for name in names]
        engine = Engine(
            folder,
            [one.open() for one in places],
            programs={VARIABLE: str(_bundle(state.folder))},
            reached=lambda where: say(f"refused: something here asked for {where}, which is not on this machine"),
        )
        yield _Running(within.enter_context(engine), places, state, stack, say)


def _bundle(folder: Path) -> Path:
    """What the program deploys here: the functions run the code where it lies, so that a change needs no bundle."""
    path = folder / "bundle.zip"
    with zipfile.ZipFile(path, "w") as empty:
        empty.writestr("README.txt", "peeklock dev --infra runs the code of the project.\n")
    return path


def _follow(one: _Running, bell: Bell, changes: Changes) -> None:
    while bell.wait() == CHANGED:
        try:
            one.renew(changes.take())
        except PeeklockError as exc:
            one.say(f"not reloaded: {exc}")


class _Running:
    """One stack."""

    def __init__(self, engine: Engine, places: Sequence[Deployed], state: State, stack: str, say: Say) -> None:
        self._engine, self._places, self._state, self._stack = engine, places, state, stack
        self.say = say

    def begin(self) -> dict[str, dict[str, str]]:
        """Returns what a client of each platform needs. Raises PeeklockError."""
        self._engine.init(self._stack)
        self._up()
        return self._serve()

    def renew(self, files: set[Path]) -> None:
        """What follows from changed files: the program applied anew, or only the functions restarted. Raises PeeklockError,
        and then what runs serves on."""
        started = time.monotonic()
        for file in sorted(files):
            _check(file)
        what = "the functions"
        if files & self._engine.files or any(file.suffix == ".yaml" for file in files):
            what = "the program"
            self._up()
        self._serve()
        self.say(f"reloaded {what} in {time.monotonic() - started:.1f} s")

    def _up(self) -> None:
        try:
            steps = self._engine.up(self._stack).steps
        finally:
            self._say_all(told.types(self._engine.types))
        self._say_all(told.steps(steps))

    def _serve(self) -> dict[str, dict[str, str]]:
        """(Re)start the functions; returns what a client of each platform needs, which `peeklock send` is told."""
        resources, base = self._engine.resources(self._stack), self._engine.for_functions
        base |= {"PEEKLOCK_FOLLOW": self._state.follow, "PYTHONUNBUFFERED": "1"}
        for place in self._places:
            place.serve(resources, base)
            self._say_all(told.functions(place.functions(resources)))
        queues = told.environment(self._engine.outputs(self._stack))
        platforms = {place.platform: {**place.variables(), **queues} for place in self._places}
        self._state.tell(platforms)
        return platforms

    def _say_all(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.say(line)


def _check(file: Path) -> None:
    """Raises PeeklockError for Python that is none, as a file half written is: what runs then serves on."""
    if file.suffix == ".py" and file.is_file():
        try:
            ast.parse(file.read_bytes())
        except (SyntaxError, ValueError) as exc:
            raise PeeklockError(f"{file}: {exc}") from None

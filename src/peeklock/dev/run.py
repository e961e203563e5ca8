"""Everything together: emulators, queues, functions, and what is shown; until it is told to stop."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

from peeklock.dev.bell import CHANGED, Bell, until_stopped
from peeklock.dev.hearing import Ear
from peeklock.dev.project import Project
from peeklock.dev.world import FOLDER, Found, Screen, Stand, World, find
from peeklock.errors import ConfigError, PeeklockError

STANDS = {
    "sqs": "peeklock.dev.sqs:Sqs",
    "servicebus": "peeklock.dev.servicebus:ServiceBus",
    "cloudtasks": "peeklock.dev.cloudtasks:CloudTasks",
}
"""By name, so that an emulator's SDK is loaded only where its platform is used."""

TOLD = "dev.json"
"""In the folder: the process, and each platform's variables."""


def run(project: Project, screen: Screen, *, reload: bool) -> None:
    """Serve until a SIGINT or a SIGTERM. Raises PeeklockError for what cannot be started; whatever was started is
    stopped on any way out."""
    started = time.monotonic()
    with ExitStack() as stack:
        bell = stack.enter_context(until_stopped())
        world = stack.enter_context(_world(project, screen))
        stack.enter_context(_watching(project.root, bell, reload=reload))
        stands = stack.enter_context(_stands(project, world))
        _serve(stands, _open(project, stands))
        _announce(world, stands, screen)
        screen.say(f"\nready after {time.monotonic() - started:.1f} s. Try: peeklock send QUEUE FILE\n")
        while bell.wait() == CHANGED:
            _reload(world, stands, screen)
        screen.say("stopping")


@contextmanager
def _world(project: Project, screen: Screen) -> Iterator[World]:
    state = _fresh(project.root / FOLDER)
    ear = Ear(screen.told)
    try:
        yield World(project=project, state=state, follow=ear.address, on_line=partial(_line, screen))
    finally:
        ear.close()
        (state / TOLD).unlink(missing_ok=True)


def _line(screen: Screen, platform: str, line: str) -> None:
    """Without what the screen shows already, and without the SDKs' own gossip."""
    if line and "peeklock.settled" not in line and not line.startswith(("INFO azure.", '{"_aws":')):
        screen.line(platform, line)


@contextmanager
def _stands(project: Project, world: World) -> Iterator[Sequence[Stand]]:
    with ExitStack() as stack:
        yield [stack.enter_context(closing(_stand(name, world))) for name in project.platforms]


def _stand(name: str, world: World) -> Stand:
    module, _, attribute = STANDS[name].partition(":")
    try:
        stand: Stand = getattr(importlib.import_module(module), attribute)(world)
    except ImportError as exc:
        raise ConfigError(f"{name} on this machine needs {exc.name}: pip install 'peeklock[dev,{name}]'") from exc
    return stand


def _fresh(folder: Path) -> Path:
    """Emptied: the queues start empty, so nothing of an earlier run may be remembered of their messages."""
    other = running(folder)
    if other is not None:
        raise ConfigError(f"`peeklock dev` runs here already, as process {other}: stop it first")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / ".gitignore").write_text("*\n")
    return folder


def running(folder: Path) -> int | None:
    """The process that serves from a folder; None when none does."""
    try:
        pid = int(json.loads((folder / TOLD).read_text())["pid"])
        os.kill(pid, 0)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid


def _open(project: Project, stands: Sequence[Stand]) -> Found:
    """The emulators, while another process looks into the code. One after the other: they import SDKs, some of which do
    not stand it that others are imported meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        finding = pool.submit(find, project)
        for stand in stands:
            stand.open()
        return finding.result()


def _serve(stands: Sequence[Stand], found: Found) -> None:
    """All platforms at once: each waits for processes that start."""
    with ThreadPoolExecutor(len(stands)) as pool:
        for serving in [pool.submit(stand.serve, found) for stand in stands]:
            serving.result()


def _announce(world: World, stands: Sequence[Stand], screen: Screen) -> None:
    """Where each platform is: for people to paste, and for `peeklock send`."""
    for platform, variables in _write(world, stands).items():
        screen.say(f"\n{platform}: paste this where a client runs")
        for name, value in variables.items():
            screen.say(f"  export {name}='{value}'")


def _write(world: World, stands: Sequence[Stand]) -> dict[str, dict[str, str]]:
    variables = {stand.platform: dict(stand.variables()) for stand in stands}
    (world.state / TOLD).write_text(json.dumps({"pid": os.getpid(), "platforms": variables}, indent=2))
    return variables


def _reload(world: World, stands: Sequence[Stand], screen: Screen) -> None:
    """The changed code; while it does not load, the processes that run serve on."""
    started = time.monotonic()
    try:
        _serve(stands, find(world.project))
    except PeeklockError as exc:
        screen.say(f"not reloaded: {exc}")
        return
    _write(world, stands)
    screen.say(f"reloaded in {time.monotonic() - started:.1f} s")


@contextmanager
def _watching(root: Path, bell: Bell, *, reload: bool) -> Iterator[None]:
    """Tell of changes in the project's code."""
    if not reload:
        yield
        return
    try:
        from watchfiles import PythonFilter, watch
    except ImportError as exc:
        raise ConfigError("reloading needs watchfiles: pip install 'peeklock[dev]', or say --no-reload") from exc
    ended = threading.Event()
    ignored = [root / name for name in (FOLDER, "build", "tests")]
    code = PythonFilter(ignore_paths=ignored, extra_extensions=(".json", ".toml"))

    def look() -> None:
        for _ in watch(root, watch_filter=code, stop_event=ended, raise_interrupt=False, rust_timeout=500):
            bell.ring()

    thread = threading.Thread(target=look, name="peeklock-dev-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()

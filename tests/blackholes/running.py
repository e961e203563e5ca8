"""Runs cases at the same moment, each in a process of its own: the clients of a process are made once and keep their
addresses, and threads that hang must not be the next case's."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import traceback
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

LIMIT = 3.5
"""Seconds that the platform leaves an event: the handler's time-out, the reserve, and little more."""

SLACK = 1.5
"""Seconds by which a machine with more to do than it has cores may be late. The clients by themselves take far longer."""

PATIENCE = 20.0
"""Seconds in which a case has to tell how it ended. Only one that hangs for ever takes them."""

AT_ONCE = 3
"""Cases that run at once. They wait for most of their time, but to make a client takes a core."""

SCENES = "tests.blackholes.scenes"

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([SCENES])


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A scene, what it is called with, and the environment that its process has."""

    scene: str
    """A function of `scenes`, by its name: that module imports every SDK, which is for the case's own process."""
    environ: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)


def run_all(cases: Mapping[str, Case]) -> dict[str, dict[str, Any]]:
    """Return the result of each case, by name; `{"hangs": True}` for a case that returns nothing."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(cases, pool.map(_run, cases.values()), strict=True))


def _run(case: Case) -> dict[str, Any]:
    ours, theirs = _context.Pipe(duplex=False)
    process = _context.Process(target=_tell, args=(theirs, case), daemon=True)
    process.start()
    theirs.close()
    try:
        report: dict[str, Any] = ours.recv() if ours.poll(PATIENCE) else {"hangs": True}
        return report
    finally:
        process.kill()  # it would wait for the threads of the SDKs
        process.join()
        process.close()
        ours.close()


def _tell(pipe: Any, case: Case) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "GOOGLE_", "GCE_", "PEEKLOCK_"))]:
        del os.environ[name]
    os.environ.update(case.environ)
    try:
        pipe.send(getattr(importlib.import_module(SCENES), case.scene)(**case.arguments))
    except BaseException:
        pipe.send({"raised": traceback.format_exc()})
        raise

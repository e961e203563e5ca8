"""Runs cases at the same moment, each in a process of its own: the clients of a process are made once and keep their
addresses, and threads that hang must not be the next case's."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LIMIT = 3.5
"""Seconds that the platform leaves an event: the handler's time-out, the reserve, and little more."""

SLACK = 1.5
"""Seconds by which a machine with more to do than it has cores may be late. The clients by themselves take far longer."""

PATIENCE = 20.0
"""Seconds in which all cases have to tell how they ended. Only one that hangs for ever takes them."""

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
    """What each case tells, by its name; `{"hangs": True}` for one that tells nothing."""
    started = {}
    for name, case in cases.items():
        ours, theirs = _context.Pipe(duplex=False)
        process = _context.Process(target=_tell, args=(theirs, case), daemon=True)
        process.start()
        theirs.close()
        started[name] = (process, ours)
    told = {}
    end = time.monotonic() + PATIENCE
    for name, (process, ours) in started.items():
        try:
            told[name] = ours.recv() if ours.poll(max(end - time.monotonic(), 0)) else {"hangs": True}
        finally:
            process.kill()  # it would wait for the threads of the SDKs
            process.join()
            process.close()
            ours.close()
    return told


def _tell(pipe: Any, case: Case) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "GOOGLE_", "GCE_", "PEEKLOCK_"))]:
        del os.environ[name]
    os.environ.update(case.environ)
    try:
        pipe.send(getattr(importlib.import_module(SCENES), case.scene)(**case.arguments))
    except BaseException:
        pipe.send({"raised": traceback.format_exc()})
        raise

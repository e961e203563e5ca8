"""Runs one Pulumi program, as `python -m cloudqueues.pulumi.program <what the engine said, as JSON>`."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import runpy
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pulumi.runtime import reset_options, run_in_stack, set_all_config

FILES = "PEEKLOCK_PROGRAM_FILES"
"""The variable with the path of a file that is to name what the program has loaded, a line each."""

INSTALLED = tuple({Path(one).resolve() for one in (sys.prefix, sys.base_prefix, sys.exec_prefix)})


def main(told: dict[str, Any]) -> None:
    """Raises what the program raises."""
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # what a failed resource breaks further on says nothing new
    reset_options(
        project=told["project"],
        stack=told["stack"],
        organization=told["organization"],
        monitor_address=told["monitor"],
        engine_address=told["engine"],
        parallel=told["parallel"],
        preview=told["preview"],
    )
    set_all_config(told["config"], told["secrets"])
    with asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(ThreadPoolExecutor(max_workers=4 * max(told["parallel"], 1)))
        runner.run(run_in_stack(lambda: _program(told["folder"])))


def _program(folder: str) -> None:
    try:
        runpy.run_path(folder, run_name="__main__")
    finally:
        _tell_files(folder)


def _tell_files(folder: str) -> None:
    """Whichever of them changes, the program is another one."""
    if told := os.environ.get(FILES):
        files = {
            Path(folder, "__main__.py").resolve(),
            *map(Path, filter(None, map(_file, list(sys.modules.values())))),
        }
        own = sorted(str(one) for one in files if not any(one.is_relative_to(each) for each in INSTALLED))
        Path(told).write_text("\n".join(own), encoding="utf-8")


def _file(module: Any) -> str | None:
    return getattr(module, "__file__", None)


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]))
    except BaseException:  # noqa: BLE001 (the engine shows it)
        traceback.print_exc()
        sys.exit(1)

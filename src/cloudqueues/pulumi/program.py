"""Runs one Pulumi program: `python -m cloudqueues.pulumi.program <arguments of the language host, as JSON>`."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import runpy
import signal
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pulumi.runtime import reset_options, run_in_stack, set_all_config

FILES = "PEEKLOCK_PROGRAM_FILES"
"""Variable with the path of a file into which the names of the loaded files are written, one a line."""

INSTALLED = tuple({Path(prefix).resolve() for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix)})


def main(arguments: dict[str, Any]) -> None:
    """Run the program. Raises what it raises."""
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # consequences of a failed resource add nothing new
    end_with_parent(arguments["parent_pipe"])
    reset_options(
        project=arguments["project"],
        stack=arguments["stack"],
        organization=arguments["organization"],
        monitor_address=arguments["monitor"],
        engine_address=arguments["engine"],
        parallel=arguments["parallel"],
        preview=arguments["preview"],
    )
    set_all_config(arguments["config"], arguments["secrets"])
    with asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(ThreadPoolExecutor(max_workers=4 * max(arguments["parallel"], 1)))
        runner.run(run_in_stack(lambda: _program(arguments["folder"])))


def end_with_parent(pipe: int) -> None:
    """End this process and its children when the language host ends, which closes the other end of the pipe."""

    def wait() -> None:
        os.read(pipe, 1)
        os.killpg(os.getpgrp(), signal.SIGKILL)  # the language host gave it a group of its own

    threading.Thread(target=wait, name="end-with-parent", daemon=True).start()


def _program(folder: str) -> None:
    try:
        runpy.run_path(folder, run_name="__main__")
    finally:
        _list_files(folder)


def _list_files(folder: str) -> None:
    """Write the names of the files whose change changes the program."""
    if listing := os.environ.get(FILES):
        files = {
            Path(folder, "__main__.py").resolve(),
            *map(Path, filter(None, map(_file, list(sys.modules.values())))),
        }
        own = sorted(str(file) for file in files if not any(file.is_relative_to(prefix) for prefix in INSTALLED))
        Path(listing).write_text("\n".join(own), encoding="utf-8")


def _file(module: Any) -> str | None:
    return getattr(module, "__file__", None)


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]))
    except BaseException:  # noqa: BLE001 (the engine shows it)
        traceback.print_exc()
        sys.exit(1)

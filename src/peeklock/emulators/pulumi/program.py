"""Runs one Pulumi program, as `python -m peeklock.emulators.pulumi.program <what the engine said, as JSON>`."""

from __future__ import annotations

import asyncio
import json
import logging
import runpy
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pulumi.runtime import reset_options, run_in_stack, set_all_config


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
    runpy.run_path(folder, run_name="__main__")


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]))
    except BaseException:  # noqa: BLE001 (the engine shows it)
        traceback.print_exc()
        sys.exit(1)

"""The steps of docs/emulators.md that redrive dead letters of `peeklock dev`, as they stand there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dev import sample
from tests.support import ROOT

PAGE = (ROOT / "docs/emulators.md").read_text()


def step(language: str, words: str) -> str:
    """Return the one code block of the page that is in this language and contains these words."""
    (block,) = [text for text in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if words in text]
    return block


COMMANDS = {
    "sqs": [sys.executable, "-c", step("python", "sqs.delete_message(")],
    "servicebus": [sys.executable, "-c", step("python", "receiver.complete_message(")],
    "cloudtasks": ["bash", "-c", step("console", "--redrive").removeprefix("$ ")],
}


@pytest.mark.parametrize("platform", COMMANDS)
def test_a_dead_letter_is_redriven(tmp_path: Path, platform: str) -> None:
    """It runs again from its first attempt, and becomes a dead letter again."""
    project = sample.write(tmp_path)
    dead = {"platform": platform, "message_id": "m-1", "disposition": "dead_letter"}
    with sample.dev(project, platform, "--no-reload") as running:
        body = json.dumps({"id": "bad"}).encode()
        sent = sample.command(project, "send", "orders", "-", "--platform", platform, "--id", "m-1", stdin=body)
        assert sent.returncode == 0, sent.stderr
        running.until("settled", attempt=2, **dead)
        variables = json.loads((project / ".peeklock/dev.json").read_text())["platforms"][platform]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, **variables, "PATH": path}
        ran = subprocess.run(
            COMMANDS[platform], cwd=project, env=environment, capture_output=True, timeout=60, check=False
        )
        assert ran.returncode == 0, ran.stderr
        running.until("settled", attempt=1, platform=platform, disposition="abandon")
        running.until("settled", attempt=2, **dead)
        assert running.end() == 0

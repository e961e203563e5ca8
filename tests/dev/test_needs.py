"""Platforms whose packages are not here: said in one line, and the others run."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from peeklock.dev.azure_worker import PINNED, check_installed
from peeklock.errors import ConfigError
from tests.dev import sample

HIDING = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hidden())
"""

WORKER = "azure_functions_runtime"


def without(folder: Path, *names: str) -> dict[str, str]:
    """The environment of a process that has not these modules, in whichever environment it was started."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(HIDING.format(names=set(names)))
    return {"PYTHONPATH": str(folder)}


@pytest.fixture
def project(tmp_path):
    (tmp_path / "project").mkdir()
    return sample.write(tmp_path / "project")


def test_the_others_run_without_it(project, tmp_path):
    """The missing requirement is reported before anything starts, and messages to the other platforms are handled.
    (trials 3.2)"""
    with sample.dev(project, "--no-reload", **without(tmp_path / "hiding", WORKER)) as running:
        said = [entry["say"] for entry in running.said if "say" in entry]
        (line,) = [text for text in said if text.startswith("without ")]
        assert line.startswith("without servicebus: servicebus on this machine needs azure-functions-runtime")
        assert "\n" not in line
        assert said.index(line) == 0
        for platform in ("sqs", "cloudtasks"):
            words = ("send", "orders", "-", "--platform", platform)
            assert sample.command(project, *words, stdin=json.dumps({"id": "a"}).encode()).returncode == 0
            running.until("settled", platform=platform, reason="done")
        assert running.end() == 0
    assert not sample.processes(project)


def test_alone_it_is_an_error(project, tmp_path):
    """The error is one line, and nothing is started. (trials 3.2)"""
    ran = sample.command(project, "dev", "servicebus", **without(tmp_path / "hiding", WORKER))
    (line,) = ran.stderr.decode().strip().splitlines()
    assert ran.returncode == 2
    assert "azure-functions-runtime" in line
    assert "pip install" in line
    assert not sample.processes(project)


def test_a_system_without_fcntl(project, tmp_path):
    """Windows is such a system: `peeklock dev` is refused in a line, and `peeklock send` looks elsewhere for an address."""
    windows = without(tmp_path / "hiding", "fcntl")
    ran = sample.command(project, "dev", **windows)
    assert ran.returncode == 2
    assert ran.stderr == b"peeklock dev: this command needs Linux or macOS; on Windows, run it in WSL\n"
    (project / ".peeklock").mkdir()
    (project / ".peeklock" / "lock").touch()
    ran = sample.command(project, "send", "orders", "-", PEEKLOCK_ORDERS_URL="memory://orders", **windows)
    assert ran.returncode == 0, ran.stderr


def test_a_platform_whose_functions_do_not_start(project):
    """Leaves the others running as well, and is said with its reason. (trials 3.2)"""
    (project / "azure" / "host.json").write_text("no json")
    with sample.dev(project, "--no-reload") as running:
        assert any(entry.get("say", "").startswith("without servicebus: ") for entry in running.said)
        sample.command(project, "send", "orders", "-", "--platform", "sqs", stdin=b'{"id": "a"}')
        running.until("settled", platform="sqs", reason="done")
        assert running.end() == 0


def test_a_program_for_azure(project, tmp_path):
    """Is not run, rather than failing after sixty resources."""
    program = project / "infra"
    program.mkdir()
    (program / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (program / "__main__.py").write_text(f"import peeklock.infra.azure\nopen({str(tmp_path / 'ran')!r}, 'w')\n")
    ran = sample.command(project, "dev", "--infra", "infra", **without(tmp_path / "hiding", WORKER))
    (line,) = ran.stderr.decode().strip().splitlines()
    assert ran.returncode == 2
    assert "azure-functions-runtime" in line
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("python", "hidden", "fix"),
    [
        (
            (3, 11, 7),
            {WORKER},
            r"on Python 3\.13 and newer: use such a Python, .* on 3\.11, too: pip install --ignore-requires-",
        ),
        (
            (3, 12, 1),
            {WORKER},
            r"on Python 3\.13 and newer: use such a Python, .* on 3\.12, too: pip install --ignore-requires-",
        ),
        (
            (3, 13, 0),
            {WORKER},
            r"azure-functions-runtime, Azure's own worker: pip install 'peeklock\[dev,servicebus\]'$",
        ),
        ((3, 11, 7), {"azure.functions"}, r"needs azure-functions: pip install 'peeklock\[dev,servicebus\]'$"),
        ((3, 11, 7), {"azure", "azure.functions"}, r"needs azure-functions: pip install 'peeklock\[dev,servicebus\]'$"),
    ],
)
def test_what_is_said_on_each_python(monkeypatch, python, hidden, fix):
    """The extra, or, where pip refuses it there, how to have it all the same. (trials 3.2)"""

    def find_spec(name: str) -> object:
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(name)
        return None if name in hidden else object()

    monkeypatch.setattr(sys, "version_info", python)
    monkeypatch.setattr("peeklock.dev.azure_worker.importlib.util.find_spec", find_spec)
    with pytest.raises(ConfigError, match=fix):
        check_installed()


def test_here_it_is_installed():
    """In the version that is told to others."""
    check_installed()
    for requirement in PINNED.split():
        name, _, pinned = requirement.partition("==")
        assert version(name) == pinned

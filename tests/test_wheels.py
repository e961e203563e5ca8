"""The two wheels of this tree: each is used without the other, as somebody has it who installed it alone."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.support import ROOT

PROJECTS = {"peeklock": ROOT, "cloudqueues": ROOT / "src" / "cloudqueues"}

ALONE = """
import sys
sys.path[:] = [entry for entry in sys.path if {root!r} not in entry or "site-packages" in entry]
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
sys.path.insert(0, {wheel!r})
"""
"""Beginning of a program that has one wheel, the packages of this environment, and nothing of this tree."""

SEND_AND_RECEIVE = """
from azure.servicebus import ServiceBusClient, ServiceBusMessage
import cloudqueues
from cloudqueues.servicebus import ServiceBusEmulator
with ServiceBusEmulator() as bus:
    bus.add_queue("orders")
    with ServiceBusClient.from_connection_string(bus.connection_string) as client:
        with client.get_queue_sender("orders") as sender:
            sender.send_messages(ServiceBusMessage("hello"))
        with client.get_queue_receiver("orders", max_wait_time=5) as receiver:
            print(next(receiver), cloudqueues.__file__)
"""

HANDLE = """
import json
import peeklock
from peeklock import Queue, cli, consumer, sqs
from peeklock.testing import deliver
@consumer(Queue("orders", timeout=1))
def charge(order: dict) -> None:
    print(order["id"], peeklock.__file__)
deliver(charge, {"id": 7})
assert cli.main(["emulator", "servicebus"]) == 2
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> dict[str, Path]:
    """Build both without a network, and return the folder of each, unzipped."""
    build = "import hatchling.build, sys; print(hatchling.build.build_wheel(sys.argv[1]))"
    unzipped = {}
    for name, project in PROJECTS.items():
        folder = tmp_path_factory.mktemp(name)
        built = subprocess.run(
            [sys.executable, "-c", build, str(folder)], cwd=project, capture_output=True, text=True, check=True
        )
        unzipped[name] = folder / "unzipped"
        zipfile.ZipFile(folder / built.stdout.split()[-1]).extractall(unzipped[name])
    return unzipped


def files(folder: Path) -> set[str]:
    """Return the Python files below a folder, from it on."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*.py")}


def alone(wheel: Path, hidden: str, program: str) -> subprocess.CompletedProcess[str]:
    code = ALONE.format(root=str(ROOT), hidden=hidden, wheel=str(wheel)) + program
    return subprocess.run([sys.executable, "-I", "-c", code], cwd=wheel, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", PROJECTS)
def test_a_wheel_has_its_package_and_nothing_else(wheels, name):
    """All of it, the mark that it is typed, and no test."""
    assert files(wheels[name]) == {f"{name}/{file}" for file in files(ROOT / "src" / name)}
    assert {path.name.partition("-")[0] for path in wheels[name].iterdir()} == {name}
    assert (wheels[name] / name / "py.typed").is_file()
    assert not list((wheels[name] / name).rglob("pyproject.toml"))


def test_the_emulators_without_peeklock(wheels):
    """The Service Bus emulator, with Microsoft's client."""
    ran = alone(wheels["cloudqueues"], "peeklock", SEND_AND_RECEIVE)
    assert ran.stdout.split() == ["hello", f"{wheels['cloudqueues']}/cloudqueues/__init__.py"], ran.stderr


def test_peeklock_without_the_emulators(wheels):
    """A handler is called, and the command says what an emulator needs."""
    ran = alone(wheels["peeklock"], "cloudqueues", HANDLE)
    assert ran.stdout.split() == ["7", f"{wheels['peeklock']}/peeklock/__init__.py"], ran.stderr
    assert "the emulators are not installed: pip install 'peeklock[dev]'" in ran.stderr


def test_they_have_one_version():
    """The extra of peeklock asks for the emulators of its own version."""
    projects = {
        name: tomllib.loads((path / "pyproject.toml").read_text())["project"] for name, path in PROJECTS.items()
    }
    assert projects["peeklock"]["version"] == projects["cloudqueues"]["version"]
    (requirement,) = (
        requirement
        for requirement in projects["peeklock"]["optional-dependencies"]["dev"]
        if requirement.startswith("cloudqueues")
    )
    extras, _, version = requirement.removeprefix("cloudqueues[").partition("]==")
    assert version == projects["cloudqueues"]["version"]
    assert set(extras.split(",")) <= projects["cloudqueues"]["optional-dependencies"].keys()

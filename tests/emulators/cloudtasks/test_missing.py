"""Errors name packages that are not installed, and Google's packages are not imported before an emulator starts."""

from __future__ import annotations

import subprocess
import sys

import pytest

NOT_INSTALLED = """
import sys
sys.modules[{module!r}] = None
from cloudqueues.cloudtasks import CloudTasksEmulator
from cloudqueues.errors import ConfigError
try:
    CloudTasksEmulator().start()
except ConfigError as exc:
    print(exc)
"""
NO_CRYPTOGRAPHY = """
import json, sys, urllib.error, urllib.request
from google.api_core.exceptions import GoogleAPICallError
from cloudqueues.cloudtasks import CloudTasksEmulator
name = "projects/p/locations/l/queues/q"
with CloudTasksEmulator() as emulator:
    client = emulator.client()
    sys.modules["cryptography.hazmat.primitives.asymmetric"] = None
    client.create_queue(parent="projects/p/locations/l", queue={"name": name})
    http = {"url": "http://x", "oidc_token": {"service_account_email": "a@b"}}
    try:
        client.create_task(parent=name, task={"http_request": http})
    except GoogleAPICallError as exc:
        print(exc.grpc_status_code.name, exc.message)
    target = {"oidc_token": {"service_account_email": "a@b"}}
    for call in (lambda: client.update_queue(queue={"name": name, "http_target": target}),
                 lambda: client.create_queue(parent="projects/p/locations/l", queue={"name": name + "2", "http_target": target})):
        try:
            call()
        except GoogleAPICallError as exc:
            print(exc.grpc_status_code.name, exc.message)
    try:
        urllib.request.urlopen(emulator.certs_url)
    except urllib.error.HTTPError as exc:
        print(exc.code, json.load(exc)["error"]["message"])
"""
LAZY = """
import sys
import cloudqueues.cloudtasks
print(sorted(set(sys.modules) & {"google.protobuf", "google.cloud.tasks_v2", "grpc", "cryptography", "requests"}))
"""


def printed(program: str) -> list[str]:
    """Return the lines that a program prints in a new process."""
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True)
    return run.stdout.splitlines()


@pytest.mark.parametrize("module", ["google.cloud.tasks_v2", "grpc.aio"])
def test_the_client_is_asked_for(module: str) -> None:
    assert printed(NOT_INSTALLED.format(module=module)) == [
        f"{module} is not installed: pip install 'cloudqueues[cloudtasks]'"
    ]


def test_what_signs_is_asked_for_with_the_first_token() -> None:
    text = "cryptography.hazmat.primitives.asymmetric is not installed: pip install cryptography"
    assert printed(NO_CRYPTOGRAPHY) == [*[f"FAILED_PRECONDITION {text}"] * 3, f"400 {text}"]


def test_nothing_is_loaded_before_it_is_needed() -> None:
    assert printed(LAZY) == ["[]"]

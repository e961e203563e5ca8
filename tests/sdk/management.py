"""azure-servicebus' own tests of its administration clients, from its source distribution, against the emulator.

    python -m tests.sdk.management          # fetches the distribution into build/ when it is not there

They were made for Azure, with recordings: here they run as they are, and the stand-ins below supply what nobody ships. The
asynchronous half needs aiohttp. As a pytest plugin this module marks the tests that cannot pass; one of those that passes
fails the run, as any other failure does.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import inspect
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from azure.core.credentials import AccessToken

from peeklock.emulators.servicebus import ServiceBusEmulator

NAME = "azure_servicebus-7.15.0"
SHA256 = "62c73f3d9efbaf0089a375adc5ef992ffe6d7d0b1218b8462265aa30ad352c3e"
BUILD = Path(__file__).parents[2] / "build" / "sdk"
HOST = "localhost"

ANY_KEY = "the emulator takes any key"
CANNOT_PASS = {
    "test_mgmt_queue_list_with_negative_credential": ANY_KEY,
    "test_async_mgmt_queue_list_with_negative_credential": ANY_KEY,
}
"""Tests by their names, and why. What the tests themselves skip is not among them."""


def fetch() -> Path:
    """Return the folder of the distribution. Raises ValueError when it is not the one that is meant."""
    archive = BUILD / f"{NAME}.tar.gz"
    if not archive.exists():
        wanted = NAME.replace("_", "-", 1).replace("-7", "==7")
        options = ["--quiet", "--no-deps", "--no-binary", ":all:", "--dest", str(BUILD)]
        subprocess.run([sys.executable, "-m", "pip", "download", *options, wanted], check=True)
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != SHA256:
        raise ValueError(f"{archive} has the SHA-256 {found}, and not {SHA256}")
    with tarfile.open(archive) as files:
        files.extractall(BUILD, filter="data")
    return BUILD / NAME


def main() -> int:
    """Run them, and return pytest's exit code."""
    tests = fetch() / "tests" / "mgmt_tests"
    options = ["--quiet", "--rootdir", str(tests.parent), "-p", "no:cacheprovider", "-p", "no:randomly", "-rfExX"]
    # pytest reads the project's own settings from here, which are for its own tests
    settings = ["-c", os.devnull, "--override-ini", "xfail_strict=true"]
    command = [sys.executable, "-m", "pytest", *options, *settings, "-p", "tests.sdk.management", str(tests)]
    return subprocess.run(command, check=False, cwd=Path(__file__).parents[2]).returncode


# -- the plugin


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Before the tests' own conftest is imported, and before any client is."""
    _install()
    emulator()


def pytest_unconfigure() -> None:
    emulator().stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.name in CANNOT_PASS:
            item.add_marker(pytest.mark.xfail(strict=True, reason=CANNOT_PASS[item.name]))


@pytest.fixture(scope="session")
def test_proxy() -> None:
    """Azure's recorder, which there is no need for."""


@functools.cache
def emulator() -> ServiceBusEmulator:
    """The one of this process, whose certificate is among those that clients trust from their import on."""
    bus = ServiceBusEmulator(host=HOST).start()
    os.environ["REQUESTS_CA_BUNDLE"] = os.environ["SSL_CERT_FILE"] = str(bus.certificate)
    return bus


@contextlib.contextmanager
def namespace() -> Iterator[dict[str, str]]:
    """The empty namespace, by all the names that tests have for its parts."""
    bus = emulator()
    host = f"{HOST}:{bus.http_port}"
    try:
        yield {
            "servicebus_connection_str": bus.admin_connection_string,
            "servicebus_fully_qualified_namespace": host,
            "servicebus_sas_policy": "RootManageSharedAccessKey",
            "servicebus_sas_key": "SAS_KEY_VALUE",
        }
    finally:
        for path in bus.entities.paths():
            bus.entities.remove(path)


def preparer() -> Callable[[Callable[..., Any]], Callable[[object], None]]:
    """Return the decorator that calls a test with a namespace."""

    def decorate(test: Callable[..., Any]) -> Callable[[object], None]:
        @functools.wraps(test)
        def prepared(case: object) -> None:
            with namespace() as supplied:
                parameters = inspect.signature(test).parameters
                takes_all = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
                made = test(case, **{name: one for name, one in supplied.items() if takes_all or name in parameters})
                if inspect.isawaitable(made):
                    asyncio.run(_awaited(made))

        del prepared.__wrapped__  # pytest would ask for the test's own parameters
        return prepared

    return decorate


async def _awaited(made: Any) -> None:
    await made


class Credential:
    """A token credential, sync or async: the emulator takes any token."""

    def __init__(self, *, is_async: bool) -> None:
        self.get_token = self._later if is_async else self._now

    def _now(self, *_scopes: str, **_options: object) -> AccessToken:
        return AccessToken("a token", int(time.time()) + 3600)

    async def _later(self, *_scopes: str, **_options: object) -> AccessToken:
        return self._now()


def _credential(*, is_async: bool = False) -> Credential:
    return Credential(is_async=is_async)


def _as_it_is(test: object) -> object:
    return test


def _nothing(*_arguments: object, **_options: object) -> None: ...


class Case:
    """For AzureMgmtRecordedTestCase."""


def _module(name: str, **contents: object) -> None:
    module = ModuleType(name)
    vars(module).update(contents)
    sys.modules[name] = module


def _install() -> None:
    """Put the stand-ins where the tests import them from."""
    sanitizers = ("add_remove_header_sanitizer", "add_general_regex_sanitizer", "add_oauth_response_sanitizer")
    _module(
        "devtools_testutils", AzureMgmtRecordedTestCase=Case, CachedResourceGroupPreparer=None,
        get_credential=_credential, set_custom_default_matcher=_nothing, recorded_by_proxy=_as_it_is,
    )  # fmt: skip
    _module("devtools_testutils.sanitizers", **dict.fromkeys(sanitizers, _nothing))
    _module("devtools_testutils.aio", recorded_by_proxy_async=_as_it_is)
    _module("sb_env_loader", ServiceBusPreparer=preparer)
    _module("servicebus_preparer", SERVICEBUS_ENDPOINT_SUFFIX="")


if __name__ == "__main__":
    sys.exit(main())

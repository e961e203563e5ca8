"""Function apps as the engine's state has them, recorded from infra/azure; and what reaches their processes."""

from __future__ import annotations

import json
import os
import threading
import zipfile
from pathlib import Path

import pytest

from cloudqueues.errors import CloudqueuesError
from handlers.orders.queue import ORDERS, RECEIPTS
from peeklock.dev.deployed.azure import NOWHERE, AzureRunner
from peeklock.dev.deployed.local_context import LocalContext
from peeklock.errors import ConfigError
from peeklock.infra.azure import package
from peeklock.infra.options import Capacity
from peeklock.infra.settings import azure as settings
from tests.support import ROOT

STATE = Path(__file__).with_name("azure_state.json")
"""`pulumi stack export` of the stack dev, of the types that matter here, and without inputs that nothing here reads."""

CANARIES = (
    "AWS_SECRET_ACCESS_KEY",
    "AZURE_CLIENT_SECRET",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "PEEKLOCK_SERVICEBUS",
    "AzureWebJobsServiceBus",
)


class Stack:
    """A recorded state that a test may change, with its packages, and a place to run it."""

    def __init__(self, folder: Path) -> None:
        self.resources = json.loads(STATE.read_text())
        self.program, self.code, self.state = folder / "infra/azure", folder / "code", folder / "state"
        self.packages = folder / "build/bundle"
        for created in (self.program, self.code, self.state, self.packages):
            created.mkdir(parents=True)
        self.lines: list[str] = []
        self.printed = threading.Condition()
        self.package(ORDERS, "handlers.orders.charge.charge", Capacity(batch=1, parallel=4))
        self.package(RECEIPTS, "handlers.orders.receipts.write_receipts", Capacity(batch=10))
        context = LocalContext(code=self.code, state=self.state, on_line=self._line)
        self.deployed = AzureRunner(context, self.program)

    def _line(self, _, line):
        with self.printed:
            self.lines.append(line)
            self.printed.notify_all()

    def until(self, holds):
        with self.printed:
            assert self.printed.wait_for(lambda: any(map(holds, self.lines)), 60), self.lines
            return next(filter(holds, self.lines))

    def package(self, queue, handler, capacity):
        """Write the package as the program renders it."""
        self.zipped(queue.name, package.rendered(queue, handler, settings.compute(queue, capacity)))

    def zipped(self, name, files):
        with zipfile.ZipFile(self.packages / f"azure-{name}.zip", "w") as archive:
            for file, text in files.items():
                archive.writestr(file, text)

    def inputs(self, type_, name):
        return next(
            resource["inputs"]
            for resource in self.resources
            if resource["type"].endswith(f":{type_}") and f"::shop-{name}" in resource["urn"]
        )

    def set(self, name, variable, value):
        """An app setting."""
        app_settings = self.inputs("WebApp", name)["siteConfig"]["appSettings"]
        app_settings[:] = [
            *(setting for setting in app_settings if setting["name"] != variable),
            {"name": variable, "value": value},
        ]

    def drop(self, type_):
        self.resources = [resource for resource in self.resources if not resource["type"].endswith(f":{type_}")]

    def functions(self):
        return self.deployed.functions(self.resources)


@pytest.fixture
def stack(tmp_path):
    opened = Stack(tmp_path)
    yield opened
    opened.deployed.close()


def test_functions(stack):
    """Numbers are those of the packages' host.json; of the environment only what leads elsewhere is changed."""
    orders, receipts = stack.functions()
    assert (orders.name, orders.entry) == ("shop-orders-55b2264", "handlers.orders.charge.charge")
    assert (receipts.name, receipts.entry) == ("shop-receipts-0e9f4aa", "handlers.orders.receipts.write_receipts")
    assert (orders.timeout, orders.batch, orders.concurrency) == (55, 1, 4)
    assert (receipts.timeout, receipts.batch, receipts.concurrency) == (125, 10, 1)
    assert orders.consuming
    app_settings = stack.inputs("WebApp", "orders")["siteConfig"]["appSettings"]
    assert orders.environment == {setting["name"]: setting["value"] for setting in app_settings}
    assert orders.changed == {
        "PEEKLOCK_SERVICEBUS": stack.deployed.emulator.connection_string,
        "PEEKLOCK_STORE": f"sqlite://{stack.state}/shophost-ae16a23-leases.db",
        "APPLICATIONINSIGHTS_CONNECTION_STRING": NOWHERE,
    }
    assert receipts.changed["PEEKLOCK_STORE"] == orders.changed["PEEKLOCK_STORE"], "they share a table"


@pytest.mark.parametrize("value", ["true", "True", "1"])
def test_a_function_that_is_switched_off(stack, value):
    stack.set("receipts", "AzureWebJobs.write_receipts.Disabled", value)
    assert [function.consuming for function in stack.functions()] == [True, False]


def test_what_may_be_missing(stack):
    """An app with another file than the rendered, without a store, telemetry and a namespace; a connection string of its own
    is changed as well."""
    stack.zipped("orders", {"function_app.py": "import azure.functions\n", "host.json": HOST_JSON})
    stack.inputs("WebApp", "orders")["siteConfig"]["appSettings"] = [
        {"name": "MINE", "value": "Endpoint=sb://shop.servicebus.windows.net/;SharedAccessKeyName=a;SharedAccessKey=b"},
    ]
    orders = stack.functions()[0]
    assert orders.entry == "function_app.py"
    assert orders.timeout == float("inf")
    assert orders.changed == {"MINE": stack.deployed.emulator.connection_string}


def test_resources_that_are_no_functions(stack):
    """A site, an app that the program only looks up, one about to be deleted, a blob of a text, another deployment."""
    site, external, deleted, text, linked = (
        next(dict(resource) for resource in stack.resources if resource["type"].endswith(f":{type_}"))
        for type_ in ("WebApp", "WebApp", "WebApp", "Blob", "Deployment")
    )
    site["inputs"] = {"name": "site", "kind": "app,linux"}
    external |= {"external": True, "inputs": {}}
    deleted["delete"] = True
    text["inputs"] = {**text["inputs"], "source": {"text": "hello"}}
    linked["inputs"] = {"properties": {"mode": "Incremental", "templateLink": {"uri": "https://x"}}}
    before = stack.functions()
    stack.resources = [site, external, deleted, text, linked, *stack.resources]
    assert stack.functions() == before


def _another_runtime(stack):
    stack.inputs("WebApp", "orders")["functionAppConfig"]["runtime"] = {"name": "node", "version": "22"}


def _another_store(stack):
    stack.set("receipts", "PEEKLOCK_STORE", "redis://cache.example.com:6379")


def _another_package(stack):
    stack.inputs("Blob", "orders")["blobName"] = "other.zip"


def _no_package(stack):
    (stack.packages / "azure-orders.zip").unlink()


def _a_broken_package(stack):
    (stack.packages / "azure-orders.zip").write_bytes(b"no zip file")


def _half_a_package(stack):
    stack.zipped("orders", {"function_app.py": ""})


def _no_deployment(stack):
    stack.drop("Deployment")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_another_runtime, "'shop-orders-55b2264' has the runtime 'node'.* leave it out of this stack"),
        (_another_store, "'shop-receipts-0e9f4aa': PEEKLOCK_STORE='redis://.* give this stack a table"),
        (_another_package, "is no file that this program uploads; make it with App.consumer"),
        (_no_package, r"azure-orders\.zip.*run `pulumi up` again"),
        (_a_broken_package, "not a zip file; run `pulumi up` again"),
        (_half_a_package, r"no host\.json in .*azure-orders\.zip"),
        (_no_deployment, "has no package deployed to it; make it with App.consumer"),
    ],
)
def test_what_cannot_run_here(stack, change, said):
    change(stack)
    with pytest.raises(ConfigError, match=said):
        stack.functions()


HOST_JSON = json.dumps(
    {
        "version": "2.0",
        "extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"},
    }
)

APP = """
import json, os
import azure.functions as func
app = func.FunctionApp()
import local

@app.service_bus_queue_trigger(arg_name="message", queue_name="orders", connection="PEEKLOCK_SERVICEBUS")
def charge(message: func.ServiceBusMessage) -> None:
    ...

print("seen " + json.dumps({"environment": dict(os.environ), "local": local.__file__, "pid": os.getpid()}), flush=True)
"""


def seen(line):
    return line.startswith("seen ")


def test_the_environment_of_a_process(stack, monkeypatch):
    """The process has what it was given, the program's variables and those that are changed, and nothing of this
    process; it imports the local code first, and then its packages."""
    for name in CANARIES:
        monkeypatch.setenv(name, "canary")
    stack.deployed.open()
    stack.deployed.emulator.add_queue("orders")
    (stack.code / "local.py").write_text("")
    (stack.code / ".python_packages/lib/site-packages").mkdir(parents=True)
    stack.zipped("orders", {"function_app.py": APP, "host.json": HOST_JSON})
    stack.set("receipts", "AzureWebJobs.write_receipts.Disabled", "true")  # it has no code here
    base = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "src"),
        "PEEKLOCK_FOLLOW": "127.0.0.1:9",
        "LC_ALL": "C.UTF-8",
    }
    stack.deployed.serve(stack.resources, base)
    report = json.loads(stack.until(seen).removeprefix("seen "))
    orders = stack.functions()[0]
    own = {"FUNCTIONS_WORKER_RUNTIME": "python", "PYTHONUNBUFFERED": "1"}
    places = [stack.code, stack.code / ".python_packages/lib/site-packages", base["PYTHONPATH"]]
    path = {"PYTHONPATH": os.pathsep.join(map(str, places))}
    assert report["environment"] == {**base, **own, **orders.environment, **orders.changed, **path}
    assert "canary" not in report["environment"].values()
    assert report["local"] == str(stack.code / "local.py")
    variables = stack.deployed.variables()
    assert variables["PEEKLOCK_SERVICEBUS"] == stack.deployed.emulator.connection_string
    assert set(variables) == {"PEEKLOCK_SERVICEBUS", "PEEKLOCK_SERVICEBUS_ADMIN", "PEEKLOCK_SERVICEBUS_CERTIFICATE"}


def test_where_one_does_not_start_none_runs(stack):
    """The first runs already when the second fails."""
    stack.deployed.open()
    stack.deployed.emulator.add_queue("orders")
    (stack.code / "local.py").write_text("")
    stack.zipped("orders", {"function_app.py": APP, "host.json": HOST_JSON})
    stack.zipped("receipts", {"function_app.py": "raise OSError('broken')", "host.json": HOST_JSON})
    with pytest.raises(CloudqueuesError, match="broken"):
        stack.deployed.serve(stack.resources, {"PATH": os.environ["PATH"]})
    pid = json.loads(stack.until(seen).removeprefix("seen "))["pid"]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)

"""Roles, environment, names and package: what the components hand to resources."""

from __future__ import annotations

import ast
import io
import json
import zipfile
from types import MappingProxyType

import pytest

from handlers.orders.queue import ORDERS, RECEIPTS
from peeklock import ConfigError, Queue
from peeklock.binding.bind import binding_of
from peeklock.infra.azure import naming, package
from peeklock.infra.azure.environment import ResourceNames, environment, for_producers
from peeklock.infra.azure.identity import Role, grants
from peeklock.infra.options import Capacity
from peeklock.infra.settings.azure import compute

BUS = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ServiceBus/namespaces/shop"
NAMES = ResourceNames(
    namespace="shop",
    dead_letters="orders-dead-letters",
    store="tables://shophost/leases",
    host_account="shophost",
    client_id="id-1",
    telemetry="InstrumentationKey=k",
)
FIFO = Queue("ordered", fifo=True)


def on(queue, uses=()):
    return {(grant.name, grant.role, grant.on) for grant in grants(queue, uses)}


def test_a_consumer_is_granted_what_it_does():
    """Receive and copy on the queue, send on dead letters, and its store, host, code and logs."""
    assert on(ORDERS) == {
        ("receive", Role.SERVICE_BUS_DATA_RECEIVER, "queue"),
        ("delay", Role.SERVICE_BUS_DATA_SENDER, "queue"),
        ("dead-letter", Role.SERVICE_BUS_DATA_SENDER, "dead_letters"),
        ("remember", Role.STORAGE_TABLE_DATA_CONTRIBUTOR, "table"),
        ("host", Role.STORAGE_BLOB_DATA_OWNER, "host"),
        ("deploy", Role.STORAGE_BLOB_DATA_CONTRIBUTOR, "code"),
        ("code", Role.STORAGE_BLOB_DATA_READER, "packages"),
        ("tell", Role.MONITORING_METRICS_PUBLISHER, "telemetry"),
    }


def test_each_queue_that_it_sends_to_is_one_more():
    """The function's own queue is granted already, as it copies to it."""
    assert on(ORDERS, [RECEIPTS, ORDERS]) - on(ORDERS) == {
        ("send-receipts", Role.SERVICE_BUS_DATA_SENDER, "queue:receipts")
    }


def test_sessions_are_never_copied():
    """So its own queue is not sent to, unless the handler does."""
    assert "delay" not in {name for name, _, _ in on(FIFO)}
    assert ("send-ordered", Role.SERVICE_BUS_DATA_SENDER, "queue:ordered") in on(FIFO, [FIFO])


def test_a_role_is_defined_in_the_subscription():
    """The id has the form that the platform returns, so that a refresh finds no difference."""
    role = Role.SERVICE_BUS_DATA_SENDER
    assert role.definition(BUS) == f"/subscriptions/s/providers/Microsoft.Authorization/roleDefinitions/{role.value}"


def variables_of(queue=ORDERS, *, uses=MappingProxyType({}), consuming=True):
    settings = compute(queue, Capacity(batch=1))
    return environment(
        queue, settings, NAMES, uses=uses, variables={}, host_id="h", function="charge", consuming=consuming
    )


def test_the_environment_of_the_code():
    """Addresses, the contract's fingerprint, and the lock."""
    variables = variables_of(uses={"PEEKLOCK_RECEIPTS_URL": "sb://shop.servicebus.windows.net/receipts"})
    assert {key: value for key, value in variables.items() if key.startswith("PEEKLOCK_")} == {
        "PEEKLOCK_STORE": "tables://shophost/leases",
        "PEEKLOCK_ORDERS_URL": "sb://shop.servicebus.windows.net/orders",
        "PEEKLOCK_ORDERS_DEAD_LETTER": "sb://shop.servicebus.windows.net/orders-dead-letters",
        "PEEKLOCK_ORDERS_FINGERPRINT": ORDERS.fingerprint,
        "PEEKLOCK_ORDERS_LOCK": "55",
        "PEEKLOCK_RECEIPTS_URL": "sb://shop.servicebus.windows.net/receipts",
        "PEEKLOCK_SERVICEBUS__fullyQualifiedNamespace": "shop.servicebus.windows.net",
        "PEEKLOCK_SERVICEBUS__credential": "managedidentity",
        "PEEKLOCK_SERVICEBUS__clientId": "id-1",
        "PEEKLOCK_TABLES__clientId": "id-1",
    }


def test_no_connection_has_a_key():
    """Each says the identity."""
    variables = variables_of()
    assert variables["AzureWebJobsStorage__credential"] == "managedidentity"
    assert variables["APPLICATIONINSIGHTS_AUTHENTICATION_STRING"] == "ClientId=id-1;Authorization=AAD"
    assert not [key for key in variables if key in {"AzureWebJobsStorage", "PEEKLOCK_SERVICEBUS", "PEEKLOCK_TABLES"}]


def test_flex_consumption_refuses_none_of_them():
    """These are set in functionAppConfig there. https://learn.microsoft.com/azure/azure-functions/functions-app-settings"""
    deprecated = {"FUNCTIONS_WORKER_RUNTIME", "FUNCTIONS_EXTENSION_VERSION", "WEBSITE_RUN_FROM_PACKAGE"}
    assert not deprecated & set(variables_of())


def test_a_call_has_a_thread():
    """There are as many threads as calls at once."""
    settings = compute(ORDERS, Capacity(batch=1, parallel=6))
    variables = environment(
        ORDERS, settings, NAMES, uses={}, variables={}, host_id="h", function="charge", consuming=True
    )
    assert variables["PYTHON_THREADPOOL_THREAD_COUNT"] == "6"


def test_a_pause_disables_the_function():
    """The platform's own setting disables it, and only then."""
    assert variables_of(consuming=False)["AzureWebJobs.charge.Disabled"] == "true"
    assert "AzureWebJobs.charge.Disabled" not in variables_of()


def test_a_producer_is_told_the_address():
    """And the namespace."""
    assert for_producers(RECEIPTS, "shop") == {
        "PEEKLOCK_SERVICEBUS__fullyQualifiedNamespace": "shop.servicebus.windows.net",
        "PEEKLOCK_RECEIPTS_URL": "sb://shop.servicebus.windows.net/receipts",
    }


def test_names():
    """Names have the form that Azure takes."""
    assert naming.function_app("Shop", "orders_eu") == "shop-orders-eu"
    assert naming.function_app("shop", "q" * 46) == f"shop-{'q' * 46}"  # and nine characters of Pulumi's
    with pytest.raises(ConfigError, match="has 52 characters"):
        naming.function_app("shop", "q" * 47)
    assert naming.account("My-Very-Long-Shop-Name", "host") == "myverylongshhost"
    assert len(naming.account("x" * 40, "host")) == 16
    assert naming.part(f"{BUS}/queues/orders", "queues") == "orders"
    assert naming.parent(f"{BUS}/queues/orders", "namespaces") == BUS
    with pytest.raises(ConfigError, match=r"has 81 characters.*shorten the app's name 'shoop'"):
        naming.function_app("shoop", "q" * 75)
    with pytest.raises(ConfigError, match="is not a resource id with /queues/"):
        naming.part(BUS, "queues")


def test_hosts_have_names_of_their_own():
    """Else apps that begin alike would share their leases."""
    names = {naming.host_id(app, "orders", stack) for app in ("a", "b") for stack in ("dev", "prod")}
    assert len(names) == 4
    assert all(len(name) == 32 for name in names)


@pytest.mark.parametrize(
    ("queue", "capacity", "batch", "sessions"),
    [
        (ORDERS, Capacity(batch=1, parallel=3), False, False),
        (RECEIPTS, Capacity(batch=10), True, False),
        (FIFO, Capacity(batch=1), False, True),
    ],
)
def test_the_trigger_is_as_the_settings(queue, capacity, batch, sessions):
    """The rendered code binds with these settings, by the real binding on the real FunctionApp."""
    settings = compute(queue, capacity)
    source = package.function_app(queue, f"{__name__}.nobody", settings)
    code = "\n".join(line for line in source.splitlines() if not line.startswith(f"from {__name__}"))
    scope = {"consumer": declared(queue)}
    exec(compile(code, "function_app.py", "exec"), scope)
    (function,) = scope["app"].get_functions()
    (binding,) = function.get_bindings_dict()["bindings"]
    assert function.get_function_name() == "nobody"
    assert binding["queueName"] == queue.name
    assert (str(binding["cardinality"]).endswith("MANY"), binding["isSessionsEnabled"]) == (batch, sessions)
    assert binding["connection"] == "PEEKLOCK_SERVICEBUS"
    bound = binding_of(function.get_user_function())
    assert bound.options["parallel"] == capacity.parallel


MORE = {"unwrap": lambda body: body}


def test_further_arguments_of_bind():
    """From a mapping in the bundle; it may not say again what the infrastructure says."""
    source = package.function_app(ORDERS, f"{__name__}.nobody", compute(ORDERS, Capacity(batch=1)), f"{__name__}.MORE")
    assert f"from {__name__} import MORE as options\n" in source
    code = "\n".join(line for line in source.splitlines() if not line.startswith(f"from {__name__}"))
    scope = {"consumer": declared(ORDERS), "options": MORE}
    exec(compile(code, "function_app.py", "exec"), scope)
    (function,) = scope["app"].get_functions()
    assert binding_of(function.get_user_function()).options["unwrap"] is MORE["unwrap"]
    with pytest.raises(TypeError, match="multiple values for keyword argument 'parallel'"):
        exec(compile(code, "function_app.py", "exec"), {"consumer": declared(ORDERS), "options": {"parallel": 2}})
    with pytest.raises(ConfigError, match="options='OPTIONS': name a mapping as module and name"):
        package.function_app(ORDERS, "a.b", compute(ORDERS, Capacity(batch=1)), "OPTIONS")


def declared(queue):
    from peeklock import consumer

    @consumer(queue)
    def nobody(body: dict) -> None:
        """Does nothing."""

    return nobody


@pytest.mark.parametrize("handler", ["charge", "handlers.orders:charge", "handlers..charge", ""])
def test_a_handler_is_module_and_function(handler):
    """Anything else is refused before anything is made."""
    with pytest.raises(ConfigError, match="name the consumer as module and function"):
        package.function_of(handler)


def bundle(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/"), text)
    return out.getvalue()


def test_a_package_is_the_bundle_and_what_is_rendered():
    """A file of the same name gives way, also the bundle's own host.json."""
    files = package.rendered(ORDERS, "handlers.orders.charge.charge", compute(ORDERS, Capacity(batch=1)))
    packed = package.zipped(
        package.contents(bundle(host="old", **{"host.json": "{}", "handlers__x.py": "x = 1"}), files)
    )
    with zipfile.ZipFile(io.BytesIO(packed)) as opened:
        assert opened.namelist() == ["function_app.py", "handlers/x.py", "host", "host.json"]
        assert json.loads(opened.read("host.json"))["functionTimeout"] == "00:00:55"
        ast.parse(opened.read("function_app.py"))


def test_a_package_is_the_same_on_any_day():
    """Byte for byte, whatever the order and the times in the bundle."""
    contents = package.contents(bundle(a="1", b="2"), {"c": "3"})
    assert package.zipped(contents) == package.zipped(package.contents(bundle(b="2", a="1"), {"c": "3"}))
    assert package.digest(contents) != package.digest(package.contents(bundle(a="1", b="2"), {"c": "4"}))


def test_a_package_lies_beside_the_bundle(tmp_path):
    """Under the queue's name, and its digest follows the contents."""
    (tmp_path / "azure.zip").write_bytes(bundle(a="1"))
    path, digest = package.written(tmp_path / "azure.zip", ORDERS, {"b": "2"})
    assert path == tmp_path / "azure-orders.zip"
    assert package.written(tmp_path / "azure.zip", ORDERS, {"b": "2"}) == (path, digest)
    assert package.written(tmp_path / "azure.zip", ORDERS, {"b": "3"})[1] != digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["azure-orders.zip", "azure.zip"]

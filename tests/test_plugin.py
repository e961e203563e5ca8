"""The pytest plugin, as those see it who use nothing else of peeklock."""

from __future__ import annotations

import json
import subprocess
import sys

from azure.servicebus import ServiceBusClient, ServiceBusMessage

from tests.support import ROOT

APP = """
import azure.functions as func

app = func.FunctionApp()

@app.service_bus_queue_trigger(arg_name="message", queue_name="orders", connection="AzureWebJobsServiceBus")
def handle(message: func.ServiceBusMessage) -> None:
    if message.get_body() == b"no":
        raise ValueError("no")
"""


def test_loading_it_costs_nothing():
    """No emulator and no SDK."""
    code = "import sys, pytest; before = set(sys.modules); import cloudqueues.pytest_plugin; print(*sorted(set(sys.modules) - before))"
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(completed) <= {
        "cloudqueues",
        "cloudqueues.pytest_plugin",
        "__future__",
        "contextlib",
        "typing",
        "pathlib",
    }


def test_its_fixtures_are_listed():
    """With what they are for."""
    command = [sys.executable, "-m", "pytest", "--fixtures", "-p", "no:cacheprovider", __file__]
    listing = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    for name in ("servicebus", "cloudtasks", "sqs_lambda", "functions_host", "emulator_clock"):
        assert f"{name} -- " in listing


def test_service_bus(servicebus, emulator_clock):
    """A lock ends when the test says so."""
    servicebus.add_queue("orders", lock_duration=30)
    with (
        ServiceBusClient.from_connection_string(servicebus.connection_string) as client,
        client.get_queue_sender("orders") as sender,
        client.get_queue_receiver("orders", max_wait_time=5) as receiver,
    ):
        sender.send_messages(ServiceBusMessage("x"))
        first = next(receiver)
        emulator_clock.advance(31)
        again = next(receiver)
        assert (first.delivery_count, again.delivery_count) == (0, 1)
        receiver.complete_message(again)


def test_cloud_tasks(cloudtasks, emulator_clock):
    """A task of tomorrow is sent when the test says so."""
    client, parent = cloudtasks.client(), "projects/p/locations/l"
    queue = client.create_queue(parent=parent, queue={"name": f"{parent}/queues/q"})
    tomorrow = {"seconds": int(cloudtasks.now) + 86_400}
    url = f"{cloudtasks.http_url}/nowhere"
    client.create_task(parent=queue.name, task={"http_request": {"url": url}, "schedule_time": tomorrow})
    assert not cloudtasks.dispatches
    emulator_clock.advance(86_401)
    cloudtasks.wait_for(lambda dispatches: len(dispatches) > 0)
    assert cloudtasks.dispatches[0].status == 404


def test_sqs_to_lambda(sqs_lambda, tmp_path):
    """A function in a file, and a message to it."""
    (tmp_path / "app.py").write_text("def handler(event, context):\n    print(event['Records'][0]['body'])\n")
    lines: list[str] = []
    url = sqs_lambda.queue("orders", VisibilityTimeout=30)
    function = sqs_lambda.function(queue_url=url, handler="app.handler", cwd=tmp_path, on_line=lines.append)
    sqs_lambda.client.send_message(QueueUrl=url, MessageBody="hello")
    function.wait_idle(30)
    assert [invocation.outcome for invocation in function.invocations] == ["success"]
    assert "hello" in lines
    assert url.startswith(sqs_lambda.endpoint_url)


def test_functions_host(functions_host, servicebus, tmp_path):
    """A function app in a folder, on this test's Service Bus."""
    (tmp_path / "function_app.py").write_text(APP)
    (tmp_path / "host.json").write_text(
        json.dumps({"version": "2.0", "extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle"}})
    )
    servicebus.add_queue("orders", max_delivery_count=2)
    host = functions_host(tmp_path)
    with (
        ServiceBusClient.from_connection_string(servicebus.connection_string) as client,
        client.get_queue_sender("orders") as sender,
    ):
        sender.send_messages([ServiceBusMessage("yes"), ServiceBusMessage("no")])
        host.wait_count(3)
    assert not servicebus.messages("orders")
    assert len(servicebus.messages("orders/$DeadLetterQueue")) == 1

"""The command `cloudqueues`, as a user runs it, with the clouds' own clients."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from google.cloud import tasks_v2

from cloudqueues.cli import main
from cloudqueues.cloudtasks.sdk import client_of
from cloudqueues.sqs_lambda.queue import client

FUNCTION_APP = """
import azure.functions as func

app = func.FunctionApp()

@app.service_bus_queue_trigger(arg_name="message", queue_name="orders", connection="AzureWebJobsServiceBus")
def handle(message: func.ServiceBusMessage) -> None:
    import os
    print(os.environ["STAGE"], message.get_body().decode(), flush=True)
"""


@contextmanager
def running(*words: str) -> Iterator[tuple[dict[str, str], IO[str]]]:
    """Start the command; the variables that it prints, and its standard error."""
    command = [sys.executable, "-m", "cloudqueues.cli", *words, "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        yield json.loads(process.stdout.readline()), process.stderr
    finally:
        process.terminate()
        assert process.wait(30) == 0
        process.communicate()


def test_service_bus():
    with (
        running("servicebus", "--queue", "orders") as (variables, _),
        ServiceBusClient.from_connection_string(variables["SERVICEBUS_CONNECTION_STRING"]) as bus,
        bus.get_queue_sender("orders") as sender,
        bus.get_queue_receiver("orders", max_wait_time=5) as receiver,
    ):
        sender.send_messages(ServiceBusMessage("x"))
        assert str(next(receiver)) == "x"


def test_cloud_tasks_over_grpc_and_rest():
    queue = "projects/p/locations/l/queues/orders"
    with running("cloudtasks", "--queue", queue) as (variables, _):
        tasks: tasks_v2.CloudTasksClient = client_of(variables["CLOUD_TASKS_EMULATOR_HOST"])
        assert tasks.get_queue(name=queue).name == queue
        with urllib.request.urlopen(f"{variables['CLOUD_TASKS_EMULATOR_URL']}/v2/{queue}") as answer:
            assert json.load(answer)["name"] == queue
        tasks.transport.close()


def test_sqs_to_lambda(tmp_path: Path):
    """Standard error has what the function prints, and the outcome of each batch."""
    (tmp_path / "app.py").write_text(
        "import os\ndef handler(event, context):\n    print(os.environ['STAGE'], event['Records'][0]['body'])\n"
    )
    words = ("sqs-lambda", "app.handler", "--queue", "orders", "--cwd", str(tmp_path), "--env", "STAGE=dev=1")
    with running(*words) as (variables, errors):
        sqs = client(variables["AWS_ENDPOINT_URL_SQS"], variables["AWS_REGION"])
        sqs.send_message(QueueUrl=variables["SQS_QUEUE_URL"], MessageBody="hello")
        lines = [errors.readline()]
        while not lines[-1].startswith("1 messages: "):
            lines.append(errors.readline())
        sqs.close()
    assert "dev=1 hello\n" in lines
    assert lines[-1] == "1 messages: success\n"


def test_sqs_alone():
    with running("sqs-lambda", "--queue", "orders.fifo") as (variables, _):
        sqs = client(variables["AWS_ENDPOINT_URL_SQS"], variables["AWS_REGION"])
        assert sqs.list_queues()["QueueUrls"] == [variables["SQS_QUEUE_URL"]]
        sqs.close()


def test_functions(tmp_path: Path):
    """With a Service Bus of its own, and then on one that runs."""
    (tmp_path / "function_app.py").write_text(FUNCTION_APP)
    bundle = {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"}
    (tmp_path / "host.json").write_text(json.dumps({"version": "2.0", "extensionBundle": bundle}))
    words = ("functions", str(tmp_path), "--env", "STAGE=dev")
    with running(*words, "--queue", "orders") as (variables, errors):
        assert handled(variables["SERVICEBUS_CONNECTION_STRING"], errors)
    with running("servicebus", "--queue", "orders") as (bus, _):
        connection = bus["SERVICEBUS_CONNECTION_STRING"]
        with running(*words, "--servicebus", connection) as (variables, errors):
            assert variables == {"SERVICEBUS_CONNECTION_STRING": connection}
            assert handled(connection, errors)


def handled(connection: str, errors: IO[str]) -> bool:
    """Send a message, and wait for the line that the function prints of it."""
    with ServiceBusClient.from_connection_string(connection) as bus, bus.get_queue_sender("orders") as sender:
        sender.send_messages(ServiceBusMessage("hello"))
    return any("dev hello" in line for line in errors)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["sqs-lambda", "app.handler"], "cloudqueues sqs-lambda: app.handler needs a queue: add --queue NAME"),
        (
            ["sqs-lambda", "app.handler", "--queue", "o", "--env", "X"],
            "cloudqueues sqs-lambda: --env X: write NAME=VALUE",
        ),
        (["sqs-lambda", "handler", "--queue", "o"], "handler='handler' is not of the form 'module.function'"),
        (["cloudtasks", "--queue", "o"], "write projects/PROJECT/locations/LOCATION/queues/o"),
        (["functions", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_started(words, text, capsys):
    """A line that names the fix, and exit code 2."""
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert text in line

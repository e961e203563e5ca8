"""`peeklock emulator`, as a user runs it, with the real clients."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage, TransportType
from azure.servicebus.management import ServiceBusAdministrationClient
from google.cloud import tasks_v2

from peeklock.cli import main
from peeklock.platforms.cloudtasks.sender import client as cloud_tasks
from peeklock.platforms.http_push.certificates import load
from tests.dev import sample

CONFIG = {
    "UserConfig": {
        "Namespaces": [{"Name": "sbemulatorns", "Queues": [{"Name": "orders"}]}],
        "Logging": {"Type": "File"},
    }
}


def start(*words: str) -> tuple[subprocess.Popen[str], str]:
    """The process, and the value that it prints for pasting."""
    command = [sys.executable, "-m", "peeklock.cli", "emulator", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return process, printed(process)


def printed(process: subprocess.Popen[str]) -> str:
    """The value of the next line."""
    assert process.stdout is not None
    return process.stdout.readline().partition("='")[2].rstrip("'\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_service_bus(tmp_path, number):
    """With a queue by its name, and one from Microsoft's config.json."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    process, connection = start("servicebus", "--queue", "mine", "--config", str(tmp_path / "config.json"))
    try:
        with ServiceBusClient.from_connection_string(connection) as client:
            for queue in ("mine", "orders"):
                with client.get_queue_sender(queue) as sender:
                    sender.send_messages(ServiceBusMessage("x"))
                with client.get_queue_receiver(queue, max_wait_time=5) as receiver:
                    assert str(next(receiver)) == "x"
        certificate, administration = printed(process), printed(process)
        with ServiceBusAdministrationClient.from_connection_string(
            administration, connection_verify=certificate
        ) as admin:
            assert [queue.name for queue in admin.list_queues()] == ["mine", "orders"]
    finally:
        process.send_signal(number)
        assert process.wait(30) == 0
        process.communicate()


def test_service_bus_with_tls():
    """The second line names the certificate that clients must trust."""
    process, connection = start("servicebus", "--tls", "--tier", "premium", "--queue", "mine")
    try:
        assert process.stdout is not None
        name, _, certificate = process.stdout.readline().removeprefix("export ").rstrip("'\n").partition("='")
        assert name == "PEEKLOCK_SERVICEBUS_CERTIFICATE"
        endpoint = connection.removeprefix("Endpoint=").partition(";")[0]
        trusting = {"connection_verify": certificate, "custom_endpoint_address": endpoint}
        with (
            ServiceBusClient.from_connection_string(
                connection, transport_type=TransportType.Amqp, **trusting
            ) as client,
            client.get_queue_sender("mine") as sender,
        ):
            sender.send_messages(ServiceBusMessage("x" * 300_000))
    finally:
        process.terminate()
        assert process.wait(30) == 0
        process.communicate()
    assert not Path(certificate).exists()


def test_cloud_tasks_has_neither_tls_nor_tiers(capsys):
    for option in (["--tls"], ["--tier", "premium"]):
        with pytest.raises(SystemExit) as ended:
            main(["emulator", "cloudtasks", *option])
        assert ended.value.code == 2
        assert f"unrecognized arguments: {' '.join(option)}" in capsys.readouterr().err


def test_its_help_is_that_of_the_emulators(capsys):
    """Under the name of this command."""
    for words, text in (
        (["--help"], "usage: peeklock emulator"),
        (["sqs-lambda", "--help"], "peeklock emulator sqs-lambda"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["emulator", *words])
        assert ended.value.code == 0
        assert text in capsys.readouterr().out


def test_without_the_emulators_the_extra_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "cloudqueues.cli", None)
    assert main(["emulator", "servicebus"]) == 2
    assert "pip install 'peeklock[dev]'" in capsys.readouterr().err


def test_cloud_tasks():
    """With a queue, and with the keys by which a function checks the tokens of its tasks."""
    name = "projects/p/locations/l/queues/orders"
    process, address = start("cloudtasks", "--queue", name)
    try:
        client: tasks_v2.CloudTasksClient = cloud_tasks(address)
        assert client.get_queue(name=name).name == name
        assert load(printed(process))[0]
        client.transport.close()
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        process.communicate()


def test_what_cannot_be_started(tmp_path):
    """Says why: a port that is taken, a queue's name that is none, an option of the other one."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for words, fix in (
            (("servicebus", "--port", port), f"port {port} of 127.0.0.1"),
            (("cloudtasks", "--queue", "orders"), "write projects/PROJECT/locations/LOCATION/queues/orders"),
            (("cloudtasks", "--port", port), f"port {port} of 127.0.0.1: cannot listen on 127.0.0.1:{port}\n"),
            (("cloudtasks", "--http-port", port), f"port 0 or HTTP port {port} of 127.0.0.1"),
            (("sqs-lambda", "--port", port), f"port {port} of 127.0.0.1: Address already in use"),
            (("cloudtasks", "--config", "x"), "unrecognized arguments: --config x"),
            (("servicebus", "--config", "nothing.json"), "nothing.json cannot be read"),
            (("servicebus", "--queue", "a", "--queue", "A"), "an entity named 'A' exists already"),
        ):
            ran = sample.command(tmp_path, "emulator", *words)
            assert ran.returncode == 2
            assert fix in ran.stderr.decode()
            assert len(ran.stderr.splitlines()) <= 6, ran.stderr.decode()

"""Refusals of `peeklock send`, and its messages about addresses; `--redrive` is in test_redrive.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from peeklock import ConfigError, Queue, send
from peeklock.cli import main
from peeklock.cli.send import _place
from peeklock.sending.file import read
from tests.dev import sample


@pytest.fixture
def body(tmp_path) -> str:
    """A file to send."""
    file = tmp_path / "order.json"
    file.write_text("{}")
    return str(file)


def refusal(out: Path, body: str, options: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code and the text; nothing was sent."""
    try:
        code = main(["send", f"file://{out}", body, *options])
    except SystemExit as exc:  # argparse's own way
        code = int(exc.code or 0)
    assert not out.exists()
    return code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "fix"),
    [
        (["--times", "0"], "--times: '0' is not a number from 1 up"),
        (["--times", "-3"], "--times: '-3' is not a number from 1 up"),
        (["--times", "two"], "--times: 'two' is not a number from 1 up"),
        (["--delay", "-1"], "--delay cannot be negative"),
        (["--delay", "inf"], "--delay takes seconds"),
        (["-a", "tenant=acme", "-a", "peeklock=x"], "attribute 'peeklock': names that begin with 'peeklock' are"),
        (["-a", "peeklock-reason=y"], "attribute 'peeklock-reason': names that begin"),
        (["-a", "tenant=\udcff"], "names and values must be texts"),
        (["--id", ""], "--id='': give a text that is not empty, such as order-7"),
        (["--group", ""], "--group='': give a text that is not empty, such as customer-7"),
    ],
)
def test_what_is_refused_before_anything_is_sent(tmp_path, capsys, body, options, fix):
    """With exit code 2, under the option's name."""
    code, err = refusal(tmp_path / "out.jsonl", body, options, capsys)
    assert (code, fix in err) == (2, True), err


@pytest.mark.parametrize("name", ["peeklock", "peeklock-reason", "peeklocked"])
def test_the_command_and_the_function_refuse_the_same_names(tmp_path, capsys, body, name):
    """They are the lineage's, and a consumer would believe them."""
    with pytest.raises(ConfigError) as caught:
        send(Queue("orders"), {}, attributes={name: "x"})
    _, err = refusal(tmp_path / "out.jsonl", body, ["-a", f"{name}=x"], capsys)
    assert err == f"peeklock send: {caught.value}\n"


def test_as_often_as_asked(tmp_path, capsys, body):
    """Under one id."""
    assert main(["send", f"file://{tmp_path}/out.jsonl", body, "--times", "3", "--id", "o-1"]) == 0
    assert [outgoing.lineage.id for outgoing in read(str(tmp_path / "out.jsonl"))] == ["o-1"] * 3
    assert capsys.readouterr().out.count("sent o-1") == 3


def test_the_queue_is_named_whole(tmp_path, capsys, body):
    """Also where an @ stands in its name, which ends no password."""
    address = f"file://{tmp_path}/a@b/out.jsonl"
    assert main(["send", address, body, "--id", "o-1"]) == 0
    assert capsys.readouterr().out == f"sent o-1 to {address}\n"


def test_a_fifo_queue_needs_a_group(capsys, body):
    """SQS would refuse the message, and says so with the option: nothing is made up in its place. (trials 3.4)"""
    address = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders.fifo"
    assert main(["send", address, body]) == 1
    err = capsys.readouterr().err
    assert f"peeklock send: {address}: a FIFO queue takes no message without a group" in err
    assert "--group" in err


def test_a_queue_with_sessions_needs_a_group(servicebus, tmp_path, body):
    """Service Bus refuses the message in words of its own, and the option is named beside them. (trials 3.4)"""
    servicebus.add_queue("orders", requires_session=True)
    words, variables = ("send", "sb://127.0.0.1/orders", body), {"PEEKLOCK_SERVICEBUS": servicebus.connection_string}
    ran = sample.command(tmp_path, *words, **variables)
    assert (ran.returncode, b"The SessionId was not set" in ran.stderr, b"--group" in ran.stderr) == (1, True, True)
    assert sample.command(tmp_path, *words, "--group", "g", **variables).returncode == 0


def test_the_address_that_is_printed():
    """Without its parameters, which a reader need not see, and without a password."""
    assert (
        _place("cloudtasks://projects/p/locations/l/queues/q?target=http://127.0.0.1:1/")
        == "cloudtasks://projects/p/locations/l/queues/q"
    )
    assert "hunter2" not in _place("redis://me:hunter2@host/0?a=b")

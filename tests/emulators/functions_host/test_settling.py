"""Settlement of messages by the outcome of their functions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage

from tests.emulators.functions_host.kit import DEAD_LETTERS, Stage


def ends(host: Any) -> list[Any]:
    return [(invocation.outcome, invocation.attempt, invocation.settled) for invocation in host.invocations]


def test_what_succeeds_is_completed(stage: Stage) -> None:
    host = stage.run("single", "subscription")
    stage.send("orders", "a", "b")
    stage.send("news", "c", topic=True)
    ended = host.wait_count(3)
    assert sorted(invocation.function for invocation in ended) == ["single", "single", "subscription"]
    assert ends(host) == [("ok", 1, ("completed",))] * 3
    assert (stage.left("orders"), stage.left("news/Subscriptions/all")) == ([], [])
    assert all(invocation.duration > 0 and not invocation.error for invocation in ended)


def test_a_failure_comes_back_at_once_until_it_is_dead_lettered(stage: Stage) -> None:
    host = stage.run("single")
    stage.send("orders", ServiceBusMessage("fail no money", message_id="m-1"))
    host.wait_count(3)
    host.wait_idle()
    assert ends(host) == [("failed", attempt, ("abandoned",)) for attempt in (1, 2, 3)]
    assert {invocation.error for invocation in host.invocations} == {"ValueError: no money"}
    assert {invocation.message_ids for invocation in host.invocations} == {("m-1",)}
    assert [note["seen"][0]["delivery_count"] for note in stage.noted("single")] == [1, 2, 3]
    assert (stage.left("orders"), len(stage.bus.messages("orders" + DEAD_LETTERS))) == ([], 1)


def test_a_batch_is_settled_as_a_whole(stage: Stage) -> None:
    """One failure abandons the whole batch, including messages that were processed."""
    host = stage.run("batch", bus={"maxMessageBatchSize": 3})
    stage.send("batches", "a", "fail", "b", "c")
    host.wait_for(lambda ended: any(invocation.outcome == "ok" for invocation in ended) and len(ended) >= 4)
    host.wait_idle()
    failed = [invocation for invocation in host.invocations if invocation.outcome == "failed"]
    assert [(invocation.attempt, invocation.settled) for invocation in failed] == [
        (n, ("abandoned",) * 3) for n in (1, 2, 3)
    ]
    assert [invocation.settled for invocation in host.invocations if invocation.outcome == "ok"] == [("completed",)]
    assert (stage.left("batches"), len(stage.bus.messages("batches" + DEAD_LETTERS))) == ([], 3)


@pytest.mark.parametrize(("verb", "settled"), [("a", "none"), ("fail", "abandoned")])
def test_without_auto_complete_only_failures_are_settled(stage: Stage, verb: str, settled: str) -> None:
    """`ServiceBusListener` abandons failures in any case."""
    host = stage.run("single", bus={"autoCompleteMessages": False})
    stage.send("orders", verb)
    assert host.wait_count(1)[0].settled == (settled,)
    assert len(stage.bus.messages("orders")) == 1 or settled == "abandoned"


def test_sessions_are_served_at_the_same_time_and_each_in_its_order(stage: Stage) -> None:
    host = stage.run("session")
    names = ["a1", "b1", "fail a2", "a3", "b2"]
    stage.send("sessions", *(ServiceBusMessage(name, session_id=name.split()[-1][0]) for name in names))
    host.wait_count(7)
    seen = [bytes.fromhex(note["seen"][0]["body"]).decode() for note in stage.noted("session")]
    assert [text for text in seen if "a" in text.split()[-1]] == ["a1", "fail a2", "fail a2", "fail a2", "a3"]
    assert [text for text in seen if "b" in text] == ["b1", "b2"]
    assert stage.left("sessions") == []


def test_a_batch_that_cannot_be_bound_never_reaches_the_function(stage: Stage) -> None:
    """A batch without a data type binds JSON documents, so one other body fails it as a whole."""
    stage.place()
    code = stage.app / "function_app.py"
    code.write_text(code.read_text().replace('data_type="BINARY", cardinality', "cardinality"))
    host = stage.run("batch")
    stage.send("batches", '"quoted"', "{}", "plain")
    first = host.wait_count(1)[0]
    assert (first.outcome, first.settled, stage.noted("batch")) == ("failed", ("abandoned",) * 3, [])
    assert "binds each body as JSON" in first.error


def test_a_value_returned_is_a_failure(stage: Stage) -> None:
    """The worker refuses it, since there is no output binding."""
    stage.place()
    code = stage.app / "function_app.py"
    code.write_text(code.read_text().replace('    note("end", [msg])\n', '    return "done"\n'))
    host = stage.run("single")
    stage.send("orders", "a")
    ended = host.wait_count(1)[0]
    assert ended.outcome == "failed"
    assert "returned a non-None value" in ended.error


def test_metadata_reach_the_function_through_the_real_converter(stage: Stage) -> None:
    """In a batch, entries after empty ones are shifted: worker#1122."""
    host = stage.run("single", "batch")
    properties: dict[str | bytes, Any] = {"attempt": 1, "text": "ü", "share": 0.5}
    message = ServiceBusMessage(
        b"\xff\x00",
        message_id="order-42",
        correlation_id="trace-1",
        subject="order.created",
        content_type="application/json",
        reply_to="answers",
        to="x",
        application_properties=properties,
    )
    stage.send("orders", message)
    last = ServiceBusMessage("c", correlation_id="corr-of-c", message_id="id-c")
    stage.send("batches", "a", "b", last)
    host.wait_count(2)
    (seen,) = stage.noted("single")[0]["seen"]
    expected = {
        "body": "ff00",
        "message_id": "order-42",
        "correlation_id": "trace-1",
        "subject": "order.created",
        "label": "order.created",
        "content_type": "application/json",
        "reply_to": "answers",
        "to": "x",
        "application_properties": properties,
        "user_properties": properties,
        "delivery_count": 1,
        "sequence_number": 1,
        "session_id": None,
        "dead_letter_source": None,
    }
    assert {name: seen[name] for name in expected} == expected
    rows = stage.noted("batch")[0]["seen"]
    assert [row["correlation_id"] for row in rows] == ["corr-of-c", None, None]
    assert [row["message_id"] for row in rows][2] == "id-c"
    assert [row["sequence_number"] for row in rows] == [1, 2, 3]


def test_a_body_that_names_metadata_overwrites_them(stage: Stage) -> None:
    """This happens to bodies that are bound as text: dotnet-worker#991."""
    host = stage.run("texts")
    forged = {"messageId": "forged", "DELIVERYCOUNT": "9", "label": {"a": 1}, "to": ["not", "arrays"], "subject": None}
    stage.send("texts", ServiceBusMessage(json.dumps(forged), message_id="true", to="t", subject="s"))
    host.wait_count(1)
    (seen,) = stage.noted("texts")[0]["seen"]
    assert (seen["message_id"], seen["delivery_count"], seen["to"], seen["subject"]) == ("forged", 9, "t", "s")
    assert ("log", "WARNING shop: a coroutine's record") in host.lines

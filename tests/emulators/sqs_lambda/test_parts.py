"""The parts that decide: batch responses, settings, concurrency, FIFO groups, the size of an event, HTTP."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from cloudqueues.errors import ConfigError
from cloudqueues.sqs_lambda import SqsLambda
from cloudqueues.sqs_lambda.batch_response import BadResponseError, failed_ids
from cloudqueues.sqs_lambda.concurrency import ConcurrencyLimit
from cloudqueues.sqs_lambda.events import (
    MAX_PAYLOAD,
    ReceivedMessage,
    delivered_again,
    event,
    fitting,
    received_message,
)
from cloudqueues.sqs_lambda.fifo_groups import FifoGroups
from cloudqueues.sqs_lambda.queue import Queue
from cloudqueues.sqs_lambda.runtime_api import MAX_RESPONSE, RuntimeApi, RuntimeEvent
from cloudqueues.sqs_lambda.settings import settings

URL = "http://127.0.0.1:1/123456789012/orders"
ARN = "arn:aws:sqs:eu-west-1:123456789012:orders"


# -- answers


@pytest.mark.parametrize("answer", ["", " ", "null", "{}", '{"batchItemFailures": null}', '{"batchItemFailures": []}'])
def test_nothing_said_is_success(answer: str) -> None:
    assert failed_ids(answer.encode(), ["a"]) == set()


@pytest.mark.parametrize(
    "answer",
    [
        "{",
        '"done"',
        "[]",
        "1",
        '{"batchItemFailures": {}}',
        '{"batchItemFailures": ["a"]}',
        '{"batchItemFailures": [{}]}',
        '{"batchItemFailures": [{"id": "a"}]}',
        '{"batchItemFailures": [{"itemIdentifier": ""}]}',
        '{"batchItemFailures": [{"itemIdentifier": null}]}',
        '{"batchItemFailures": [{"itemIdentifier": "c"}]}',
        '{"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "c"}]}',
    ],
)
def test_what_says_nothing_reliable_is_refused(answer: str) -> None:
    with pytest.raises(BadResponseError):
        failed_ids(answer.encode(), ["a", "b"])


def test_the_failed_are_named_once_or_twice() -> None:
    response = {"batchItemFailures": [{"itemIdentifier": "b"}, {"itemIdentifier": "b", "more": 1}], "other": 1}
    assert failed_ids(json.dumps(response).encode(), ["a", "b"]) == {"b"}


# -- settings


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"handler": "handler"}, "module.function"),
        ({"handler": "a..b"}, "module.function"),
        ({"batch_size": 0}, "between 1 and 10000"),
        ({"batch_size": 10_001, "window": 1}, "between 1 and 10000"),
        ({"batch_size": True}, "between 1 and 10000"),
        ({"batch_size": 11}, "window of at least 1 second"),
        ({"window": 301}, "at most 300"),
        ({"queue_url": f"{URL}.fifo", "batch_size": 11}, "between 1 and 10"),
        ({"queue_url": f"{URL}.fifo", "window": 1}, "a FIFO queue takes none"),
        ({"maximum_concurrency": 1}, "between 2 and 1000"),
        ({"maximum_concurrency": 1001}, "between 2 and 1000"),
        ({"maximum_concurrency": 3, "provisioned": 4}, "provisioned=4: between 0 and 3"),
        ({"timeout": 0}, "at most 1800"),
        ({"timeout": 1801}, "at most 1800"),
        ({"cwd": __file__}, "is no folder"),
        ({"memory": 64}, "between 128 and 10240"),
        ({"queue_url": "orders"}, "not the URL"),
        ({"queue_url": "https://sqs.eu-west-1.amazonaws.com/123456789012/orders"}, "is AWS itself"),
        ({"queue_url": "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/orders"}, "is AWS itself"),
        ({"endpoint_url": "https://sqs.eu-west-1.api.amazonwebservices.com.amazonaws.com"}, "is AWS itself"),
    ],
)
def test_what_aws_would_refuse(changed: dict[str, Any], problem: str) -> None:
    fitting_options: dict[str, Any] = {"queue_url": URL, "handler": "app.handler", "region": "eu-west-1"}
    with pytest.raises(ConfigError, match=problem):
        SqsLambda(**{**fitting_options, **changed})


def test_an_emulator_behind_an_aws_name_is_fine() -> None:
    """The queue's URL may say what it likes, where the endpoint is given."""
    SqsLambda(
        queue_url="https://sqs.eu-west-1.amazonaws.com/123456789012/orders",
        endpoint_url="http://127.0.0.1:1",
        handler="app.handler",
        region="eu-west-1",
    )


def test_variables_of_a_function_are_in_no_repr() -> None:
    """They may hold what is not for a log."""
    shown = repr(settings(URL, "app.handler", "eu-west-1", {"environ": {"TOKEN": "s3cret"}}))
    assert "app.handler" in shown
    assert "s3cret" not in shown


def test_a_queue_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="Could not connect"):
        SqsLambda(queue_url=URL, handler="app.handler", region="eu-west-1").start()


# -- events


def message(body: str = "x", **more: Any) -> dict[str, Any]:
    return {"MessageId": "m", "ReceiptHandle": "r", "Body": body, "MD5OfBody": "5", **more}


def test_attributes_that_sqs_only_sometimes_has_are_passed_on() -> None:
    """moto has no redrive task, so it never tells this one."""
    system = {"ApproximateReceiveCount": "1", "DeadLetterQueueSourceArn": ARN}
    received = received_message(message(Attributes=system), ARN, "eu-west-1")
    assert received.record["attributes"] == system
    assert "md5OfMessageAttributes" not in received.record


def test_a_duplicate_is_counted_once_more() -> None:
    received = received_message(message(Attributes={"ApproximateReceiveCount": "2"}), ARN, "eu-west-1")
    again = delivered_again(received)
    assert (received.delivery, again.delivery) == (("x", "2"), ("x", "3"))
    assert (received.again, again.again) == (False, True)


def test_an_event_holds_six_megabytes() -> None:
    """Messages beyond the limit go into the next event; a message that is too large on its own still goes."""
    large = received_message(message("\u00e9" * 500_000), ARN, "eu-west-1")
    assert fitting([large] * 10, 10) == 6
    assert len(event([large] * 6)) <= MAX_PAYLOAD < len(event([large] * 7))
    assert fitting([large] * 10, 4) == 4
    huge = ReceivedMessage(handle="r", record={}, size=MAX_PAYLOAD)
    assert fitting([huge, huge], 10) == 1
    assert fitting([], 10) == 0


@pytest.mark.parametrize(("size", "together"), [(6_291_456, 2), (6_291_457, 1)])
def test_an_event_has_6_291_456_bytes(size: int, together: int) -> None:
    around = len('{"Records":[]}')
    messages = [ReceivedMessage(handle="r", record={}, size=part) for part in (3_000_000, size - 3_000_000 - around)]
    assert fitting(messages, 10) == together


@pytest.mark.parametrize(("size", "status"), [(6_291_556, b"202"), (6_291_557, b"413")])
def test_an_answer_has_6_291_556_bytes(size: int, status: bytes) -> None:
    """A hundred more than an event, as Lambda's own error says."""

    async def scenario() -> bytes:
        api = RuntimeApi()
        api.dispatch(RuntimeEvent(request_id="r", event=b"{}", headers={}))
        await talk(api, b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n\r\n")
        return await talk(api, post("/2018-06-01/runtime/invocation/r/response", b"1" * size))

    assert asyncio.run(scenario()).startswith(b"HTTP/1.1 " + status)


def test_the_size_that_is_reckoned_is_the_size_that_is_sent() -> None:
    some = [received_message(message("\u20ac" * n), ARN, "eu-west-1") for n in range(1, 50)]
    assert sum(received.size for received in some) + len('{"Records":[]}') - 1 == len(event(some))


# -- concurrency


def test_slots_grow_while_there_is_more_and_start_over_when_there_is_not() -> None:
    async def scenario() -> list[int]:
        now = 0.0
        limit = ConcurrencyLimit(1000, lambda: now)
        seen = [limit.limit()]
        for _ in range(5):
            await limit.acquire()
        waiting = asyncio.create_task(limit.acquire())
        await asyncio.sleep(0)
        now = 2.0
        seen.append(limit.limit())
        await asyncio.wait_for(waiting, 5)
        now = 10_000.0
        seen += [limit.limit(), limit.taken]
        limit.drained()
        seen.append(limit.limit())
        return seen

    assert asyncio.run(scenario()) == [5, 15, 1000, 6, 5]


def test_slots_grow_from_the_first_wait_on_and_not_from_each() -> None:
    async def scenario() -> list[int]:
        now = 0.0
        limit = ConcurrencyLimit(1000, lambda: now)
        for _ in range(5):
            await limit.acquire()
        seen: list[int] = []
        for now in (1.0, 2.0):  # noqa: B007 - read by the clock
            while limit.taken < limit.limit():
                await limit.acquire()
            waiting = asyncio.create_task(limit.acquire())
            await asyncio.sleep(0)
            seen.append(limit.limit())
            limit.release()
            await asyncio.wait_for(waiting, 5)
        return seen

    assert asyncio.run(scenario()) == [5, 10]


def test_a_slot_that_is_freed_goes_to_who_waits() -> None:
    async def scenario() -> int:
        limit = ConcurrencyLimit(2)
        await limit.acquire()
        await limit.acquire()
        waiting = asyncio.create_task(limit.acquire())
        await asyncio.sleep(0)
        assert not waiting.done()
        limit.release()
        await asyncio.wait_for(waiting, 5)
        return limit.taken

    assert asyncio.run(scenario()) == 2


# -- the queue


class Counting(Queue):
    """A queue whose counts are those of a list, one after the other."""

    def __init__(self, *counts: int) -> None:
        super().__init__(URL, "http://127.0.0.1:1", "eu-west-1")
        self._counts = list(counts)

    async def _call(self, method: str, **arguments: Any) -> Any:
        return {"Attributes": {arguments["AttributeNames"][0]: str(self._counts.pop(0))}}


@pytest.mark.parametrize(("counts", "empty"), [((0, 0), True), ((0, 1), False), ((1,), False)])
def test_a_queue_is_empty_when_two_counts_say_so(counts: Any, empty: bool) -> None:
    """A message whose lock ends between the counts of one answer is in none of them."""

    async def scenario() -> bool:
        queue = Counting(*counts)
        try:
            return await queue.empty()
        finally:
            await queue.close()

    assert asyncio.run(scenario()) is empty


# -- turns


def test_batches_of_a_group_go_one_at_a_time_in_their_order() -> None:
    """Also one of several groups, before those that came after it."""
    order: list[str] = []

    async def scenario() -> None:
        turns = FifoGroups()
        gates = {name: asyncio.Event() for name in "abcd"}

        async def batch(name: str, *groups: str) -> None:
            async with turns.exclusive(groups):
                order.append(f"{name} begins")
                await gates[name].wait()
                order.append(f"{name} ends")

        async with asyncio.TaskGroup() as group:
            for name, groups in {"a": "x", "b": "xy", "c": "y", "d": "z"}.items():
                group.create_task(batch(name, *groups))
            for name in "cbda":
                gates[name].set()
                await asyncio.sleep(0.01)

    asyncio.run(scenario())
    assert order == ["a begins", "d begins", "d ends", "a ends", "b begins", "b ends", "c begins", "c ends"]


def test_a_batch_that_is_cancelled_gives_its_turn_away() -> None:
    async def scenario() -> None:
        turns = FifoGroups()

        async def batch() -> None:
            async with turns.exclusive({"x"}):
                await asyncio.Event().wait()

        first = asyncio.create_task(batch())
        await asyncio.sleep(0)
        first.cancel()
        async with asyncio.timeout(5), turns.exclusive({"x"}):
            return

    asyncio.run(scenario())


# -- the runtime API


async def talk(api: RuntimeApi, *requests: bytes) -> bytes:
    """Send these over one connection; all that comes back."""
    host, _, port = (await api.start()).partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"".join(requests))
    writer.write_eof()
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
        await api.close()


def post(path: str, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", f"Content-Length: {len(body)}", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /2018-06-01/runtime/nothing HTTP/1.1\r\n\r\n", b"404"),
        (b"PUT /2018-06-01/runtime/invocation/next HTTP/1.1\r\n\r\n", b"404"),
        (post("/2018-06-01/runtime/invocation/x/response"), b"400"),
        (b"\x16\x03\x01 rubbish\r\n\r\n", b"400"),
        (b"GET / HTTP/2\r\n\r\n", b"400"),
        (b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (b"POST /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
        (post("/2018-06-01/runtime/init/error", b'{"errorType": "T", "errorMessage": "m"}'), b"202"),
        (post("/2018-06-01/runtime/init/error", b"rubbish"), b"202"),
    ],
)
def test_requests_are_answered_and_nothing_takes_it_down(request_: bytes, status: bytes) -> None:
    assert asyncio.run(talk(RuntimeApi(), request_)).startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize("half", [b"GET /x HTT", b"POST /x HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc", b""])
def test_a_connection_that_ends_in_the_middle(half: bytes) -> None:
    assert asyncio.run(talk(RuntimeApi(), half)) == b""


def test_an_event_goes_to_the_connection_that_asked_last() -> None:
    """A runtime whose connection broke connects again. The first request is then nobody's any more."""

    async def scenario() -> tuple[bytes, bytes, bool]:
        api = RuntimeApi()
        host, _, port = (await api.start()).partition(":")
        first, second = [await asyncio.open_connection(host, int(port)) for _ in range(2)]
        for _, writer in (first, second):
            api.asked.clear()
            writer.write(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nConnection: close\r\n\r\n")
            await asyncio.wait_for(api.asked.wait(), 10)
        api.dispatch(RuntimeEvent(request_id="r", event=b"[7]", headers={}))
        waits = api.asked.is_set()
        answers = [await asyncio.wait_for(reader.read(), 10) for reader, _ in (first, second)]
        for _, writer in (first, second):
            writer.close()
        await api.close()
        return answers[0], answers[1], waits

    first, second, waits = asyncio.run(scenario())
    assert first.startswith(b"HTTP/1.1 409 ")
    assert second.endswith(b"\r\n\r\n[7]")
    assert not waits


def test_an_answer_to_an_earlier_event_is_refused() -> None:
    async def scenario() -> bytes:
        api = RuntimeApi()
        for request_id in ("r1", "r2"):
            api.dispatch(RuntimeEvent(request_id=request_id, event=b"{}", headers={}))
        return await talk(api, post("/2018-06-01/runtime/invocation/r1/response", b"{}"))

    assert asyncio.run(scenario()).startswith(b"HTTP/1.1 400 ")


def test_a_head_without_end_ends_its_connection() -> None:
    """With or without a word, since the client may still be writing."""
    try:
        response = asyncio.run(talk(RuntimeApi(), b"GET /" + b"x" * (5 * 1024 * 1024)))
    except ConnectionError:
        return
    assert response.startswith(b"HTTP/1.1 400")


def test_an_answer_is_taken_once_and_only_if_it_is_not_too_long() -> None:
    async def scenario() -> tuple[list[bytes], list[str | None]]:
        api = RuntimeApi()
        first = api.dispatch(
            RuntimeEvent(request_id="r1", event=b"{}", headers={"Lambda-Runtime-Aws-Request-Id": "r1"})
        )
        path = "/2018-06-01/runtime/invocation/r1/error"
        error = b'{"errorType": "T", "errorMessage": "m"}'
        responses = [await talk(api, b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n\r\n")]
        responses.append(await talk(api, post(path, error), post(path, error)))
        second = api.dispatch(RuntimeEvent(request_id="r2", event=b"{}", headers={}))
        long = b"x" * (MAX_RESPONSE + 1)
        responses.append(await talk(api, post("/2018-06-01/runtime/invocation/r2/response", long)))
        return responses, [first.result().error, second.result().error]

    responses, errors = asyncio.run(scenario())
    assert b"Lambda-Runtime-Aws-Request-Id: r1" in responses[0]
    assert responses[0].endswith(b"\r\n\r\n{}")
    assert [responses[1].count(b"HTTP/1.1 " + status) for status in (b"202", b"400")] == [1, 1]
    assert responses[2].startswith(b"HTTP/1.1 413")
    assert errors == ["T: m", "Function.ResponseSizeTooLarge: the answer is longer than 6 MB"]

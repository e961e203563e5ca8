"""Laws that must hold after every delivery, whatever the event was."""

from __future__ import annotations

import base64
import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from peeklock.idempotency.record import State
from peeklock.message import Lineage
from peeklock.outcome import Disposition, Reason
from peeklock.platforms.sqs.bind import MAX_VISIBILITY
from tests.fuzz.changes import CREDENTIALS
from tests.fuzz.entries import REFUSED, Entry
from tests.fuzz.handlers import FATE
from tests.fuzz.mutate import CANARY, SECRET
from tests.fuzz.redrive import AGAIN
from tests.fuzz.services import headers_refused, sqs_refuses, topic_refuses
from tests.fuzz.stage import Stage

LONGEST_VISIBILITY = 43_200
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html

FORGOTTEN = 2**31
"""A count of a lineage from which on nobody believes it; the message is then another one, and runs."""


@dataclass(frozen=True)
class Delivery:
    """One event given to one entry point, and what came of it."""

    platform: str
    entry: Entry
    stage: Stage
    event: Any
    answer: Any
    done_before: frozenset[str]
    """Keys of successes that were recorded before this delivery."""

    @property
    def settled(self) -> Sequence[Any]:
        return self.stage.watcher.settled_items


def check(delivery: Delivery) -> None:
    """Raises AssertionError that names the law."""
    stage = delivery.stage
    assert not stage.ears.faults, f"a fault of ours: {stage.ears.faults}"
    _nothing_leaks(delivery)
    if delivery.answer == REFUSED:
        assert stage.watcher.calls == 0, "an event that was refused was settled"
        assert FATE.runs == 0, "an event that was refused was run"
        return
    assert stage.watcher.calls == 1, f"{stage.watcher.calls} settlements of one event"
    _done_after_a_run(delivery)
    for delivered in delivery.settled:
        _is_safe(delivery, delivered)
    _queues_take_it(delivery)
    _comes_back_equal(delivery)
    TOLD[delivery.platform](delivery)


def _nothing_leaks(delivery: Delivery) -> None:
    stage = delivery.stage
    ids = [(delivered.message.id, delivered.message.group) for delivered in delivery.settled]
    if CANARY not in str(ids):  # where a mutation has put it into an id, that is logged
        for line in stage.ears.lines:
            assert CANARY not in line, f"a body's value is logged: {line}"
    if not _only_in_credentials(delivery.event):
        return
    sent = f"{stage.dead_letters.service.shown()} {stage.copies.service.shown()}"
    assert SECRET not in sent, f"a credential travels: {sent}"
    assert not [line for line in stage.ears.lines if SECRET in line], "a credential is logged"


def _only_in_credentials(event: Any) -> bool:
    """Return whether the secret is where credentials are, and no mutation has put it anywhere else."""
    headers = event.get("headers") if isinstance(event, dict) else None
    if not isinstance(headers, dict):
        return False
    names = {name.lower() for name in CREDENTIALS}
    held = [name for name, value in headers.items() if SECRET in str(value)]
    return all(name.lower() in names for name in held) and json.dumps(event).count(SECRET) == len(held)


def _done_after_a_run(delivery: Delivery) -> None:
    """Require as many successes as handlers that returned; none of a key that was done before, and one a key."""
    done = [delivered for delivered in delivery.settled if delivered.outcome.reason is Reason.DONE]
    if delivery.entry.batch:
        assert len(done) <= FATE.runs, "done without a run"
    else:
        assert len(done) == len(FATE.successes), f"{len(done)} done, {len(FATE.successes)} handlers returned"
    if "stored" in delivery.entry.name:
        keys = Counter(delivered.record_key for delivered in done)
        assert not [key for key, count in keys.items() if count > 1], f"one key was done twice: {keys}"
        assert not delivery.done_before & keys.keys(), "a run after a recorded success"


def _is_safe(delivery: Delivery, delivered: Any) -> None:
    """A message that the platform may forget is done, or it is somewhere else: as a copy or as a dead letter."""
    outcome, stage = delivered.outcome, delivery.stage
    lineage = delivered.message.effective_lineage
    if outcome.disposition is Disposition.DEAD_LETTER and not delivery.entry.actions:
        assert _has(stage.dead_letters.outgoing_messages, lineage.id), (
            f"{outcome.reason}, and no dead letter of {lineage.id!r}"
        )
    if outcome.copied:
        assert _has(stage.copies.outgoing_messages, lineage.id), f"no copy of {lineage.id!r}"
    if outcome.disposition is Disposition.ABANDON and not outcome.copied:
        assert not outcome.finished
    if outcome.reason is Reason.DUPLICATE:
        record = stage.shelf.inner.records[delivered.record_key]
        assert record.state is State.DONE, "a duplicate of what is not done"


def _has(outgoing_messages: Sequence[Any], id: str) -> bool:
    return any(outgoing.lineage.id == id for outgoing in outgoing_messages)


def _queues_take_it(delivery: Delivery) -> None:
    """Require that what one queue held can be held by another of its kind, as a copy and as a dead letter; if not at
    once, then in the form that follows from the refusal."""
    refused = [*delivery.stage.dead_letters.service.refused, *delivery.stage.copies.service.refused]
    stuck = [
        delivered.outcome for delivered in delivery.settled if "could not be published" in delivered.outcome.detail
    ]
    if refused and stuck and HELD[delivery.platform](delivery):
        raise AssertionError(f"the queue refuses a copy or a dead letter: {refused}, {stuck}")


def _comes_back_equal(delivery: Delivery) -> None:
    """A copy and a dead letter, delivered again, are the message that arrived: one copy, or one life, later."""
    stage = delivery.stage
    taken = {id(message): message for message in (*stage.dead_letters.service.taken, *stage.copies.service.taken)}
    again = [AGAIN[delivery.platform](message) for message in taken.values()]
    for outgoing in (*stage.dead_letters.outgoing_messages, *stage.copies.outgoing_messages):
        came = outgoing.origin
        same = [
            message for message in again if message.body == came.body and _without_type(message) == _without_type(came)
        ]
        assert same, f"what comes back has another body or other attributes: {came.attributes}"
        lineages = [message.lineage for message in same]
        assert outgoing.bare or any(_follows(lineage, outgoing.lineage) for lineage in lineages), (
            f"{lineages}, not {outgoing.lineage}"
        )


def _without_type(message: Any) -> dict[str, Any]:
    """The attributes. Pub/Sub has no content type, so that of an unwrapped push comes back as an attribute."""
    return {name: value for name, value in message.attributes.items() if name != "content-type"}


def _follows(lineage: Lineage | None, sent: Lineage) -> bool:
    if max(sent.generation, sent.copy_number, sent.attempts) >= FORGOTTEN:
        return lineage is None
    return lineage is not None and (lineage.id, lineage.generation, lineage.copy_number) == (
        sent.id,
        sent.generation,
        sent.copy_number,
    )


# -- what the platform hears


def _sqs_hears(delivery: Delivery) -> None:
    answer, settled = delivery.answer, delivery.settled
    records = delivery.event["Records"]
    assert len(settled) == len(records)
    back = [delivered for delivered in settled if not delivered.outcome.finished]
    assert answer["batchItemFailures"] == [{"itemIdentifier": delivered.message.native_id} for delivered in back]
    if any(line.startswith("peeklock.visibility_failed") for line in delivery.stage.ears.lines):
        return  # an address that is none: the messages come back all the same
    delayed = [delivered for delivered in back if delivered.outcome.delay is not None]
    for delivered, entry in zip(delayed, answer["visibilities"], strict=True):
        seconds = entry["VisibilityTimeout"]
        assert type(seconds) is int
        assert 0 <= seconds <= LONGEST_VISIBILITY
        assert seconds >= min(math.floor(delivered.outcome.delay.total_seconds()), MAX_VISIBILITY), (
            "sooner than it should"
        )


def _push_hears(delivery: Delivery) -> None:
    (delivered,) = delivery.settled
    expected = 204 if delivered.outcome.finished else 409 if delivered.outcome.reason is Reason.BUSY else 500
    assert delivery.answer == expected, f"{delivery.answer} for {delivered.outcome}"


def _bus_hears(delivery: Delivery) -> None:
    settled, answer = delivery.settled, delivery.answer
    if not delivery.entry.actions:
        assert answer == ("returned" if all(delivered.outcome.finished for delivered in settled) else "raised")
        return
    verbs = {number: verb for verb, number in answer}
    assert len(verbs) == len(answer) == len(settled), "a message that is not settled exactly once"
    for delivered in settled:
        verb = verbs[id(delivered.message.raw)]
        if delivered.outcome.disposition is Disposition.DEAD_LETTER:
            assert verb in ("dead_letter", "complete")
        else:
            assert verb == ("complete" if delivered.outcome.finished else "abandon")


TOLD: dict[str, Callable[[Delivery], None]] = {
    "sqs": _sqs_hears,
    "cloudtasks": _push_hears,
    "pubsub": _push_hears,
    "servicebus": _bus_hears,
}


# -- what the platform could have held


def _sqs_held(delivery: Delivery) -> bool:
    for record in delivery.event["Records"]:
        attributes = {name: _as_sent(value) for name, value in (record.get("messageAttributes") or {}).items()}
        if None in attributes.values() or sqs_refuses(record["body"], attributes):
            return False
    return True


def _as_sent(value: Any) -> dict[str, Any] | None:
    try:
        if str(value["dataType"]).startswith("Binary"):
            return {"DataType": value["dataType"], "BinaryValue": base64.b64decode(value["binaryValue"], validate=True)}
        return {"DataType": value["dataType"] + "", "StringValue": value["stringValue"] + ""}
    except (TypeError, ValueError, KeyError):
        return None


def _task_held(delivery: Delivery) -> bool:
    request = delivery.settled[0].message.raw
    return not headers_refused(dict(request.headers)) and len(request.body) < 1_000_000


def _topic_held(delivery: Delivery) -> bool:
    message = delivery.settled[0].message
    attributes = {name: str(value) for name, value in message.attributes.items()}
    try:
        return not topic_refuses(message.body or b"x", {**attributes, "peeklock": message.effective_lineage.dump()})
    except UnicodeEncodeError:
        return False


def _bus_held(delivery: Delivery) -> bool:
    from azure.servicebus import ServiceBusMessage

    from tests.fuzz.services import Bus

    try:
        json.dumps(delivery.event["triggerMetadata"], ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False  # the host's strings are UTF-8
    for delivered in delivery.settled:
        raw = delivered.message.raw
        try:
            message = ServiceBusMessage(raw.get_body(), application_properties=dict(raw.application_properties or {}))
            message.content_type = delivered.message.content_type
            Bus().send_messages(message)
        except Exception:  # noqa: BLE001 - whatever the SDK says of it, no client could have sent it
            return False
    return True


HELD: dict[str, Callable[[Delivery], bool]] = {
    "sqs": _sqs_held,
    "cloudtasks": _task_held,
    "pubsub": _topic_held,
    "servicebus": _bus_held,
}

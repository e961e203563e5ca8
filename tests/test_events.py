"""The sample events, each as its expected file says; and any other event, without a surprise."""

from __future__ import annotations

import base64
import hashlib
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers.orders.charge import charge
from peeklock import cloudtasks, pubsub, servicebus, sqs
from peeklock.errors import EventError
from peeklock.platform_registry import PLATFORMS
from peeklock.replay import ReplayOptions, Sample, difference, load_handlers, platform_of, project_of, replay, samples
from peeklock.sending.send import routed
from peeklock.stores.memory import MemoryStore
from peeklock.testing import Outbox
from tests.support import ROOT

SAMPLES = samples([str(ROOT / "events")])
HANDLERS = load_handlers((), project_of(ROOT))
MODULES = {"sqs": sqs, "servicebus": servicebus, "cloudtasks": cloudtasks, "pubsub": pubsub}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_sample_comes_out_as_expected(sample: Sample):
    """Outcomes, what the platform is told, and what is sent."""
    (run,) = replay(sample, ReplayOptions(handlers=HANDLERS))
    assert difference(run) == []


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_what_was_done_is_a_duplicate_the_second_time(sample: Sample):
    """Delivered twice over one store, nothing is done twice."""
    first, second = replay(sample, ReplayOptions(handlers=HANDLERS, times=2))
    for before, after in zip(first.outcomes, second.outcomes, strict=True):
        if before["reason"] == "done":
            assert after["reason"] == "duplicate"


def test_there_are_enough_of_each():
    """And each is recognised by the platform of its folder, and by no other."""
    counts = dict.fromkeys(PLATFORMS, 0)
    for sample in SAMPLES:
        folder = sample.name.split("/")[0]
        counts[folder] += 1
        assert platform_of(sample, None) == folder
        assert [name for name, module in MODULES.items() if module.matches(sample.event)] == [folder]
    assert counts["sqs"] >= 10
    assert counts["servicebus"] >= 10
    assert counts["cloudtasks"] >= 10
    assert counts["pubsub"] >= 4


def test_the_digests_of_sqs_samples_are_right():
    """The digests are those that SQS computes over the body."""
    for sample in SAMPLES:
        for record in sample.event.get("Records", ()):
            assert hashlib.md5(record["body"].encode()).hexdigest() == record["md5OfBody"], sample.name


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def run_sample(platform: str, event: Any) -> object:
    box = Outbox()
    with routed(lambda _: box):
        return MODULES[platform].run_sample(charge, event, store=MemoryStore(), dead_letter=box, queue=box)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, Any]:
    """A sample with some value in it replaced by another, or removed."""
    sample = draw(st.sampled_from([sample for sample in SAMPLES if "large" not in sample.name]))
    event = json.loads(json.dumps(sample.event))
    node = event
    for _ in range(draw(st.integers(0, 5))):
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        inner = [key for key in keys if isinstance(node[key], (dict, list)) and node[key]]
        if not inner:
            break
        node = node[draw(st.sampled_from(inner))]
    key = draw(st.sampled_from(list(node) if isinstance(node, dict) else list(range(len(node)))))
    if draw(st.booleans()):
        node[key] = draw(json_values)
    else:
        del node[key]
    return sample.name.split("/")[0], event


RELAXED = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


@RELAXED
@given(case=mutated())
def test_a_damaged_event_raises_nothing_but_an_event_error(case):
    """Whatever is missing or of another type in it."""
    platform, event = case
    with suppress(EventError):
        run_sample(platform, event)


@RELAXED
@given(platform=st.sampled_from(sorted(MODULES)), event=json_values)
def test_any_json_raises_nothing_but_an_event_error(platform, event):
    """A document that is no event is refused in words, and never taken for an empty one."""
    with pytest.raises(EventError):
        run_sample(platform, event)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b"9" * 5_000,
        b'{"order_id":' + b"9" * 5_000 + b"}",
        b"\xff\xfe",
        b"NaN",
        "\ufeff{}".encode(),
        b'{"a":' * 1_000,
    ],
    ids=lambda body: repr(body[:8]),
)
def test_a_terrible_body_is_a_dead_letter_and_costs_the_others_nothing(body):
    """On each platform that hands over bytes, and beside a good message."""
    good = b'{"order_id":"o-1","customer":"c","cents":5,"card":"tok_ok"}'
    event = {
        "inputData": [{"name": "messages", "data": {"collectionBytes": {"bytes": [_b64(body), _b64(good)]}}}],
        "triggerMetadata": {
            "UserPropertiesArray": {"json": "[{},{}]"},
            "ApplicationPropertiesArray": {"json": "[{},{}]"},
            "SequenceNumberArray": {"collectionSint64": {"sint64": ["1", "2"]}},
            "sys": {"json": '{"MethodName":"charge"}'},
        },
    }
    (run,) = replay(Sample(name="terrible", event=event), ReplayOptions(handlers=HANDLERS))
    assert [outcome["reason"] for outcome in run.outcomes] == ["invalid", "done"]


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()

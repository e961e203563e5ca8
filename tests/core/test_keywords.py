"""Keywords and values that nobody takes are refused when the program runs, with the nearest name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import azure.functions as func
import pytest

from peeklock import ConfigError, Queue, cloudtasks, consumer, pubsub, send, servicebus, sqs
from peeklock.binding.bind import Binding
from peeklock.engine.bound_consumer import Delays
from peeklock.keywords import nearest, strict
from peeklock.sending.send import routed
from peeklock.stores.memory import MemoryStore
from peeklock.testing import Outbox, deliver, deliver_all

QUEUE = Queue("orders")


@consumer(QUEUE)
def handle(order: dict) -> None: ...  # type: ignore[type-arg] # the bare annotation is what users write


def bind_servicebus(function: Any, **options: Any) -> Any:
    return servicebus.bind(function, app=func.FunctionApp(), **options)


BINDS: list[Callable[..., Any]] = [sqs.bind, cloudtasks.bind, pubsub.bind, bind_servicebus]

MISTYPED = [
    ({"unwarp": None}, "bind() takes no unwarp=: did you mean 'unwrap'?"),
    ({"paralel": 2}, "bind() takes no paralel=: did you mean 'parallel'?"),
    ({"stor": "memory://a"}, "bind() takes no stor=: did you mean 'store'?"),
    ({"dead_leter": "memory://a"}, "bind() takes no dead_leter=: did you mean 'dead_letter'?"),
    ({"dead_letters": None}, "bind() takes no dead_letters=: "),
    ({"xyz": 1}, "bind() takes no xyz=: known are "),
    ({"": 1}, "bind() takes no =: known are "),
]


@pytest.mark.parametrize("bind", BINDS)
@pytest.mark.parametrize(("options", "why"), MISTYPED)
def test_a_mistyped_option(bind, options, why):
    """Is never silence: what it should have done would be missing. (trials 1.12)"""
    with pytest.raises(ConfigError) as caught:
        bind(handle, **options)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("bind", "mistyped", "meant"),
    [
        (cloudtasks.bind, "audiance", "audience"),
        (pubsub.bind, "service_acount", "service_account"),
        (sqs.bind, "cleint", "client"),
        (bind_servicebus, "sesions", "sessions"),
        (bind_servicebus, "queue_nam", "queue_name"),
        (sqs.bind, "lok", "lock"),
    ],
)
def test_the_keywords_of_a_platform(bind, mistyped, meant):
    """Are known with those of all. (trials 1.12)"""
    with pytest.raises(ConfigError, match=f"takes no {mistyped}=: did you mean '{meant}'"):
        bind(handle, **{mistyped: "https://orders.example"})


WRONG = [
    ({"store": "dynamo://x"}, "unknown scheme 'dynamo'; did you mean 'dynamodb'?"),
    ({"store": "valkey://x"}, "unknown scheme 'valkey'; known are dynamodb, firestore"),
    ({"store": "orders.db"}, "it is no URL"),
    ({"store": MemoryStore}, "store=type: give an object with swap(), or a URL"),
    ({"store": 5}, "store=int: give an object with swap(), or a URL"),
    ({"dead_letter": "htps://sqs/1/q"}, "did you mean 'https'?"),
    ({"dead_letter": "arn:aws:sqs:eu-west-1:1:q"}, "queue 'arn:aws:sqs:eu-west-1:1:q': it is no URL"),
    ({"queue": Outbox}, "queue=type: give an object with send(), or a URL"),
    ({"parallel": "2"}, "parallel='2': give the number"),
    ({"lock": "30"}, "lock= takes seconds"),
    ({"lock": -1}, "lock= cannot be negative"),
    ({"unwrap": "sns"}, "unwrap='sns': give a function"),
    ({"observer": print}, "give an object with running() and settled()"),
    ({"observer": "log"}, "observer=***: give"),
    ({"clock": 5}, "give an object with now() and monotonic()"),
    ({"random": 5}, "give an object with uniform()"),
]


@pytest.mark.parametrize("bind", BINDS)
@pytest.mark.parametrize(("options", "why"), WRONG)
def test_a_value_that_no_event_could_use(bind, options, why):
    """Is refused when it is bound, not at the first event. (trials 1.12)"""
    with pytest.raises(ConfigError) as caught:
        bind(handle, **options)
    assert why in str(caught.value)


def test_a_binding_of_no_platform():
    """Bindings of tests accept the common options only."""
    with pytest.raises(ConfigError, match=r"bind\(\) takes no audience=: known are clock"):
        Binding(handle, "test", delays=Delays.NATIVE, longest=timedelta(seconds=60), options={"audience": "x"})  # type: ignore[typeddict-unknown-key] # the point


def test_what_is_left_out_may_be_none():
    """A program that computes its options may pass None."""
    nothing = dict.fromkeys(["store", "dead_letter", "queue", "observer", "clock", "random", "unwrap", "lock"])
    sqs.bind(handle, **nothing)  # type: ignore[arg-type] # built from keywords


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda: consumer(QUEUE, kee="id"), "consumer() takes no kee=: did you mean 'key'?"),
        (lambda: consumer(QUEUE, check_bdy=True), "did you mean 'check_body'?"),
        (lambda: send(QUEUE, {}, dely=5), "send() takes no dely=: did you mean 'delay'?"),
        (lambda: Queue("orders", max_atempts=5), "Queue() takes no max_atempts=: did you mean 'max_attempts'?"),
        (lambda: deliver(handle, {}, atempt=2), "deliver() takes no atempt=: did you mean 'attempt'?"),
        (lambda: deliver(handle, {}, stor=MemoryStore()), "deliver() takes no stor=: did you mean 'store'?"),
        (lambda: deliver_all(handle, [{}], group=["a"]), "deliver_all() takes no group=: did you mean 'groups'?"),
    ],
)
def test_functions_that_take_keywords(call, why):
    """Refuse the same way, the test kit's among them. (trials 1.12)"""
    with routed(lambda queue: Outbox()), pytest.raises(ConfigError) as caught:
        call()
    assert why in str(caught.value)


def test_a_strict_function_is_the_same_to_a_reader():
    """Name, signature and annotations are kept."""

    @strict()
    def function(first: int, /, second: int = 2, *, third: int = 3) -> int:
        """Add them."""
        return first + second + third

    assert str(inspect.signature(function)) == "(first: 'int', /, second: 'int' = 2, *, third: 'int' = 3) -> 'int'"
    assert (function.__doc__, function(1, 2, third=4), function(1, second=3)) == ("Add them.", 7, 7)
    with pytest.raises(TypeError):
        function()  # type: ignore[call-arg] # that it is one is the point


def test_the_end_of_an_error():
    """The nearest name, or all of them."""
    assert nearest("sotre", ["store", "queue"]) == "did you mean 'store'?"
    assert nearest("zzz", ["store", "queue"]) == "known are store, queue"

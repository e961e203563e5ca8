"""No secret in an error, whatever address it is about."""

from __future__ import annotations

import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peeklock import ConfigError, Queue, SendError, StoreError, consumer, send
from peeklock.binding.bind import Binding
from peeklock.engine.bound_consumer import Delays
from peeklock.errors import because, store_error
from peeklock.redaction import scheme_of, scrubbed, shown
from peeklock.registry import SENDERS, STORES, open_sender, open_store
from peeklock.testing import Outbox
from peeklock.timing.delays import seconds
from tests.support import environment

SECRET = "hunter2SECRET"

CONNECTION = f"Endpoint=sb://contoso.servicebus.windows.net/;SharedAccessKeyName=root;SharedAccessKey={SECRET}="


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("redis://cache:6379/0", "redis://cache:6379/0"),
        ("sqlite:///var/lib/orders.db", "sqlite:///var/lib/orders.db"),
        ("memory://x", "memory://x"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ("https://sqs.eu-west-1.amazonaws.com/1/orders", "https://sqs.eu-west-1.amazonaws.com/1/orders"),
        ("arn:aws:sqs:eu-west-1:123456789012:orders.fifo", "arn:aws:sqs:eu-west-1:123456789012:orders.fifo"),
        (f"valkey://app:{SECRET}@cache/0", "valkey://***@cache/0"),
        (f"redis://:{SECRET}@cache/0", "redis://***@cache/0"),
        (f"https://{SECRET}@host/path", "https://***@host/path"),
        (f"redis://app:p@s/{SECRET}?#@cache/0", "redis://***@cache/0"),
        (f"postgresql+psycopg://u:{SECRET}@db/x", "postgresql+psycopg://***@db/x"),
        (f"redis://cache:{SECRET}", "redis://cache:***"),
        (f"redis://cache?password={SECRET}&ssl=x", "redis://cache?password=***&ssl=***"),
        (f"https://account.table.core.windows.net/t?sig={SECRET}", "https://account.table.core.windows.net/t?sig=***"),
        (f"https://host/path?{SECRET}", "https://host/path?***"),
        (f"https://host/path#{SECRET}", "https://host/path#***"),
        (f"https://host/path;SharedAccessKey={SECRET}", "https://host/path;SharedAccessKey=***"),
        (f"https://host/a?b c={SECRET}", "https://host/a?***"),
        (
            CONNECTION,
            "Endpoint=sb://contoso.servicebus.windows.net/;SharedAccessKeyName=***;SharedAccessKey=***",
        ),
        (
            f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={SECRET}==;EndpointSuffix=core.windows.net",
            "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=***;EndpointSuffix=core.windows.net",
        ),
        (f"https://app:{SECRET}@host/path?owner=a@b", "https://***@b"),
        (f"redis://{SECRET}/{SECRET}@cache/0", "redis://***@cache/0"),
        (f"redis://{SECRET}?{SECRET}#x@cache/0", "redis://***@cache/0"),
        (f"redis:///app:{SECRET}@cache/0", "redis://***@cache/0"),
        (f"redis:///{SECRET}@cache:6379/0", "redis://***@cache:6379/0"),
        (f"https://host.example/https://app:{SECRET}@cache/0", "https://***@cache/0"),
        (f"https://host:8080{SECRET}/path?owner=a@b", "https://***@b"),
        (f"AccountName=a;{SECRET}", "AccountName=a;***"),
        (f"Server=db;Password={SECRET}", "Server=***;Password=***"),
        (f"valkey:{SECRET}@cache", "valkey:***"),
        (SECRET, "***"),
        ("", "***"),
        (None, "***"),
    ],
)
def test_an_address_without_its_secrets(address, expected):
    """Enough is left to tell which one it was. (trials 2.2)"""
    assert shown(address) == expected


@given(
    st.sampled_from(["redis", "valkey", "sb", "https", "amqps", "mongodb+srv"]),
    st.text(st.characters(codec="utf-8", exclude_characters="@"), max_size=8),
    st.text(st.characters(codec="utf-8"), max_size=8),
)
def test_whatever_a_password_holds(scheme, before, after):
    """It ends at the last @. (trials 2.2)"""
    assert SECRET not in shown(f"{scheme}://app:{before}{SECRET}{after}@host/0")
    assert SECRET not in shown(f"{scheme}://app:{SECRET}{after}@host/0?a={SECRET}")
    assert SECRET not in shown(f"{scheme}://jo.doe:{before}{SECRET}{after}@host/0")
    assert SECRET not in shown(f"{scheme}://:{before}{SECRET}{after}@host/0")
    assert SECRET not in shown(f"{scheme}://a/b?target=https://app:{before}{SECRET}={after}@host/0&owner=a@b")


QUEUE = "cloudtasks://projects/p/locations/l/queues/q"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (f"{QUEUE}?target=https://x/&service_account=dev@p.example", f"{QUEUE}?target=***&service_account=***"),
        (f"{QUEUE}?service_account=dev@p.example&target=https://x/", f"{QUEUE}?service_account=***&target=***"),
        (f"{QUEUE}?target=https://u:{SECRET}&{SECRET}=@x/", f"{QUEUE}?target=***"),
        (f"{QUEUE}?target=https://u:1/&{SECRET}=@x/&deadline=15", f"{QUEUE}?target=***&deadline=***"),
        (f"https://host/path?owner={SECRET}@b", "https://host/path?owner=***"),
        ("https://host.example/@team/path", "https://host.example/@team/path"),
        ("https://host.example?a=b@c", "https://host.example?a=***"),
        (f"https://host.example/path#{SECRET}@b", "https://host.example/path#***"),
        ("sqlite:///home/me@work/orders.db", "sqlite:///home/me@work/orders.db"),
    ],
)
def test_an_at_sign_that_ends_no_password(address, expected):
    """It stands behind the host, in a part that is shown as ever: which queue it was can be told."""
    assert shown(address) == expected


def test_the_scheme_of_an_address():
    """None of a text that is no URL."""
    assert [scheme_of(text) for text in ("SQLite://a", "orders.db", "a:b", CONNECTION)] == ["sqlite", "", "", ""]


def texts(error: BaseException) -> str:
    """All that a log would show of it."""
    return "".join(traceback.format_exception(error)) + str(error) + repr(error)


def said_of(open_it: Any, url: str) -> str:
    """The error about an address; nothing where it can be one."""
    try:
        open_it(url)
    except ConfigError as exc:
        return texts(exc)
    return ""


FORMS = [
    "{scheme}://app:{secret}@host/a/b/c?x=1",
    "{scheme}://app:{secret}@/",
    "{scheme}://:{secret}/x@",
    "{scheme}://?password={secret}",
    "{scheme}://host:{secret}/q",
    "{scheme}://host/q?token={secret}&cluster={secret}",
    "{scheme}://[{secret}@x/",
    "{scheme}://app:{secret}\u2100@host/a/b/c",
    "{scheme}x://app:{secret}@host/0",
    "{scheme}:{secret}",
    "{secret}",
    "Endpoint={scheme}://host/;SharedAccessKeyName=root;SharedAccessKey={secret}",
    "AccountName=a;AccountKey={secret};EndpointSuffix=core.windows.net",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("scheme", "open_it"), [(s, open_store) for s in STORES] + [(s, open_sender) for s in SENDERS])
def test_no_scheme_shows_a_secret(form, scheme, open_it):
    """Neither in its error nor in the traceback, and what is wrong is a ConfigError. (trials 2.2)"""
    url = form.format(scheme=scheme, secret=SECRET)
    if scheme in ("sqlite", "memory", "file") and f"{scheme}://" in url and not url.startswith("Endpoint"):
        return  # any text is the name of a file there, or of a place in memory
    assert SECRET not in said_of(open_it, url)


@consumer(Queue("orders"))
def handle(order: dict) -> None: ...  # type: ignore[type-arg] # the bare annotation is what users write


def bound(**options: Any) -> None:
    Binding(handle, "test", delays=Delays.COPY, longest=seconds(60, "longest"), options=options).bound()  # type: ignore[arg-type] # built from keywords


def plan_and_send() -> None:
    bound()
    send(Queue("orders"), {})


@pytest.mark.parametrize(
    "variable",
    ["PEEKLOCK_STORE", "PEEKLOCK_ORDERS_URL", "PEEKLOCK_ORDERS_DEAD_LETTER", "PEEKLOCK_ORDERS_PARALLEL"],
)
@pytest.mark.parametrize("value", [SECRET, CONNECTION, f"valkey://app:{SECRET}@cache/0", f"https://u:{SECRET}@h"])
def test_no_variable_is_shown_whole(variable, value):
    """A secret in the wrong one, too. (trials 2.2)"""
    right = {"PEEKLOCK_STORE": "memory://a", "PEEKLOCK_ORDERS_URL": None, "PEEKLOCK_ORDERS_DEAD_LETTER": "memory://l"}
    with environment(**{**right, variable: value}), pytest.raises(ConfigError) as caught:
        plan_and_send()
    assert SECRET not in texts(caught.value)


def test_nor_is_a_lock():
    """Which is read apart. (trials 2.2)"""
    with environment(PEEKLOCK_ORDERS_LOCK=SECRET), pytest.raises(ConfigError) as caught:
        Binding(handle, "test", delays=Delays.COPY, longest=seconds(60, "longest"), options={}).lock()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        f"cannot connect to redis://app:{SECRET}@cache:6379/0.",
        f"failed: '{CONNECTION}'",
        f'{{"password": "{SECRET}"}}',
        f"PASSWORD={SECRET}",
        f"api_key: {SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"SharedAccessSignature {SECRET}",
        f"https://account.blob.core.windows.net/c?se=1&sig={SECRET}",
        f"SharedAccessSignature sr=x&sig={SECRET}&se=1&skn=root",
        f"AccountKey={SECRET};EndpointSuffix=x",
        f"X-Amz-Security-Token={SECRET}&X-Amz-Signature={SECRET}",
    ],
)
def test_an_error_of_an_sdk(text):
    """Is quoted without what has the form of a secret. (trials 2.2)"""
    assert SECRET not in scrubbed(text)
    assert SECRET not in str(StoreError(text))
    assert SECRET not in str(SendError(text))
    assert SECRET not in str(store_error(OSError(text)))
    assert SECRET not in repr(because(SendError(f"orders: {text}"), OSError()))


@pytest.mark.parametrize(
    "text",
    [
        "DynamoDB table 'orders': ResourceNotFoundException: Requested resource not found",
        "Error 111 connecting to cache:6379. Connection refused.",
        "orders: MessageSizeExceeded: the signature of this method is not known",
        "https://sqs.eu-west-1.amazonaws.com/123456789012/orders: AccessDenied",
    ],
)
def test_the_rest_of_an_error_stays(text):
    """It is needed to find the problem."""
    assert scrubbed(text) == text


def test_what_a_queue_says_reaches_the_outcome_without_it():
    """The sender raises an SDK's own error. (trials 2.2)"""

    class Broken(Outbox):
        def send(self, outgoing_messages: Any, /) -> Any:
            raise OSError(f"no route to sb://root:{SECRET}@contoso")

    from peeklock.testing import deliver

    outcome = deliver(handle, b"not json", dead_letters=Broken())
    assert outcome.reason == "unavailable"
    assert SECRET not in outcome.detail
    assert "sb://***@contoso" in outcome.detail

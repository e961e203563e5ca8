"""Names, roles and environments: what the components hand to resources."""

from __future__ import annotations

from datetime import timedelta

import pytest

from handlers.orders.queue import ORDERS, RECEIPTS
from peeklock import ConfigError, Queue
from peeklock.bundle.targets import TARGETS
from peeklock.infra.gcp import functions, identity
from peeklock.infra.gcp.alarms import Names
from peeklock.infra.gcp.environment import address, dead_letters_address, environment, links
from peeklock.infra.gcp.identity import Role, grants, member
from peeklock.infra.gcp.naming import Deployment, full_name, label, parts, slug
from peeklock.infra.options import Capacity
from peeklock.infra.settings.gcp import compute
from peeklock.platforms.cloudtasks.address import from_url
from peeklock.platforms.http_push.oidc import Closed, Guard, Rejected
from peeklock.platforms.pubsub.sender import from_url as dead_letters_from_url
from peeklock.registry import open_store

DEPLOYMENT = Deployment(project="contoso", region="europe-west1", app="shop", stack="dev")
QUEUE = "projects/contoso/locations/europe-west1/queues/shop-orders-dev"
TARGET = "https://europe-west1-contoso.cloudfunctions.net/shop-orders-dev"
CALLER = "shop-orders-call-dev@contoso.iam.gserviceaccount.com"


def test_names():
    """With app, queue and stack in them, as Google takes them."""
    assert DEPLOYMENT.service(ORDERS) == "shop-orders-dev"
    assert DEPLOYMENT.service(Queue("Orders_EU")) == "shop-orders-eu-dev"
    assert DEPLOYMENT.queue("shop-orders-dev") == QUEUE
    assert DEPLOYMENT.url("shop-orders-dev") == TARGET
    assert DEPLOYMENT.email(DEPLOYMENT.account("orders", "call")) == CALLER
    assert (slug("A__b-"), label("Team/Prod")) == ("a-b", "team-prod")


def test_a_long_label_is_cut():
    """To 63 characters, as a resource's name is."""
    assert [len(label("x" * length)) for length in (62, 63, 64)] == [62, 63, 63]
    short, long = (DEPLOYMENT.resource_name("x" * length) for length in (54, 55))  # between "shop-" and "-dev"
    assert short == f"shop-{'x' * 54}-dev"
    assert (len(short), len(long), long.startswith(short)) == (63, 63, False)


def test_a_long_account_is_cut():
    """To 30 characters, and two that begin alike stay two."""
    names = {DEPLOYMENT.account("a-queue-with-a-long-name", role) for role in ("run", "call")}
    assert len(names) == 2
    assert all(len(name) <= 30 for name in names)


def test_a_service_is_never_cut():
    """The service's name is in addresses that people read."""
    with pytest.raises(ConfigError, match=r"has 84 characters, .* at most 49; shorten app 'shop', .* by 35"):
        DEPLOYMENT.service(Queue("q" * 75))


def test_an_app_begins_with_a_letter():
    """All names made of the app's begin with it."""
    with pytest.raises(ConfigError, match="use small letters, digits and '-', beginning with a letter"):
        Deployment(project="p", region="r", app="2shop", stack="dev")


@pytest.mark.parametrize("name", ["topics/t", "projects/p/topics", "projects//topics/t", "projects/p/queues/t", "t"])
def test_another_form_of_a_name_is_refused(name):
    """With the form that is wanted."""
    with pytest.raises(ConfigError, match=r"is not a full name of the form projects/\.\.\./topics/\.\.\."):
        parts(name, "projects", "topics")


def test_the_address_is_our_senders():
    """`peeklock.send` takes the addresses that a function gets, and the token is for the function."""
    sender = from_url(address(QUEUE, TARGET, CALLER, 40))
    assert sender.deadline == timedelta(seconds=40)
    assert (sender.queue, sender.target, sender.service_account, sender.audience) == (QUEUE, TARGET, CALLER, None)
    assert (
        dead_letters_from_url(dead_letters_address("projects/contoso/topics/dead")).topic
        == "projects/contoso/topics/dead"
    )


def variables_of(queue=ORDERS, **uses):
    return environment(
        queue,
        compute(queue, Capacity(parallel=3)),
        address="cloudtasks://a",
        dead_letters="pubsub://b",
        store="firestore://contoso/shop-dev/leases",
        target=TARGET,
        caller=CALLER,
        uses=uses,
        variables={},
    )


def test_the_environment_of_the_code():
    """Addresses, the contract's fingerprint, the lock, and who may call."""
    assert variables_of(PEEKLOCK_RECEIPTS_URL="cloudtasks://c") == {
        "THREADS": "3",
        "PEEKLOCK_STORE": "firestore://contoso/shop-dev/leases",
        "PEEKLOCK_ORDERS_URL": "cloudtasks://a",
        "PEEKLOCK_ORDERS_DEAD_LETTER": "pubsub://b",
        "PEEKLOCK_ORDERS_FINGERPRINT": ORDERS.fingerprint,
        "PEEKLOCK_ORDERS_LOCK": "35",
        "PEEKLOCK_ORDERS_AUDIENCE": TARGET,
        "PEEKLOCK_ORDERS_SERVICE_ACCOUNT": CALLER,
        "PEEKLOCK_RECEIPTS_URL": "cloudtasks://c",
    }


def test_the_code_reads_it(monkeypatch):
    """It is not closed but asks for a token, the audience being known; the store opens."""
    for name, value in variables_of().items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Rejected) as refused:
        Guard(ORDERS).check("")
    assert not isinstance(refused.value, Closed)
    assert open_store(variables_of()["PEEKLOCK_STORE"])


def on(queue, uses=()):
    return {(grant.name, grant.role, grant.on, grant.queue) for grant in grants(queue, uses)}


def test_a_consumer_is_granted_what_it_does():
    """Copies to its queue, dead letters, its store."""
    assert on(ORDERS) == {
        ("delay", Role.ENQUEUER, "queue", None),
        ("delay-as", Role.ACT_AS, "caller", None),
        ("dead-letter", Role.PUBLISHER, "dead_letters", None),
        ("remember", Role.DATASTORE, "store", None),
    }


def test_each_queue_that_it_sends_to_is_two_more():
    """The function's own queue is granted already, as it copies to it."""
    assert on(ORDERS, [RECEIPTS, ORDERS]) - on(ORDERS) == {
        ("send-receipts", Role.ENQUEUER, "queue", "receipts"),
        ("send-receipts-as", Role.ACT_AS, "caller", "receipts"),
    }


def test_members_and_conditions():
    """A service account by its address, anybody else by its kind; one database."""
    assert member(CALLER) == f"serviceAccount:{CALLER}"
    assert member("user:ada@example.com") == "user:ada@example.com"
    assert identity.only_database("projects/p/databases/d")["expression"] == 'resource.name == "projects/p/databases/d"'


@pytest.mark.parametrize("handler", ["charge_http", "main:charge_http", "handlers.main.charge_http", "main.", ""])
def test_a_handler_is_in_main(handler):
    """Where the build looks."""
    with pytest.raises(ConfigError, match=r"name it as 'main\.<function>'"):
        functions.entry_point(handler)


def test_a_handler_is_the_function():
    """The entry point is the handler's name alone."""
    assert functions.entry_point("main.charge_http") == "charge_http"


def test_what_is_brought_has_its_form():
    """Before anything is made."""
    assert full_name("queue_name", QUEUE, "projects", "locations", "queues") == QUEUE
    with pytest.raises(ConfigError, match=r"queue_name: 'orders' .* form projects/\.\.\./locations/\.\.\./queues"):
        full_name("queue_name", "orders", "projects", "locations", "queues")


def test_pages_of_the_console():
    """One for each question."""
    pages = links("contoso", "europe-west1", Names(queue="q", service="s", subscription="l"))
    assert set(pages) == {"queue", "dead_letters", "function", "logs"}
    assert all(page.endswith("?project=contoso") for page in pages.values())


def test_what_is_bundled_is_what_is_deployed():
    """The Python and the folder of wheels, named again here, since neither may import the other."""
    target = TARGETS["gcp"]
    assert f"python{target.python.replace('.', '')}" == functions.RUNTIME
    assert {"GOOGLE_VENDOR_PIP_DEPENDENCIES": target.packages} == functions.VENDOR

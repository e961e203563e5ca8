"""Names in a project's modules, and what they are bound to according to the text."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from peeklock.bundle import code, entries
from peeklock.bundle.build import own_files
from peeklock.bundle.contents import Entry
from peeklock.bundle.project import load
from peeklock.bundle.targets import TARGETS
from tests.support import ROOT


def read(files: Mapping[str, str]) -> dict[str, object]:
    """Return what each name is bound to: `kind:queue` where that is known."""
    every = {path: Entry(part="app", data=text.encode(), source=path) for path, text in files.items()}
    found_entries = entries.entries(code.modules(every, TARGETS["aws"]))
    return {name: entry and f"{entry['kind']}:{entry['queue']}" for name, entry in found_entries.items()}


PROJECT = {
    "app/__init__.py": "",
    "app/queues.py": "from peeklock import Queue\nORDERS = Queue('orders')\nBILLS = Queue(name='bills', timeout=3)\n",
    "app/work.py": (
        "from app.queues import ORDERS\nfrom peeklock import consumer\n"
        "@consumer(ORDERS)\ndef charge(order): ...\n"
        "@traced\n@consumer(ORDERS, key='id')\nasync def ship(order): ...\n"
        "def helper(): ...\n"
    ),
}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("from app.work import charge\nfrom peeklock import sqs\nx = sqs.bind(charge)", "sqs:orders"),
        ("from app.work import ship\nfrom peeklock import sqs\nx = sqs.bind(ship, parallel=3)", "sqs:orders"),
        (
            "from app.work import charge as it\nfrom peeklock.platforms.sqs.bind import bind as b\nx = b(it)",
            "sqs:orders",
        ),
        (
            "from app.work import charge\nimport peeklock.platforms.sqs.bind\nx = peeklock.platforms.sqs.bind.bind(function=charge)",
            "sqs:orders",
        ),
        ("from app.work import charge\nimport peeklock\nx = peeklock.sqs.bind(charge)", "sqs:orders"),
        ("import app.work\nfrom peeklock import cloudtasks as ct\nx = ct.bind(app.work.charge)", "cloudtasks:orders"),
        ("import app.work as work\nfrom peeklock import pubsub\nx: Any = pubsub.bind(work.charge)", "pubsub:orders"),
        ("from app import work\nfrom peeklock import sqs\ny = sqs.bind(work.charge)\nx = y", "sqs:orders"),
        ("from .work import charge\nfrom peeklock import sqs\nx = sqs.bind(charge)", "sqs:orders"),
        ("from . import work\nfrom peeklock import sqs\nx = sqs.bind(work.charge)", "sqs:orders"),
        ("from app.work import charge as x", "consumer:orders"),
        (
            "from app import queues\nfrom peeklock import consumer\n@consumer(queues.BILLS)\ndef x(bill): ...",
            "consumer:bills",
        ),
        ("import app.queues as q\nimport peeklock as p\nx = p.consumer(queue=q.BILLS)(Pay())", "consumer:bills"),
        ("from peeklock import Queue, consumer\nx = consumer(Queue('here'))(f)", "consumer:here"),
        ("from peeklock import sqs\nfrom app.work import charge\nx = None\nx = sqs.bind(charge)", "sqs:orders"),
        ("from peeklock import sqs\nx = sqs.bind(made())", "sqs:None"),
        ("from peeklock import sqs\nfrom app.work import helper\nx = sqs.bind(helper)", "sqs:None"),
        ("from peeklock import Queue, consumer\nx = consumer(Queue(NAME))(f)", "consumer:None"),
        ("from app.queues import ORDERS\nfrom peeklock import sqs\nx = sqs.bind(ORDERS)", "sqs:None"),
        ("from peeklock import Queue, consumer\nodd = consumer(Queue('sqs.bind'))(f)\nx = odd(odd)", None),
        ("from peeklock import sqs\nfrom app.work import charge\nx = traced(sqs.bind(charge))", None),
        ("from peeklock import sqs\nfrom app.work import charge\nx = sqs.bind(charge)\nx = 1", None),
        ("from other import sqs\nfrom app.work import charge\nx = sqs.bind(charge)", None),
        ("from other import consumer\nfrom app.queues import ORDERS\n@consumer(ORDERS)\ndef x(order): ...", None),
        ("def x(event, context): ...", None),
        ("if SETTING:\n    x = 1\nelse:\n    x = 2", None),
        ("from other import x", None),
        ("x = y\ny = x", None),
    ],
)
def test_what_a_name_is(text, kind):
    """Through imports and other names; what cannot be read is not known. (trials 5.19)"""
    assert read({**PROJECT, "app/entry.py": text})["app.entry.x"] == kind


@pytest.mark.parametrize(
    "text",
    ["from app.work import *", "def __getattr__(name): ...", "globals()['x'] = 1", "for n in 'xy':\n    exec(n)"],
)
def test_a_module_with_names_that_cannot_be_read(text):
    """May have any."""
    assert "app.entry.*" in read({**PROJECT, "app/entry.py": text})
    assert "app.work.*" not in read({**PROJECT, "app/entry.py": text})


def test_public_names_alone():
    """Neither modules nor what is private."""
    assert set(read({"app/a.py": "import os\nimport json as j\n_x = 1\ny, (z, *w) = f(v := 2)\nt[0] = a.b = 3\n"})) == {
        *("app.a.j", "app.a.y", "app.a.z", "app.a.w"),
    }


@pytest.mark.parametrize(
    ("cloud", "handlers"),
    [
        (
            "aws",
            {"handlers.aws_sqs.handler.handler": "orders", "handlers.aws_sqs.handler.receipts_handler": "receipts"},
        ),
        ("azure", {"handlers.orders.charge.charge": "orders", "handlers.orders.receipts.write_receipts": "receipts"}),
        ("gcp", {"main.charge_http": "orders", "main.receipts_http": "receipts"}),
    ],
)
def test_the_examples(cloud, handlers):
    """Each handler that a program in infra/ names is known, with its queue. (trials 5.19)"""
    entries_by_name = entries.entries(code.modules(own_files(load(ROOT, cloud)), TARGETS[cloud]))
    assert {name: (entries_by_name[name] or {}).get("queue") for name in handlers} == handlers
    program = (ROOT / "infra" / cloud / "__main__.py").read_text()
    assert all(f'handler="{name}"' in program for name in handlers)

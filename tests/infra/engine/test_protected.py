"""A protected stack whose program loses a consumer, on the real engine and without a preview, as in a pipeline."""

from __future__ import annotations

import zipfile

import pytest

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]

CONFIG = "config:\n  gcp:project: contoso-dev\n  gcp:region: europe-west1\n  aws:region: eu-west-1\n  azure-native:location: westeurope\n  stage: {protect: true}\n"

HANDLERS = {"aws": "app.handler.handler", "azure": "app.charge.charge", "gcp": "main.charge_http"}

PROGRAM = """
from peeklock import Queue
from peeklock.infra.CLOUD import App
from peeklock.infra.options import Capacity, Stage

app = App("shop", bundle="bundle.zip"PROTECT)
for name in NAMES:
    app.consumer(Queue(name, max_delay=60), handler="HANDLER", capacity=Capacity(batch=1, memory=512))
app.all()
"""


@pytest.fixture
def program(written):
    """The text of a program with consumers for queues of these names, in its folder."""

    def write(cloud, *names, protect=True):
        text = PROGRAM.replace("CLOUD", cloud).replace("HANDLER", HANDLERS[cloud]).replace("NAMES", repr(names))
        text = text.replace("PROTECT", "" if protect else ", stage=Stage(protect=False)")
        folder = written(text, config=CONFIG)
        with zipfile.ZipFile(folder / "bundle.zip", "w") as bundle:
            bundle.writestr("nothing.py", "")
        return folder

    return write


def ids(engine):
    """All of the consumers, with the ids that the cloud gave it."""
    resources = [
        resource for resource in engine.resources("dev") if ":Consumer$" in resource["urn"] and resource.get("custom")
    ]
    return {resource["urn"]: resource["id"] for resource in resources}


@pytest.mark.parametrize("cloud", HANDLERS)
def test_a_consumer_that_left_the_program_stays_whole(clouds, program, cloud):
    """The function, mapping, alarms and roles as well as its queues: the update fails before the first is deleted. Once the
    stack is not protected, it goes. (trials 5.20)"""
    engine = clouds.engine(cloud, program(cloud, "orders", "bills"))
    engine.init("dev")
    engine.up("dev")
    before = ids(engine)
    assert len([urn for urn in before if "bills" in urn]) > 6
    program(cloud, "orders")
    with pytest.raises(Exception, match=r"shop-bills-kept(.|\n)*protect"):
        engine.up("dev")
    assert ids(engine) == before
    with pytest.raises(Exception, match="protect"):
        engine.destroy("dev")
    assert ids(engine) == before
    program(cloud, "orders", "bills", protect=False)
    engine.up("dev")
    program(cloud, "orders", protect=False)
    assert [resource for resource in engine.up("dev").steps if resource.op == "delete"]
    assert not [urn for urn in ids(engine) if "bills" in urn]

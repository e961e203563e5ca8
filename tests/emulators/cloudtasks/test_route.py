"""A queue that names its target's address in the cloud, and a target on this machine."""

from __future__ import annotations

from peeklock.emulators.cloudtasks import CloudTasksEmulator
from tests.emulators.cloudtasks.support import Target, queue_of, task_of

CLOUD = "https://europe-west1-p.cloudfunctions.net/orders"


def test_a_request_goes_where_its_route_leads(target: Target) -> None:
    """The target is told the host that was asked for; what is recorded is the task's own URL; a redirect is routed, too."""
    target.script = [307, 200]
    target.headers = {"Location": f"{CLOUD}/again?n=1"}
    with CloudTasksEmulator(route=lambda url: url.replace(CLOUD, target.url)) as emulator:
        client = emulator.client()
        task_of(client, queue_of(client), f"{CLOUD}/first")
        emulator.wait_idle()
        (dispatch,) = emulator.dispatches
    assert (dispatch.status, dispatch.url) == (200, f"{CLOUD}/first")
    assert [one.path for one in target.wait(2)] == ["/first", "/again?n=1"]
    assert {one.headers["host"] for one in target.seen} == {"europe-west1-p.cloudfunctions.net"}


def test_a_request_that_leads_nowhere(target: Target) -> None:
    """Is not answered, and tried again as its queue says."""
    with CloudTasksEmulator(route=lambda _: "") as emulator:
        client = emulator.client()
        task_of(client, queue_of(client, retry_config={"max_attempts": 2}), target.url)
        emulator.drain()
        assert [one.status for one in emulator.dispatches] == [0, 0]
    assert not target.seen

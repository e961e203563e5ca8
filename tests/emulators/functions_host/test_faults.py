"""Injected faults of the host, from a seed."""

from __future__ import annotations

from azure.servicebus import ServiceBusMessage

from cloudqueues.faults import NO_FAULTS, Faults
from cloudqueues.functions_host.history import Invocation
from tests.emulators.functions_host.kit import DEAD_LETTERS, Stage


def test_a_worker_is_killed_in_the_middle_of_a_function(stage: Stage) -> None:
    """Another worker starts, and the message is delivered again and completed once the fault is removed."""
    host = stage.run("single", faults=Faults(kill=1.0, seed=1))
    first = host.worker_pid
    stage.send("orders", "sleep 0.4")
    killed = host.wait_count(1)[0]
    host.faults = NO_FAULTS
    ended = host.wait_for(lambda all_: all_[-1].outcome == "ok")
    assert (killed.outcome, killed.error, killed.settled) == (
        "killed",
        "the worker was killed on purpose",
        ("abandoned",),
    )
    assert killed.duration < 0.4
    assert host.faults is NO_FAULTS
    assert host.worker_pid != first
    assert len(stage.noted("end")) == 1
    assert stage.left("orders") == []
    assert ended[-1].attempt == len(ended)


def test_a_function_that_is_quicker_than_its_killer_has_run_all_the_same(stage: Stage) -> None:
    """The effect remains and the answer is lost: the worst case for a handler that is not idempotent."""
    host = stage.run("single", faults=Faults(drop=1.0))
    stage.send("orders", "a")
    host.wait_count(3)
    host.wait_idle()
    assert [(invocation.outcome, invocation.settled) for invocation in host.invocations] == [
        ("killed", ("abandoned",))
    ] * 3
    assert len(stage.noted("end")) == 3
    assert len(stage.bus.messages("orders" + DEAD_LETTERS)) == 1


def test_an_answer_that_comes_late_in_the_hosts_time(stage: Stage) -> None:
    host = stage.run("single", faults=Faults(delay=1.0, delay_s=3600))
    stage.send("orders", "a")
    stage.until_noted("end")
    assert len(host.invocations) == 0
    while len(host.invocations) == 0:
        host.advance(60)
    assert [(invocation.outcome, invocation.settled) for invocation in host.invocations] == [("ok", ("completed",))]


def test_a_duplicate_is_delivered_after_its_message_was_completed(stage: Stage) -> None:
    host = stage.run("single", faults=Faults(duplicate=1.0))
    stage.send("orders", "a")
    host.wait_count(2)
    host.wait_idle()
    assert [(invocation.outcome, invocation.attempt, invocation.settled) for invocation in host.invocations] == [
        ("ok", 1, ("completed",)),
        ("ok", 1, ("none",)),
    ]
    tokens = {note["seen"][0]["lock_token"] for note in stage.noted("single")}
    assert len(tokens) == 1
    assert stage.left("orders") == []


def test_a_lock_that_is_lost_lets_the_message_run_twice_at_once(stage: Stage) -> None:
    host = stage.run("single", faults=Faults(lose_lock=0.5, seed=3), bus={"maxConcurrentCalls": 4})
    lost = [name for name in map(str, range(9)) if host.faults.hits("lose_lock", "single", name, 1, 1)]
    kept = [name for name in map(str, range(9)) if name not in lost]
    assert lost
    assert kept
    stage.send("orders", *(ServiceBusMessage("sleep 0.05", message_id=name) for name in (lost[0], kept[0])))
    host.wait_for(
        lambda ended: (
            {invocation.message_ids[0] for invocation in ended if "completed" in invocation.settled}
            == {lost[0], kept[0]}
        )
    )
    first = next(
        invocation
        for invocation in host.invocations
        if invocation.message_ids == (lost[0],) and invocation.attempt == 1
    )
    assert (first.outcome, first.settled) == ("ok", ("lost",))
    assert len([invocation for invocation in host.invocations if invocation.message_ids == (kept[0],)]) == 1
    assert stage.left("orders") == []


def test_a_session_that_is_lost_is_served_again(stage: Stage) -> None:
    host = stage.run("session", faults=Faults(lose_lock=1.0))
    stage.send("sessions", ServiceBusMessage("a", session_id="s"))
    host.wait_count(1)
    host.faults = NO_FAULTS
    ended = host.wait_for(lambda all_: "completed" in all_[-1].settled)
    assert ended[0].settled == ("lost",)
    assert stage.left("sessions") == []


def outcomes(ended: list[Invocation]) -> list[tuple[str, int, str]]:
    return sorted((invocation.message_ids[0], invocation.attempt, invocation.outcome) for invocation in ended)


def test_the_same_seed_kills_the_same_functions(stage: Stage) -> None:
    """The order of receivers does not matter: the runs match the faults that were drawn."""
    faults = Faults(kill=0.3, seed=5)
    host = stage.run("single", faults=faults, bus={"maxConcurrentCalls": 1})
    names = [f"m-{n}" for n in range(6)]
    stage.send("orders", *(ServiceBusMessage("a", message_id=name) for name in names))
    expected: list[tuple[str, int, str]] = []
    for name in names:
        fates = [faults.hits("kill", "single", name, attempt, 1) for attempt in (1, 2, 3)]
        runs = fates.index(False) + 1 if False in fates else 3
        expected += [(name, n + 1, "killed" if fates[n] else "ok") for n in range(runs)]
    assert {outcome for _, _, outcome in expected} == {"ok", "killed"}
    host.wait_count(len(expected))
    host.wait_idle()
    assert outcomes(list(host.invocations)) == sorted(expected)


def test_nothing_is_lost_with_all_faults_at_once(stage: Stage) -> None:
    """Each message is completed at least once, despite the faults of the host and of Service Bus."""
    stage.bus.add_queue("many", max_delivery_count=1000)
    faults = Faults(seed=11, kill=0.04, drop=0.03, delay=0.1, delay_s=0.02, duplicate=0.1, lose_lock=0.05)
    host = stage.run("single", faults=faults, environ={"QUEUE": "many"}, bus={"maxConcurrentCalls": 4})
    names = {f"m-{n}" for n in range(60)}
    stage.bus.faults = Faults(seed=11, duplicate=0.05, delay=0.1, delay_s=0.02, refuse=0.02, lose_lock=0.03)
    stage.send("many", *(ServiceBusMessage(name, message_id=name) for name in sorted(names)))
    host.wait_for(
        lambda ended: {invocation.message_ids[0] for invocation in ended if invocation.outcome == "ok"} == names, 60
    )
    host.faults = stage.bus.faults = NO_FAULTS
    assert {invocation.outcome for invocation in host.invocations} == {"ok", "killed"}
    assert {settled for invocation in host.invocations for settled in invocation.settled} >= {
        "completed",
        "abandoned",
        "none",
    }
    stage.bus.advance(60)  # the locks of what could not be settled
    stage.until_empty("many")
    assert stage.left("many" + DEAD_LETTERS) == []

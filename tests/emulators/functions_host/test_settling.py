"""What becomes of messages, by how their functions end."""

from __future__ import annotations

from tests.emulators.functions_host.kit import Stage


def test_what_succeeds_is_completed(stage: Stage) -> None:
    host = stage.run()
    stage.send("orders", "a", "b")
    ended = host.wait_count(2)
    assert [(one.function, one.outcome, one.attempt, one.settled) for one in ended] == [
        ("single", "ok", 1, ("completed",))
    ] * 2
    assert stage.left("orders") == []

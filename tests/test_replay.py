"""`peeklock replay`, as a person and as a machine use it."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from peeklock import Queue, consumer
from peeklock.cli import main
from peeklock.cli.replay_report import _sent
from peeklock.errors import EventError
from peeklock.replay.run import ProcessEnded, _no_exit
from tests.support import ROOT, environment

EVENTS = ROOT / "events"


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    """Where the project's pyproject.toml is."""
    monkeypatch.chdir(ROOT)


@pytest.fixture
def events(tmp_path) -> Path:
    """A folder with one good event and its expected results."""
    folder = tmp_path / "sqs"
    folder.mkdir()
    for name in ("single.json", "single.expected.json"):
        shutil.copy(EVENTS / "sqs" / name, folder)
    return folder


def run(*argv: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = out, err
    try:
        code = main(["replay", *argv])
    except SystemExit as exc:
        code = int(exc.code or 0)
    finally:
        sys.stdout, sys.stderr = before
    return code, out.getvalue(), err.getvalue()


def test_a_person_sees_a_table_and_a_summary():
    """Each message's end and why, what was told and sent; a traceback once, under the event's name, and not between the
    results; no colours in a file. (trials 3.1)"""
    code, out, err = run("events/sqs/fifo.json", "events/sqs/flaky.json", "events/sqs/single.json")
    assert code == 0
    assert "event" in out.splitlines()[0]
    assert "sqs/fifo: the handler raised\nTraceback" in err
    assert err.count("GatewayBusy: try again later") == 1
    assert (
        out.count("  4f426dcb-b394-4b36-bb2d-420f0f88080b: handlers.orders.gateway.GatewayBusy: try again later") == 1
    )
    assert "Traceback" not in out
    assert "3 events, 6 messages: 2 retry, 2 halted, 2 done" in out
    assert "\x1b[" not in out


def test_check_compares(events):
    """0 and 1, with a diff that can be read; --accept mends it."""
    assert run(str(events), "--check")[0] == 0
    expected = events / "single.expected.json"
    expected.write_text(expected.read_text().replace('"done"', '"retry"'))
    code, out, _ = run(str(events), "--check")
    assert code == 1
    assert '-      "reason": "retry"' in out
    assert '+      "reason": "done"' in out
    expected.unlink()
    code, out, _ = run(str(events), "--check", "--json")
    assert code == 1
    assert "let --accept write it" in out
    assert run(str(events), "--accept")[0] == 0
    code, out, _ = run(str(events), "--check")
    assert (code, "all as expected" in out) == (0, True)


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_json_for_machines():
    """One object a message with constant names, and the summary last."""
    code, out, _ = run("events/cloudtasks/flaky.json", "--json", "--times", "2", "--check")
    first, answer, second, _, last = lines(out)
    assert code == 0
    assert first.keys() == {
        "detail",
        "event",
        "platform",
        "run",
        "message_id",
        "attempt",
        "disposition",
        "reason",
        "delay_s",
        "duration_ms",
        "error",
    }
    assert first["error"] == "handlers.orders.gateway.GatewayBusy: try again later"
    assert (first["reason"], second["reason"], second["run"]) == ("retry", "superseded", 2)
    (sent,) = answer["sent"]
    assert {name: answer[name] for name in ("event", "platform", "run", "response")} == {
        "event": "cloudtasks/flaky",
        "platform": "cloudtasks",
        "run": 1,
        "response": {"status": 204},
    }
    assert (sent["to"], sent["delay_s"]) == ("orders", first["delay_s"])
    assert last == {
        "summary": {
            "events": 1,
            "messages": 2,
            "reasons": {"retry": 1, "superseded": 1},
            "sent": 1,
            "refused": 0,
            "exited": 0,
            "different": 0,
        }
    }


def test_times_and_attempt():
    """A message that was done is a duplicate; the last attempt is exhausted; with an envelope too."""
    _, out, _ = run("events/sqs/single.json", "--times", "2")
    assert "sqs/single (2)" in out
    assert "1 done, 1 duplicate" in out
    for name in ("flaky", "sns"):
        _, out, _ = run(f"events/sqs/{name}.json", "--attempt", "5", "--json")
        assert lines(out)[0]["attempt"] == 5
    assert "exhausted" in run("events/sqs/flaky.json", "--attempt", "13")[1]


def test_deadline_and_unwrap():
    """Without time all is halted; an envelope that is not there is invalid."""
    assert "1 halted" in run("events/sqs/single.json", "--deadline", "3")[1]
    assert "1 invalid" in run("events/sqs/single.json", "--unwrap", "sns")[1]


def test_envelopes_in_envelopes(tmp_path, events):
    """Named from the outside in; the test event of S3 needs no run. (trials 1.2)"""
    event = json.loads((events / "single.json").read_text())
    inner = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"})
    event["Records"][0]["body"] = json.dumps({"Type": "Notification", "Message": inner})
    sample = tmp_path / "nested.json"
    sample.write_text(json.dumps(event))
    assert "1 done" in run(str(sample), "--unwrap", "sns,s3")[1]
    assert "1 invalid" in run(str(sample), "--unwrap", "s3,sns")[1]
    (tmp_path / "nested.expected.json").write_text(json.dumps({"unwrap": "sns,s3"}))
    assert run(str(sample), "--accept")[0] == 0
    assert run(str(sample), "--check")[0] == 0
    assert json.loads((tmp_path / "nested.expected.json").read_text())["unwrap"] == "sns,s3"


def test_an_unknown_envelope(tmp_path, events):
    """Is refused with the nearest name, on the command line and in an expected file. (trials 1.2)"""
    code, _, err = run("events/sqs/single.json", "--unwrap", "sns,s33")
    assert (code, "no envelope is called 's33': did you mean 's3'?" in err) == (2, True)
    (events / "single.expected.json").write_text('{"unwrap":"snss"}')
    code, _, err = run(str(events / "single.json"))
    assert (code, "single.expected.json, unwrap: no envelope is called 'snss'" in err) == (2, True)


def test_it_says_the_same_each_time(events):
    """But for how long it took."""

    def told() -> list[dict[str, Any]]:
        rows = lines(run("events", "--json")[1])
        return [{key: value for key, value in row.items() if key != "duration_ms"} for row in rows]

    assert told() == told()


def test_a_store_that_lasts(tmp_path):
    """Remembers from one replay to the next."""
    url = f"sqlite://{tmp_path}/keys.db"
    assert "1 done" in run("events/sqs/single.json", "--store", url)[1]
    assert "1 duplicate" in run("events/sqs/single.json", "--store", url)[1]


def test_live_really_sends(tmp_path):
    """To the environment's queues."""
    settings = {
        "PEEKLOCK_STORE": "memory://live",
        "PEEKLOCK_ORDERS_DEAD_LETTER": f"file://{tmp_path}/dead-letters.jsonl",
        "PEEKLOCK_RECEIPTS_URL": f"file://{tmp_path}/receipts.jsonl",
    }
    with environment(**settings):
        assert run("events/sqs/batch.json", "events/sqs/binary.json", "--live")[0] == 0
    assert len((tmp_path / "receipts.jsonl").read_text().splitlines()) == 2
    assert '"dead_letter": true' in (tmp_path / "dead-letters.jsonl").read_text()
    with environment(PEEKLOCK_STORE=None):
        code, _, err = run("events/sqs/single.json", "--live")
    assert (code, "set PEEKLOCK_STORE" in err) == (2, True)


@pytest.mark.parametrize(
    ("argv", "fix"),
    [
        (["events/sqs/single.json", "--handler", "handlers"], "write module:function"),
        (["events/sqs/single.json", "--handler", "handlers.nowhere:x"], "there is no module 'handlers.nowhere'"),
        (
            ["events/sqs/single.json", "--handler", "handlers.orders.charge:chrge"],
            "did you mean handlers.orders.charge:charge?",
        ),
        (["events/sqs/single.json", "--handler", "handlers.orders.charge:zzz"], "has no 'zzz'"),
        (["events/sqs/single.json", "--handler", "handlers.orders.charge:Order"], "decorate it with @consumer"),
        (
            ["events/sqs/single.json", "--handler", "tests.broken_import:x"],
            "imports 'not_installed', which is not installed",
        ),
        (["nowhere.json"], "nowhere.json: No such file"),
        (["README.md"], "README.md: not JSON"),
        (["src"], "no events in this folder"),
        (["tests/not_an_event.json"], 'pubsub: the request of a push, {"headers": {...}, "body": ...}'),
        (
            ["events/sqs/single.json", "--platform", "servicebus"],
            "sqs/single: no event of servicebus; it looks like one of sqs: leave --platform out",
        ),
        (["events/sqs/single.json", "--times", "0"], "is not a number from 1 up"),
        (["events/sqs/single.json", "--times", "²"], "is not a number from 1 up"),
        (["events/sqs/single.json", "--deadline", "-1"], "peeklock replay: --deadline cannot be negative"),
        (["events/sqs/single.json", "--deadline", "nan"], "peeklock replay: --deadline takes seconds"),
    ],
)
def test_mistakes_are_explained(argv, fix):
    """With exit code 2 and what to do."""
    code, _, err = run(*argv)
    assert (code, fix in err) == (2, True), err


def test_without_a_handler(tmp_path, monkeypatch):
    """It says where to name one."""
    monkeypatch.chdir(tmp_path)
    code, _, err = run(str(EVENTS / "sqs/single.json"))
    assert (code, "[tool.peeklock]" in err) == (2, True)


def test_an_event_that_is_refused():
    """Exit code 1 and the reason; a machine gets it as a line."""
    code, out, _ = run("events/sqs/single.json", "--platform", "cloudtasks", "--queue", "orders")
    assert (code, "refused: not a push request" in out, "1 refused" in out) == (1, True, True)
    code, out, _ = run("events/sqs/single.json", "--platform", "pubsub", "--queue", "orders", "--json")
    assert (code, "not a push" in lines(out)[0]["refused"]) == (1, True)


def test_a_bound_entry_is_a_handler_too():
    """The entry's own envelope is opened."""
    assert run("events/sqs/single.json", "--handler", "tests.bound_entry:handler")[0] == 0
    assert "1 done, 1 invalid" in run("events/sqs/sns.json", "--handler", "tests.bound_entry:unwrapping")[1]


def command(*argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "peeklock.cli", *argv],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )


def test_as_a_command():
    """From standard input; with help that teaches, and a version."""
    done = command("replay", "-", stdin=(EVENTS / "sqs/unicode.json").read_text())
    assert (done.returncode, "1 done" in done.stdout) == (0, True)
    text = command("replay", "--help").stdout
    assert "exit codes:" in text
    assert "peeklock replay events/ --check" in text
    assert command("--version").stdout.startswith("peeklock 0.")
    assert command().returncode == 2


def test_colours_on_a_terminal(monkeypatch):
    """Unless they are refused; and what a producer put into an id cannot move the cursor."""
    from peeklock.cli.table import Table

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    with environment(NO_COLOR=None, TERM="xterm"):
        table = Table(a=4, b=0)
    table.row("日本語", "x", colour="complete")
    table.row("\x1b[2J", "e\u0301", colour="unknown")
    assert "\x1b[32m日…" in sys.stdout.getvalue()  # type: ignore[attr-defined] # the double's
    assert r"\x1…" in sys.stdout.getvalue()  # type: ignore[attr-defined] # as above


def test_what_is_wrong_with_an_invalid_message_is_said(tmp_path):
    """And where, for a person and for a machine; never a value of it."""
    event = json.loads((ROOT / "events/sqs/single.json").read_text())
    event["Records"][0]["body"] = '{"order_id":["secret-value"]}'
    (tmp_path / "invalid.json").write_text(json.dumps(event))
    code, out, _ = run(str(tmp_path / "invalid.json"), "--handler", "handlers.orders.charge:charge")
    assert code == 0
    assert "$.order_id: string_type" in out
    assert "secret-value" not in out
    _, out, _ = run(str(tmp_path / "invalid.json"), "--handler", "handlers.orders.charge:charge", "--json")
    assert "$.order_id: string_type" in lines(out)[0]["detail"]


class Bad(Exception):
    """No attempt can make it good."""


@consumer(Queue("orders", max_attempts=2, max_age=3600, timeout=0.2), fatal=(Bad,))
def failing(order: dict) -> None:  # type: ignore[type-arg] # as users write it
    match order["do"]:
        case "fatal":
            raise Bad("no")
        case "retry":
            raise EventError("not of the platform")
        case "timeout":
            time.sleep(5)


def failures(folder: Path) -> str:
    """An event with a message for each way to fail."""
    event = json.loads((ROOT / "events/sqs/single.json").read_text())
    (first,) = event["Records"]
    first["attributes"]["SentTimestamp"] = str(2**42)  # far from too old
    bodies = {name: json.dumps({"do": name}) for name in ("done", "fatal", "retry", "timeout", "expired")}
    event["Records"] = [
        {**first, "messageId": name, "body": body} for name, body in {**bodies, "invalid": "no JSON"}.items()
    ]
    event["Records"][4]["attributes"] = {**first["attributes"], "SentTimestamp": "1000"}
    (folder / "failures.json").write_text(json.dumps(event))
    return str(folder / "failures.json")


def details(*argv: str) -> dict[str, tuple[str, str]]:
    rows = lines(run(*argv, "--handler", "tests.test_replay:failing", "--json")[1])
    return {row["message_id"]: (row["reason"], row["detail"]) for row in rows if "message_id" in row}


def test_messages_that_grow_old_replay_the_same(tmp_path):
    """At the time that `--accept` wrote, or whenever it is run where none is."""
    event = json.loads((ROOT / "events/sqs/single.json").read_text())
    sent = datetime(2026, 1, 1, tzinfo=UTC)
    event["Records"][0] |= {"body": '{"do":"done"}'}
    event["Records"][0]["attributes"]["SentTimestamp"] = str(int(sent.timestamp() * 1000))
    file, expected = tmp_path / "old.json", tmp_path / "old.expected.json"
    file.write_text(json.dumps(event))
    options = (str(file), "--handler", "tests.test_replay:failing")
    assert "expired" in run(*options, "--accept")[1]
    accepted = json.loads(expected.read_text())
    assert datetime.now(UTC) - datetime.fromisoformat(accepted["at"]) < timedelta(minutes=1)
    expected.write_text(json.dumps(accepted | {"at": str(sent + timedelta(minutes=59))}))
    code, out, _ = run(*options, "--accept")
    assert (code, "done" in out, "expired" in out) == (0, True, False)
    assert run(*options, "--check")[0] == 0
    for wrong in ("yesterday", "2026-01-01T00:00:00"):
        expected.write_text(json.dumps(accepted | {"at": wrong}))
        assert f"at: '{wrong}' is no time" in run(*options)[2]


def test_a_table_shows_a_few_of_what_is_sent():
    """An event of 10,000 messages may send as many."""
    assert _sent([{"to": "a"}] * 5) == "a, a, a, a, a"
    assert _sent([{"to": "a"}] * 7) == "a, a, a, a, a, and 2 more"


def test_a_machine_is_told_each_outcomes_detail(tmp_path):
    """Also where the handler raised: it gets no traceback, and the dead letter says the same."""
    file = failures(tmp_path)
    assert details(file) == {
        "done": ("done", ""),
        "fatal": ("fatal", "Bad: no"),
        "retry": ("retry", ""),
        "timeout": ("timeout", "ran past its 0.2 s, interrupted"),
        "expired": ("expired", "older than 1:00:00"),
        "invalid": ("invalid", "not JSON: Expecting value at character 0"),
    }
    last = details(file, "--attempt", "2")
    assert last["retry"] == ("exhausted", "EventError: not of the platform")
    assert last["timeout"] == ("exhausted", "TimedOut: ran past its 0.2 s, interrupted")


def test_a_person_reads_each_detail_once(tmp_path):
    """Below its message. What a handler raises refuses no event."""
    code, out, _ = run(failures(tmp_path), "--handler", "tests.test_replay:failing")
    assert code == 0
    assert "refused" not in out
    assert [out.count(text) for text in ("Bad: no", "EventError: not of", "ran past its", "older than")] == [1] * 4


def test_dead_letters_that_cannot_be_published_are_reported(tmp_path):
    """To machine and person, whether or not the handler raised something before."""
    file, lost = failures(tmp_path), "could not be published: /proc/nowhere/dead-letters.jsonl"
    settings = {
        "PEEKLOCK_STORE": "memory://unpublished",
        "PEEKLOCK_ORDERS_DEAD_LETTER": "file:///proc/nowhere/dead-letters.jsonl",
        "PEEKLOCK_ORDERS_URL": "memory://orders",
    }
    with environment(**settings):
        reasons = details(file, "--live")
        _, out, _ = run(file, "--live", "--handler", "tests.test_replay:failing")
    assert [reasons[name][0] for name in ("fatal", "expired", "invalid")] == ["retry", "unavailable", "unavailable"]
    assert all(lost in reasons[name][1] for name in ("fatal", "expired", "invalid"))
    assert "  invalid: the dead letter (invalid) could not be published" in out
    assert "  fatal: the dead letter (fatal) could not be published" in out


def test_all_events_that_cannot_be_read_are_named(events):
    """In one go, and nothing is run."""
    for name in ("one", "two"):
        (events / f"{name}.json").write_text("{")
    code, out, err = run(str(events), str(events / "three.json"))
    assert (code, out) == (2, "")
    assert [name for name in ("one", "two", "three") if f"{name}.json: " in err] == ["one", "two", "three"]


def test_an_expected_file_that_cannot_be(events):
    """The error has the file's own name; unknown names and wrong types are refused, since they would be ignored."""
    expected = events / "single.expected.json"
    for text, fix in (
        ("{", "single.expected.json: not JSON"),
        ("[]", "single.expected.json: not an object of JSON"),
        ('{"queu": "orders"}', "single.expected.json: 'queu' is unknown; did you mean 'queue'?"),
        ('{"queue": 7}', "single.expected.json, queue: 7 is no str"),
        ('{"outcomes": {}}', "single.expected.json, outcomes: {} is no list"),
    ):
        expected.write_text(text)
        code, out, err = run(str(events / "single.json"))
        assert (code, out, fix in err) == (2, "", True), err


def test_the_time_of_all_events(tmp_path):
    """An event that was saved a while ago is expired now, which is said; --at is its own time."""
    event = json.loads((ROOT / "events/sqs/single.json").read_text())
    event["Records"][0]["body"] = '{"do":"done"}'
    event["Records"][0]["attributes"]["SentTimestamp"] = "1767225600000"  # 2026-01-01
    (tmp_path / "old.json").write_text(json.dumps(event))
    words = (str(tmp_path / "old.json"), "--handler", "tests.test_replay:failing")
    out = run(*words)[1]
    assert "1 expired by the clock of this machine: say --at TIME to replay at another time" in out
    out = run(*words, "--at", "2026-01-01T00:30:00+00:00")[1]
    assert "1 event, 1 message: 1 done" in out
    assert "by the clock of this machine" not in run(*words, "--at", "2026-01-02T00:30:00+00:00")[1]
    code, _, err = run(*words, "--at", "today")
    assert (code, "--at: 'today' is no time, such as 2026-" in err) == (2, True)


def test_accept_writes_the_first_of_several_runs(events):
    """The second is a duplicate; and it writes in one step, which leaves nothing beside it."""
    assert run(str(events), "--accept", "--times", "2")[0] == 0
    expected = json.loads((events / "single.expected.json").read_text())
    assert [outcome["reason"] for outcome in expected["outcomes"]] == ["done"]
    assert sorted(path.name for path in events.iterdir()) == ["single.expected.json", "single.json"]


@consumer(Queue("orders"))
def exiting(order: dict) -> None:  # type: ignore[type-arg] # as users write it
    if order["do"] == "exit":
        os._exit(0)
    if order["do"] == "fork":
        child = multiprocessing.get_context("fork").Process(target=print, args=("in a child",))
        child.start()
        child.join()
        assert child.exitcode == 0


@pytest.fixture
def exits(tmp_path) -> Path:
    """A folder with an event whose handler ends the process, and a good one after it."""
    event = json.loads((EVENTS / "sqs/single.json").read_text())
    for name, do in (("a.json", "exit"), ("b.json", "done")):
        event["Records"][0]["body"] = json.dumps({"do": do})
        (tmp_path / name).write_text(json.dumps(event))
    return tmp_path


def test_a_handler_that_ends_the_process(exits):
    """It is an error that names the event, though it ends with status 0; the other events run. (stranger 2, bug 9)"""
    done = command("replay", str(exits), "--handler", "tests.test_replay:exiting", "--times", "2")
    assert done.returncode == 2
    assert f"{exits.name}/a: the handler ended the process, by os._exit(0)" in done.stdout
    assert "2 events, 2 messages: 1 done, 1 duplicate; 0 sent;" in done.stdout
    assert "1 without results: the handler ended the process" in done.stdout


def test_processes_that_a_handler_forks_end_as_they_would(exits):
    """They end by `os._exit`, as with the standard library's own pool, and do not go on with the replay."""
    event = json.loads((exits / "a.json").read_text())
    event["Records"][0]["body"] = json.dumps({"do": "fork"})
    (exits / "a.json").write_text(json.dumps(event))
    done = command("replay", str(exits), "--handler", "tests.test_replay:exiting")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("2 events, 2 messages: 2 done") == 1


def test_the_end_of_the_process_is_no_result(exits):
    """It is neither accepted nor as expected."""
    words = (str(exits), "--handler", "tests.test_replay:exiting")
    assert run(*words, "--accept")[0] == 2
    assert sorted(path.name for path in exits.iterdir()) == ["a.json", "b.expected.json", "b.json"]
    code, out, _ = run(*words, "--check")
    assert (code, "as expected" in out) == (2, False)
    (exits / "b.expected.json").unlink()
    code, out, _ = run(*words, "--check")
    assert (code, "1 not as expected" in out) == (2, True)
    code, out, _ = run(*words, "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert (code, lines[0]["exit_status"], lines[-1]["summary"]["exited"]) == (2, 0, 1)


def test_an_exit_is_an_error_whatever_its_status(monkeypatch):
    """Only within the run: a process may end itself otherwise."""
    statuses: list[int] = []
    monkeypatch.setattr(os, "_exit", statuses.append)
    recorded: list[int] = []
    with _no_exit(recorded), pytest.raises(ProcessEnded, match=r"os\._exit\(0\)"):
        os._exit(0)
    os._exit(3)
    assert (recorded, statuses) == ([0], [3])


def test_check_and_accept_exclude_each_other(events):
    """Else the expected results would be written, and then be as expected. (stranger 2, bug 8)"""
    expected = events / "single.expected.json"
    expected.write_text('{"sent": []}')
    code, out, _ = run(str(events), "--check", "--accept")
    assert (code, out, expected.read_text()) == (2, "", '{"sent": []}')


@pytest.mark.parametrize("option", ["--check", "--accept"])
def test_standard_input_has_no_expected_results(option):
    code, out, err = run("-", option)
    assert (code, out, f"{option} needs files of events, and - is standard input" in err) == (2, "", True)

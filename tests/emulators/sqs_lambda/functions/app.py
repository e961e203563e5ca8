"""Handlers as users write them, each with one habit. What they saw goes to a file, since they run in processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

print("loaded")


def note(**seen: Any) -> None:
    with Path(os.environ["EVIDENCE"]).open("a") as file:
        file.write(json.dumps({"pid": os.getpid(), "at": time.time(), **seen}) + "\n")


def ids(event: Any) -> list[str]:
    return [record["messageId"] for record in event["Records"]]


def bodies(event: Any) -> list[str]:
    return [record["body"] for record in event["Records"]]


def succeed(event: Any, context: Any) -> None:
    note(bodies=bodies(event), request=context.aws_request_id)


def records(event: Any, context: Any) -> None:
    note(event=event)


def report(event: Any, context: Any) -> dict[str, Any]:
    """Fails those whose body starts with `fail`, up to the receive count that follows it."""
    failed: list[dict[str, str]] = []
    for record in event["Records"]:
        word, _, count = record["body"].partition(":")
        receives = int(record["attributes"]["ApproximateReceiveCount"])
        if word == "fail" and receives <= int(count or 10**9):
            failed.append({"itemIdentifier": record["messageId"]})
        note(body=record["body"], receives=receives)
    return {"batchItemFailures": failed}


def answer(event: Any, context: Any) -> Any:
    note(bodies=bodies(event))
    first = event["Records"][0]["attributes"]["ApproximateReceiveCount"] == "1"
    return json.loads(os.environ["ANSWER"]) if first else None


def context(event: Any, context: Any) -> None:
    """Note what a function can see of the context and the environment."""
    note(
        left=context.get_remaining_time_in_millis(),
        request=context.aws_request_id,
        arn=context.invoked_function_arn,
        name=context.function_name,
        version=context.function_version,
        memory=context.memory_limit_in_mb,
        group=context.log_group_name,
        environ=dict(os.environ),
        cwd=str(Path.cwd()),
    )


def fail_once(event: Any, context: Any) -> None:
    receives = int(event["Records"][0]["attributes"]["ApproximateReceiveCount"])
    note(receives=receives)
    if receives == 1:
        raise ValueError("not yet")


def exit_once(event: Any, context: Any) -> None:
    note(bodies=bodies(event))
    if event["Records"][0]["attributes"]["ApproximateReceiveCount"] == "1":
        os._exit(7)


def exit_and_leave_a_child(event: Any, context: Any) -> None:
    """At the first delivery: a child that sleeps, with a pipe open."""
    if event["Records"][0]["attributes"]["ApproximateReceiveCount"] == "1":
        held = os.open(os.environ["HELD"], os.O_WRONLY)
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], pass_fds=(held,))
        os._exit(7)


def hang_once(event: Any, context: Any) -> None:
    note(bodies=bodies(event))
    if event["Records"][0]["attributes"]["ApproximateReceiveCount"] == "1":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        print("hanging", flush=True)
        time.sleep(60)


def leave_a_child(event: Any, context: Any) -> None:
    """One of its own session, which no signal to the function's group reaches, and which holds its output open."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    note(child=child.pid)


def die_later(event: Any, context: Any) -> None:
    """End the process shortly after the answer, when no event is running."""
    import threading

    note(bodies=bodies(event))
    threading.Timer(0.05, lambda: os._exit(3)).start()


def take_a_while(event: Any, context: Any) -> None:
    note(bodies=bodies(event), what="begin")
    time.sleep(0.3)
    note(bodies=bodies(event), what="end")


def meet(event: Any, context: Any) -> None:
    """Stays until another began, however long its process takes to start, and a while longer."""
    note(bodies=bodies(event), what="begin")
    until = time.monotonic() + 20
    while Path(os.environ["EVIDENCE"]).read_text().count("begin") < 2 and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.1)
    note(bodies=bodies(event), what="end")


def release(event: Any) -> None:
    """Make its messages visible."""
    import boto3

    sdk: Any = boto3
    sqs = sdk.client("sqs")
    *_, name = event["Records"][0]["eventSourceARN"].split(":")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    for record in event["Records"]:
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=record["receiptHandle"], VisibilityTimeout=0)


def release_and_fail(event: Any, context: Any) -> None:
    """At the first delivery, with the beginnings of its bodies noted."""
    note(bodies=[body[:1] for body in bodies(event)])
    if event["Records"][0]["attributes"]["ApproximateReceiveCount"] == "1":
        release(event)
        raise ValueError("no")


def release_and_stay(event: Any, context: Any) -> dict[str, Any]:
    """Makes its messages visible, and goes on for a while."""
    note(bodies=bodies(event), what="begin")
    if event["Records"][0]["attributes"]["ApproximateReceiveCount"] != "1":
        note(bodies=bodies(event), what="end")
        return {}
    release(event)
    time.sleep(0.5)
    note(bodies=bodies(event), what="end")
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in ids(event)]}


def speak(event: Any, context: Any) -> None:
    print("one\ntwo")
    print("err", file=sys.stderr)
    print("x" * 300_000)
    sys.stdout.write("caf\u00e9, unfinished")


def too_much(event: Any, context: Any) -> str | None:
    first = event["Records"][0]["attributes"]["ApproximateReceiveCount"] == "1"
    return "x" * (7 * 1024 * 1024) if first else None


def too_much_error(event: Any, context: Any) -> None:
    if event["Records"][0]["attributes"]["ApproximateReceiveCount"] == "1":
        raise ValueError("y" * 300_000)


def log_and_print(event: Any, context: Any) -> None:
    """A traceback in the log, and a line on standard output at once after it."""
    import logging

    try:
        int("no")
    except ValueError:
        logging.getLogger().exception("failed")
    print("printed")

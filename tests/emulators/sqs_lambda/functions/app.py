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
    return [one["messageId"] for one in event["Records"]]


def bodies(event: Any) -> list[str]:
    return [one["body"] for one in event["Records"]]


def succeed(event: Any, context: Any) -> None:
    note(bodies=bodies(event), request=context.aws_request_id)


def records(event: Any, context: Any) -> None:
    note(event=event)


def report(event: Any, context: Any) -> dict[str, Any]:
    """Fails those whose body starts with `fail`, up to the receive count that follows it."""
    failed = []
    for one in event["Records"]:
        word, _, count = one["body"].partition(":")
        receives = int(one["attributes"]["ApproximateReceiveCount"])
        if word == "fail" and receives <= int(count or 10**9):
            failed.append({"itemIdentifier": one["messageId"]})
        note(body=one["body"], receives=receives)
    return {"batchItemFailures": failed}


def answer(event: Any, context: Any) -> Any:
    note(bodies=bodies(event))
    first = event["Records"][0]["attributes"]["ApproximateReceiveCount"] == "1"
    return json.loads(os.environ["ANSWER"]) if first else None


def context(event: Any, context: Any) -> None:
    """Of the context and the environment, what a function can see."""
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


def hang_once(event: Any, context: Any) -> None:
    note(bodies=bodies(event))
    if event["Records"][0]["attributes"]["ApproximateReceiveCount"] == "1":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        print("hanging", flush=True)
        time.sleep(60)


def die_later(event: Any, context: Any) -> None:
    """Its process ends after the answer, while nobody looks."""
    import threading

    note(bodies=bodies(event))
    threading.Timer(0.05, lambda: os._exit(3)).start()


def take_a_while(event: Any, context: Any) -> None:
    note(bodies=bodies(event), what="begin")
    time.sleep(0.3)
    note(bodies=bodies(event), what="end")


def release_and_stay(event: Any, context: Any) -> dict[str, Any]:
    """Makes its messages visible, and goes on for a while."""
    import boto3

    sqs = boto3.client("sqs")
    note(bodies=bodies(event), what="begin")
    *_, name = event["Records"][0]["eventSourceARN"].split(":")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    if event["Records"][0]["attributes"]["ApproximateReceiveCount"] != "1":
        note(bodies=bodies(event), what="end")
        return {}
    for one in event["Records"]:
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=one["receiptHandle"], VisibilityTimeout=0)
    time.sleep(0.5)
    note(bodies=bodies(event), what="end")
    return {"batchItemFailures": [{"itemIdentifier": one} for one in ids(event)]}


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

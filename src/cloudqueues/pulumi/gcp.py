"""The stand-in for Google Cloud: queues are applied to the Cloud Tasks emulator, and the rest is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudqueues.pulumi import fake_outputs
from cloudqueues.pulumi.resources import Cloud, ResourceHandler, Values
from cloudqueues.pulumi.wire import parsed, shown

SETTINGS = ("httpTarget", "rateLimits", "retryConfig", "stackdriverLoggingConfig")
PAUSED = "PAUSED"
OUTPUT_ONLY = ("maxBurstSize",)
NOTHING = ("", "0s", 0, False)

RECORDED = frozenset(
    {
        "gcp:artifactregistry/repository:Repository",
        "gcp:cloudfunctionsv2/function:Function",
        "gcp:cloudfunctionsv2/functionIamMember:FunctionIamMember",
        "gcp:cloudrunv2/service:Service",
        "gcp:cloudrunv2/serviceIamMember:ServiceIamMember",
        "gcp:cloudtasks/queueIamMember:QueueIamMember",
        "gcp:firestore/database:Database",
        "gcp:firestore/field:Field",
        "gcp:firestore/index:Index",
        "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember",
        "gcp:logging/metric:Metric",
        "gcp:logging/projectBucketConfig:ProjectBucketConfig",
        "gcp:logging/projectSink:ProjectSink",
        "gcp:monitoring/alertPolicy:AlertPolicy",
        "gcp:monitoring/dashboard:Dashboard",
        "gcp:monitoring/notificationChannel:NotificationChannel",
        "gcp:projects/iAMMember:IAMMember",
        "gcp:projects/service:Service",
        "gcp:projects/serviceIdentity:ServiceIdentity",
        "gcp:pubsub/subscription:Subscription",
        "gcp:pubsub/subscriptionIAMMember:SubscriptionIAMMember",
        "gcp:pubsub/topic:Topic",
        "gcp:pubsub/topicIAMMember:TopicIAMMember",
        "gcp:serviceaccount/account:Account",
        "gcp:serviceaccount/iAMMember:IAMMember",
        "gcp:storage/bucket:Bucket",
        "gcp:storage/bucketIAMMember:BucketIAMMember",
        "gcp:storage/bucketObject:BucketObject",
    }
)


def cloud(tasks: Any) -> Cloud:
    """On a Cloud Tasks emulator, by Google's own client."""
    return Cloud(
        package="gcp",
        applied={"gcp:cloudtasks/queue:Queue": _queues(tasks.client())},
        recorded=RECORDED,
        functions={name: one for name, one in fake_outputs.FUNCTIONS.items() if name.startswith("gcp:")},
    )


def _queues(client: Any) -> ResourceHandler:
    def create(inputs: Values) -> tuple[str, Values]:
        parent = f"projects/{inputs.get('project', fake_outputs.PROJECT)}/locations/{inputs['location']}"
        name = f"{parent}/queues/{inputs['name']}"
        client.create_queue(parent=parent, queue=_message(name, inputs))
        _pause(client, name, {}, inputs)
        return name, {"state": inputs.get("desiredState", "RUNNING")}

    def read(id_: str, known: Values) -> Values | None:
        from google.api_core.exceptions import NotFound

        try:
            there = client.get_queue(name=id_)
        except NotFound:
            return None
        return _live(there, known)

    def update(id_: str, olds: Values, news: Values) -> Values:
        client.update_queue(queue=_message(id_, news))
        _pause(client, id_, olds, news)
        return {"state": news.get("desiredState", "RUNNING")}

    def delete(id_: str, _: Values) -> None:
        from google.api_core.exceptions import NotFound

        try:
            client.delete_queue(name=id_)
        except NotFound:
            return

    replaces = frozenset({"name", "location", "project"})
    return ResourceHandler(create=create, read=read, update=update, delete=delete, replaces=replaces)


def _message(name: str, inputs: Values) -> Any:
    """The API's own, whose JSON has the same names. https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues"""
    from google.cloud import tasks_v2

    given = {key: inputs[key] for key in SETTINGS if inputs.get(key)}
    return tasks_v2.Queue(parsed({"name": name, **given}, tasks_v2.Queue.pb()()))


def _pause(client: Any, name: str, olds: Values, news: Values) -> None:
    paused = news.get("desiredState") == PAUSED
    if paused != (olds.get("desiredState") == PAUSED):
        (client.pause_queue if paused else client.resume_queue)(name=name)


def _live(queue: Any, known: Values) -> dict[str, Any]:
    """Only what was said: the service fills the rest with its defaults."""
    from google.cloud import tasks_v2

    said = shown(tasks_v2.Queue.pb(queue))
    live = {key: _as_said(known[key], said.get(key, {})) for key in SETTINGS if key in known}
    state = PAUSED if queue.state == tasks_v2.Queue.State.PAUSED else "RUNNING"
    wanted = {"desiredState": state} if "desiredState" in known else {}
    return {**live, **wanted, "state": state}


def _as_said(known: Any, live: Any) -> Any:
    """The live value in the shape of the known one: the service leaves out what is 0 or empty."""
    if isinstance(known, Mapping) and isinstance(live, Mapping):
        return {key: one if key in OUTPUT_ONLY else _as_said(one, live.get(key)) for key, one in known.items()}
    return known if live is None and known in NOTHING else live

"""Stand-in for Google Cloud: queues are applied to the Cloud Tasks emulator, the rest is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudqueues.pulumi import fake_outputs
from cloudqueues.pulumi.resources import Cloud, ResourceHandler, Values
from cloudqueues.pulumi.wire import as_json, parsed

SETTINGS = ("httpTarget", "rateLimits", "retryConfig", "stackdriverLoggingConfig")
PAUSED = "PAUSED"
OUTPUT_ONLY = ("maxBurstSize",)
EMPTY = ("", "0s", 0, False)

RECORDED = frozenset(
    {
        "gcp:artifactregistry/repository:Repository",
        "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember",
        "gcp:bigquery/datasetIamMember:DatasetIamMember",
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
        "gcp:secretmanager/secret:Secret",
        "gcp:secretmanager/secretIamMember:SecretIamMember",
        "gcp:serviceaccount/account:Account",
        "gcp:serviceaccount/iAMMember:IAMMember",
        "gcp:storage/bucket:Bucket",
        "gcp:storage/bucketIAMMember:BucketIAMMember",
        "gcp:storage/bucketObject:BucketObject",
    }
)


def cloud(tasks: Any) -> Cloud:
    """Return Google Cloud applied to a Cloud Tasks emulator, through Google's own client."""
    return Cloud(
        package="gcp",
        applied={"gcp:cloudtasks/queue:Queue": _queues(tasks.client())},
        recorded=RECORDED,
        functions={name: function for name, function in fake_outputs.FUNCTIONS.items() if name.startswith("gcp:")},
    )


def _queues(client: Any) -> ResourceHandler:
    def create(inputs: Values) -> tuple[str, Values]:
        parent = f"projects/{inputs.get('project', fake_outputs.PROJECT)}/locations/{inputs['location']}"
        name = f"{parent}/queues/{inputs['name']}"
        client.create_queue(parent=parent, queue=_message(name, inputs))
        _pause(client, name, {}, inputs)
        return name, {"state": inputs.get("desiredState", "RUNNING")}

    def read(id_: str, state: Values) -> Values | None:
        from google.api_core.exceptions import NotFound

        try:
            queue = client.get_queue(name=id_)
        except NotFound:
            return None
        return _live(queue, state)

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
    """Return the API's own message, whose JSON form has the same property names.
    https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues"""
    from google.cloud import tasks_v2

    settings = {key: inputs[key] for key in SETTINGS if inputs.get(key)}
    return tasks_v2.Queue(parsed({"name": name, **settings}, tasks_v2.Queue.pb()()))


def _pause(client: Any, name: str, olds: Values, news: Values) -> None:
    paused = news.get("desiredState") == PAUSED
    if paused != (olds.get("desiredState") == PAUSED):
        (client.pause_queue if paused else client.resume_queue)(name=name)


def _live(queue: Any, state: Values) -> dict[str, Any]:
    """Return the live values of the settings in the state: the service fills the others with its defaults."""
    from google.cloud import tasks_v2

    settings = as_json(tasks_v2.Queue.pb(queue))
    live = {key: _like_state(state[key], settings.get(key, {})) for key in SETTINGS if key in state}
    running = PAUSED if queue.state == tasks_v2.Queue.State.PAUSED else "RUNNING"
    wanted = {"desiredState": running} if "desiredState" in state else {}
    return {**live, **wanted, "state": running}


def _like_state(value: Any, live: Any) -> Any:
    """Return the live value in the shape of the state's: the service leaves out what is 0 or empty."""
    if isinstance(value, Mapping) and isinstance(live, Mapping):
        return {key: inner if key in OUTPUT_ONLY else _like_state(inner, live.get(key)) for key, inner in value.items()}
    return value if live is None and value in EMPTY else live

"""A queue, a topic for its dead letters, and a function that it calls."""

import pulumi
import pulumi_gcp as gcp

LOCATION = "europe-west1"

timeout = pulumi.Config().require_int("timeout")
name = pulumi.Config().get("name") or "orders"
me = pulumi.ComponentResource("engine:index:Consumer", name)
own = pulumi.ResourceOptions(parent=me)

gcp.projects.Service(f"{name}-api", service="cloudtasks.googleapis.com", disable_on_destroy=False, opts=own)
runtime = gcp.serviceaccount.Account(f"{name}-runtime", account_id=f"{name}-runtime", opts=own)
invoker = gcp.serviceaccount.Account(f"{name}-invoker", account_id=f"{name}-invoker", opts=own)
dead_letters = gcp.pubsub.Topic(f"{name}-dead-letters", message_retention_duration="2678400s", opts=own)
gcp.pubsub.Subscription(
    f"{name}-dead-letters-read",
    topic=dead_letters.name,
    expiration_policy={"ttl": ""},
    ack_deadline_seconds=60,
    opts=own,
)
database = gcp.firestore.Database(f"{name}-store", location_id="eur3", type="FIRESTORE_NATIVE", opts=own)
gcp.firestore.Field(
    f"{name}-ttl", database=database.name, collection="leases", field="expires_at", ttl_config={}, opts=own
)
bucket = gcp.storage.Bucket(f"{name}-code", location="EU", uniform_bucket_level_access=True, opts=own)
code = gcp.storage.BucketObject(
    f"{name}-bundle",
    bucket=bucket.name,
    source=pulumi.AssetArchive({"main.py": pulumi.StringAsset("def handle(request): return '', 204\n")}),
    opts=own,
)
function = gcp.cloudfunctionsv2.Function(
    f"{name}-function",
    location=LOCATION,
    build_config={
        "runtime": "python312",
        "entry_point": "handle",
        "source": {"storage_source": {"bucket": bucket.name, "object": code.name}},
    },
    service_config={
        "timeout_seconds": timeout + 5,
        "max_instance_count": 10,
        "max_instance_request_concurrency": 1,
        "service_account_email": runtime.email,
    },
    opts=own,
)
queue = gcp.cloudtasks.Queue(
    f"{name}-queue",
    location=LOCATION,
    rate_limits={"max_concurrent_dispatches": 10, "max_dispatches_per_second": 500},
    retry_config={
        "max_attempts": -1,
        "max_retry_duration": "0s",
        "min_backoff": "2s",
        "max_backoff": f"{30 * timeout}s",
        "max_doublings": 16,
    },
    http_target={
        "http_method": "POST",
        "oidc_token": {"service_account_email": invoker.email, "audience": function.url},
    },
    opts=own,
)
gcp.cloudtasks.QueueIamMember(
    f"{name}-enqueues",
    name=queue.name,
    location=LOCATION,
    role="roles/cloudtasks.enqueuer",
    member=runtime.member,
    opts=own,
)
gcp.monitoring.AlertPolicy(
    f"{name}-alarm",
    combiner="OR",
    display_name=name,
    conditions=[
        {
            "display_name": "length",
            "condition_threshold": {
                "filter": queue.name.apply(lambda queue_name: f'resource.labels.queue_id="{queue_name}"'),
                "comparison": "COMPARISON_GT",
                "duration": "60s",
                "threshold_value": 10000,
            },
        }
    ],
    opts=own,
)
pulumi.export("queue", queue.id)
pulumi.export("url", function.service_config.uri)
pulumi.export("project", gcp.organizations.get_project().project_id)

"""A queue, its dead-letter queue, and a function that consumes it."""

import json

import pulumi
import pulumi_aws as aws

timeout = pulumi.Config().require_int("timeout")
name = pulumi.Config().get("name") or "orders"
tags = {"app": "engine", "stack": pulumi.get_stack()}


class Consumer(pulumi.ComponentResource):
    """Everything below one parent, so that types are qualified as they are in earnest."""


me = Consumer("engine:index:Consumer", name)
own = pulumi.ResourceOptions(parent=me)


def document(action, resource):
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


dead_letters = aws.sqs.Queue(f"{name}-dead-letters", message_retention_seconds=1209600, tags=tags, opts=own)
queue = aws.sqs.Queue(f"{name}-queue", name=name, visibility_timeout_seconds=6 * timeout, tags=tags, opts=own)
aws.sqs.RedrivePolicy(
    f"{name}-redrive",
    queue_url=queue.url,
    redrive_policy=dead_letters.arn.apply(
        lambda arn: json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1000})
    ),
    opts=own,
)
aws.sqs.RedriveAllowPolicy(
    f"{name}-allow",
    queue_url=dead_letters.url,
    redrive_allow_policy=queue.arn.apply(
        lambda arn: json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [arn]})
    ),
    opts=own,
)
aws.sqs.QueuePolicy(
    f"{name}-policy", queue_url=queue.url, policy=queue.arn.apply(lambda arn: document("sqs:*", arn)), opts=own
)
table = aws.dynamodb.Table(
    f"{name}-store",
    billing_mode="PAY_PER_REQUEST",
    hash_key="id",
    attributes=[{"name": "id", "type": "S"}],
    ttl={"attribute_name": "expires_at", "enabled": True},
    opts=own,
)
logs = aws.cloudwatch.LogGroup(f"{name}-logs", name=f"/aws/lambda/{name}", retention_in_days=30, opts=own)
trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}
role = aws.iam.Role(
    f"{name}-role", assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [trust]}), opts=own
)
policy = aws.iam.RolePolicy(
    f"{name}-may", role=role.name, policy=queue.arn.apply(lambda arn: document("sqs:ReceiveMessage", arn)), opts=own
)
function = aws.lambda_.Function(
    f"{name}-function",
    role=role.arn,
    runtime="python3.12",
    handler="app.handler",
    timeout=timeout,
    memory_size=512,
    architectures=["arm64"],
    code=pulumi.AssetArchive({"app.py": pulumi.FileAsset("code/app.py")}),
    environment={"variables": {"PEEKLOCK_STORE": table.name.apply(lambda store: f"dynamodb://{store}")}},
    tracing_config={"mode": "Active"},
    opts=own,
)
aws.lambda_.EventSourceMapping(
    f"{name}-mapping",
    event_source_arn=queue.arn,
    function_name=function.name,
    batch_size=10,
    function_response_types=["ReportBatchItemFailures"],
    scaling_config={"maximum_concurrency": 5},
    opts=pulumi.ResourceOptions(parent=me, depends_on=[policy]),
)
topic = aws.sns.Topic(f"{name}-high", opts=own)
aws.sns.TopicSubscription(f"{name}-mail", topic=topic.arn, protocol="email", endpoint="someone@example.com", opts=own)
aws.cloudwatch.MetricAlarm(
    f"{name}-dead-letters-alarm",
    namespace="AWS/SQS",
    metric_name="ApproximateNumberOfMessagesVisible",
    dimensions={"QueueName": dead_letters.name},
    statistic="Maximum",
    comparison_operator="GreaterThanThreshold",
    threshold=0,
    period=60,
    evaluation_periods=1,
    alarm_actions=[topic.arn],
    opts=own,
)
aws.cloudwatch.MetricAlarm(
    f"{name}-failures-alarm",
    comparison_operator="GreaterThanThreshold",
    threshold=5,
    evaluation_periods=3,
    datapoints_to_alarm=2,
    metric_queries=[
        {"id": "rate", "expression": "100*failed/settled", "label": "failures", "return_data": True},
        {
            "id": "failed",
            "metric": {
                "namespace": "Peeklock",
                "metric_name": "Failed",
                "period": 300,
                "stat": "Sum",
                "dimensions": {"Consumer": name},
            },
        },
        {"id": "settled", "metric": {"namespace": "Peeklock", "metric_name": "Settled", "period": 300, "stat": "Sum"}},
    ],
    opts=own,
)
aws.cloudwatch.Dashboard(f"{name}-dashboard", dashboard_name=name, dashboard_body=json.dumps({"widgets": []}), opts=own)
pulumi.export("queue", queue.url)
pulumi.export("dead_letters", dead_letters.url)
pulumi.export("account", aws.get_caller_identity().account_id)

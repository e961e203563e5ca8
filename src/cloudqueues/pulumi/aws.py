"""The stand-in for AWS: what moto can do is applied to it, and the rest is recorded."""

from __future__ import annotations

from pathlib import Path

from cloudqueues.pulumi import aws_functions, aws_queues, aws_rest, invented
from cloudqueues.pulumi.aws_api import Clients
from cloudqueues.pulumi.kinds import Cloud

RECORDED = frozenset(
    {
        "aws:cloudwatch/compositeAlarm:CompositeAlarm",
        "aws:cloudwatch/logMetricFilter:LogMetricFilter",
        "aws:cloudwatch/queryDefinition:QueryDefinition",
        "aws:iam/policy:Policy",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        "aws:kms/alias:Alias",
        "aws:kms/key:Key",
        "aws:lambda/alias:Alias",
        "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig",
        "aws:lambda/permission:Permission",
        "aws:s3/bucket:Bucket",
        "aws:s3/bucketObjectv2:BucketObjectv2",
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "aws:s3/bucketVersioning:BucketVersioning",
        "aws:sns/topicPolicy:TopicPolicy",
        "aws:sns/topicSubscription:TopicSubscription",
    }
)
"""moto has these too; nothing that runs here reads them."""


def cloud(endpoint_url: str, folder: Path) -> Cloud:
    """On the server at `endpoint_url`, for the program in `folder`."""
    clients = Clients(endpoint_url)
    answers = {name: one for name, one in invented.FUNCTIONS.items() if name.startswith("aws:")}
    return Cloud(
        package="aws",
        applied={**aws_queues.kinds(clients), **aws_functions.kinds(clients, folder), **aws_rest.kinds(clients)},
        recorded=RECORDED,
        functions={**answers, **aws_queues.functions(clients)},
        close=clients.close,
    )

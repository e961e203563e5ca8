"""Stand-in for AWS: types that moto supports are applied to it, the rest is recorded."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

from cloudqueues.pulumi import aws_functions, aws_other, aws_queues, fake_outputs
from cloudqueues.pulumi.aws_api import Clients
from cloudqueues.pulumi.resources import Cloud, Values
from cloudqueues.pulumi.wire import UNKNOWN

RECORDED = frozenset(
    {
        "aws:cloudwatch/compositeAlarm:CompositeAlarm",
        "aws:cloudwatch/logMetricFilter:LogMetricFilter",
        "aws:cloudwatch/queryDefinition:QueryDefinition",
        "aws:iam/policy:Policy",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        "aws:kms/alias:Alias",
        "aws:kms/key:Key",
        "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig",
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
"""Types that are only recorded, also where moto has them: nothing that runs on this machine reads them."""


def cloud(endpoint_url: str, folder: Path) -> Cloud:
    """Return AWS applied to the server at `endpoint_url`, for the program in `folder`."""
    clients = Clients(endpoint_url)
    functions = {name: function for name, function in fake_outputs.FUNCTIONS.items() if name.startswith("aws:")}
    return Cloud(
        package="aws",
        applied={
            **aws_queues.handlers(clients),
            **aws_functions.handlers(clients, folder),
            **aws_other.handlers(clients),
        },
        recorded=RECORDED,
        functions={**functions, **aws_queues.functions(clients)},
        config_problems=config_problems,
        close=clients.close,
    )


def config_problems(config: Values) -> Iterator[str]:
    """Yield a problem where the provider has no region, or one that does not exist. As the real provider, which takes a
    region from its configuration or from AWS_REGION; the latter is not passed on here.
    https://www.pulumi.com/registry/packages/aws/installation-configuration/#configuration-options"""
    region = config.get("region")
    if not region:
        yield (
            "region: missing region information. Make sure you have set your AWS region, e.g."
            " `pulumi config set aws:region us-west-2`."
        )
        return
    unchecked = region == UNKNOWN or str(config.get("skipRegionValidation")).lower() == "true"
    if not unchecked and region not in regions():
        yield f"region: invalid AWS Region: {region}; set one of {', '.join(sorted(regions()))}"


@functools.cache
def regions() -> frozenset[str]:
    """Return the regions in botocore's endpoint data, of all partitions."""
    import boto3

    session = boto3.session.Session()
    partitions = session.get_available_partitions()
    return frozenset(region for name in partitions for region in session.get_available_regions("sqs", name))

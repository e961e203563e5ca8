"""Invented ids and outputs of resources that are only recorded: plausible, and different for each resource and output.

A policy, an environment or a connection string that a program builds from them can be read. Account, subscription and
project are the providers' own example values, and belong to nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from cloudqueues.pulumi import schema

REGION = "eu-west-1"
ACCOUNT = "123456789012"
SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
TENANT = "11111111-1111-1111-1111-111111111111"
PROJECT = "example-project"
LOCATION = "europe-west1"

Outputs = dict[str, Any]


def state(type_: str, name: str, inputs: Mapping[str, Any]) -> tuple[str, Outputs]:
    """Return the id and the outputs, inputs included, of a resource with this type and this name in its program.

    Outputs that are not text are left out where no rule below has them. Raises schema.UnknownType.
    """
    package = type_.split(":", maxsplit=1)[0]
    physical = str(inputs.get(name_property(type_)) or name)
    special = _CLOUDS[package](type_, physical, inputs) if package in _CLOUDS else {"id": physical}
    texts = {
        key: f"{name}-{key}"
        for key, kind in schema.outputs(type_).items()
        if kind is str and key not in schema.inputs(type_)
    }
    outputs = {**texts, "name": physical, **schema.as_outputs(type_, inputs), **special}
    id_ = str(outputs.pop("id", physical))
    return id_, {key: value for key, value in outputs.items() if key in schema.outputs(type_)}


def name_property(type_: str) -> str:
    """Return the input that holds a resource's physical name: `name`, or on Azure a name such as `queueName`."""
    last = type_.rsplit(":", 1)[1]
    otherwise = last[0].lower() + last[1:] + "Name" if type_.startswith("azure-native:") else "name"
    return _NAMED_BY.get(type_, otherwise)


_NAMED_BY = {
    "aws:cloudwatch/dashboard:Dashboard": "dashboardName",
    "gcp:artifactregistry/repository:Repository": "repositoryId",
    "gcp:serviceaccount/account:Account": "accountId",
    "azure-native:web:WebApp": "name",
    "azure-native:managedidentity:UserAssignedIdentity": "resourceName",
    "azure-native:storage:StorageAccount": "accountName",
    "azure-native:operationalinsights:Workspace": "workspaceName",
    "azure-native:applicationinsights:Component": "resourceName",
    "azure-native:monitor:DiagnosticSetting": "name",
    "azure-native:monitor:MetricAlert": "ruleName",
    "azure-native:monitor:ScheduledQueryRule": "ruleName",
    "azure-native:storage:BlobContainer": "containerName",
    "azure-native:web:AppServicePlan": "name",
}


def _aws(type_: str, name: str, inputs: Mapping[str, Any]) -> Outputs:
    module = type_.split(":")[1].split("/", maxsplit=1)[0]
    where = f"arn:aws:{module}:{REGION}:{ACCOUNT}:"
    full_name = f"{inputs['functionName']}:{name}" if type_ == "aws:lambda/alias:Alias" else name
    arn = _AWS_ARNS.get(type_, _plain_arn)(where, full_name)
    extra = _AWS[type_](name, inputs) if type_ in _AWS else {}
    return {"arn": arn, "region": REGION, **extra}


def _queue_url(name: str, _: Mapping[str, Any]) -> Outputs:
    url = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"
    return {"url": url, "id": url}


_AWS: Mapping[str, Callable[[str, Mapping[str, Any]], Outputs]] = {
    "aws:sqs/queue:Queue": _queue_url,
    "aws:lambda/function:Function": lambda _, inputs: {"version": "1" if inputs.get("publish") else "$LATEST"},
}


def _plain_arn(where: str, name: str) -> str:
    return where + name


_AWS_ARNS: Mapping[str, Callable[[str, str], str]] = {
    "aws:iam/role:Role": lambda _, name: f"arn:aws:iam::{ACCOUNT}:role/{name}",
    "aws:iam/policy:Policy": lambda _, name: f"arn:aws:iam::{ACCOUNT}:policy/{name}",
    "aws:lambda/function:Function": lambda where, name: f"{where}function:{name}",
    "aws:lambda/alias:Alias": lambda where, name: f"{where}function:{name}",
    "aws:lambda/eventSourceMapping:EventSourceMapping": lambda where, name: f"{where}event-source-mapping:{name}",
    "aws:dynamodb/table:Table": lambda where, name: f"{where}table/{name}",
    "aws:cloudwatch/metricAlarm:MetricAlarm": lambda where, name: f"{where}alarm:{name}",
    "aws:cloudwatch/dashboard:Dashboard": lambda _, name: f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/{name}",
    "aws:cloudwatch/logGroup:LogGroup": lambda _, name: f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}",
    "aws:kms/key:Key": lambda where, name: f"{where}key/{name}",
    "aws:s3/bucket:Bucket": lambda _, name: f"arn:aws:s3:::{name}",
    "aws:s3/bucketV2:BucketV2": lambda _, name: f"arn:aws:s3:::{name}",
}


def _azure(type_: str, name: str, inputs: Mapping[str, Any]) -> Outputs:
    _, module, kind = type_.split(":")
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{inputs.get('resourceGroupName', name)}"
    if kind == "ResourceGroup":
        return {"id": group}
    plural = kind[0].lower() + (kind[1:-1] + "ies" if kind.endswith("y") else kind[1:] + "s")
    parents = "".join(
        f"/{key.removesuffix('Name')}s/{inputs[key]}" for key in _PARENTS if key in inputs and inputs[key] != name
    )
    scope = inputs.get("scope", group)
    extra = _AZURE[type_](name) if type_ in _AZURE else {}
    return {"id": f"{scope}/providers/Microsoft.{module.capitalize()}{parents}/{plural}/{name}", **extra}


_PARENTS = ("namespaceName", "topicName", "accountName")
_AZURE: Mapping[str, Callable[[str], Outputs]] = {
    "azure-native:servicebus:Namespace": lambda name: {
        "serviceBusEndpoint": f"https://{name}.servicebus.windows.net:443/"
    },
    "azure-native:web:WebApp": lambda name: {"defaultHostName": f"{name}.azurewebsites.net"},
    "azure-native:storage:StorageAccount": lambda name: {
        "primaryEndpoints": {
            kind: f"https://{name}.{kind}.core.windows.net/"
            for kind in ("blob", "file", "queue", "table", "web", "dfs")
        }
    },
    "azure-native:applicationinsights:Component": lambda name: {
        "connectionString": f"InstrumentationKey={name};IngestionEndpoint=https://westeurope.in.applicationinsights.azure.com/"
    },
}


def _gcp(type_: str, name: str, inputs: Mapping[str, Any]) -> Outputs:
    project = inputs.get("project", PROJECT)
    place = {"project": project, **({"location": inputs["location"]} if "location" in inputs else {})}
    kind = re.split("[/:]", type_)[2]
    where = f"projects/{project}/" + (f"locations/{inputs['location']}/" if "location" in inputs else "")
    special = _GCP[type_](where, name, inputs) if type_ in _GCP else {"id": f"{where}{kind}s/{name}"}
    return {**place, **special}


def _account(where: str, name: str, _: Mapping[str, Any]) -> Outputs:
    project = where.split("/")[1]
    email = f"{name}@{project}.iam.gserviceaccount.com"
    full = f"projects/{project}/serviceAccounts/{email}"
    return {"email": email, "member": f"serviceAccount:{email}", "id": full, "name": full}


def _agent(where: str, service: str) -> Outputs:
    """Return the service agent, which is Google's own account for a service of a project."""
    email = f"service-{ACCOUNT}@gcp-sa-{service.split('.', maxsplit=1)[0]}.iam.gserviceaccount.com"
    return {"email": email, "member": f"serviceAccount:{email}", "id": f"{where}services/{service}"}


def _function(where: str, name: str, inputs: Mapping[str, Any]) -> Outputs:
    url = f"https://{name}-{PROJECT}.a.run.app"
    service = {**inputs.get("serviceConfig", {}), "uri": url, "service": f"{where}services/{name}"}
    return {"url": url, "id": f"{where}functions/{name}", "serviceConfig": service}


def _numbered(kind: str) -> Callable[[str, str, Mapping[str, Any]], Outputs]:
    """Return the outputs of a resource that the service names itself."""
    return lambda where, name, _: {"id": f"{where}{kind}/{name}", "name": f"{where}{kind}/{name}"}


_GCP: Mapping[str, Callable[[str, str, Mapping[str, Any]], Outputs]] = {
    "gcp:artifactregistry/repository:Repository": lambda where, name, _: {"id": f"{where}repositories/{name}"},
    "gcp:serviceaccount/account:Account": _account,
    "gcp:cloudfunctionsv2/function:Function": _function,
    "gcp:cloudrunv2/service:Service": lambda where, name, _: {
        "uri": f"https://{name}-{PROJECT}.a.run.app",
        "id": f"{where}services/{name}",
    },
    "gcp:projects/serviceIdentity:ServiceIdentity": lambda where, _, inputs: _agent(where, inputs["service"]),
    "gcp:storage/bucket:Bucket": lambda _where, name, _: {"id": name, "url": f"gs://{name}"},
    "gcp:monitoring/alertPolicy:AlertPolicy": _numbered("alertPolicies"),
    "gcp:monitoring/notificationChannel:NotificationChannel": _numbered("notificationChannels"),
}

_CLOUDS: Mapping[str, Callable[[str, str, Mapping[str, Any]], Outputs]] = {
    "aws": _aws,
    "azure-native": _azure,
    "gcp": _gcp,
}

FUNCTIONS: Mapping[str, Callable[[Mapping[str, Any]], Outputs]] = {
    "aws:index/getRegion:getRegion": lambda _: {"id": REGION, "name": REGION, "region": REGION},
    "aws:index/getCallerIdentity:getCallerIdentity": lambda _: {
        "accountId": ACCOUNT,
        "arn": f"arn:aws:iam::{ACCOUNT}:user/example",
        "id": ACCOUNT,
        "userId": "EXAMPLE",
    },
    "aws:index/getPartition:getPartition": lambda _: {"id": "aws", "partition": "aws", "dnsSuffix": "amazonaws.com"},
    "azure-native:authorization:getClientConfig": lambda _: {
        "clientId": "22222222-2222-2222-2222-222222222222",
        "objectId": "33333333-3333-3333-3333-333333333333",
        "subscriptionId": SUBSCRIPTION,
        "tenantId": TENANT,
    },
    "gcp:organizations/getProject:getProject": lambda arguments: {
        "id": f"projects/{arguments.get('projectId') or PROJECT}",
        "name": "Example",
        "number": ACCOUNT,
        "projectId": arguments.get("projectId") or PROJECT,
    },
    "gcp:organizations/getClientConfig:getClientConfig": lambda _: {
        "id": PROJECT,
        "project": PROJECT,
        "region": LOCATION,
        "zone": f"{LOCATION}-b",
    },
}
"""Functions that a program may call, by token."""

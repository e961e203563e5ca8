"""docs/ci.md: what the identity of `pulumi up` needs, by the types that the programs register, and two pipelines."""

from __future__ import annotations

import json
from typing import Any

from peeklock.infra.azure.identity import Role
from tests.infra.pages.text import link, page, table
from tests.support import ROOT

FIRST = """\
`pulumi up` in a pipeline has an identity of its own, with these permissions and no key: the pipeline exchanges its token for
credentials (OpenID Connect). They cover what the programs in infra register, to create, update, replace and delete it; tests
compare the tables with those registrations and, on AWS, with the list of IAM's actions, the calls that the programs make and the
permissions that CloudFormation declares for the same types. They have not been tried on an account.

Your own resources in the program, existing networks and keys need more, and `ready` on AWS needs
`lambda:PutProvisionedConcurrencyConfig`, `GetProvisionedConcurrencyConfig` and `DeleteProvisionedConcurrencyConfig`.

The identity also needs access to the state, the bucket of `PULUMI_BACKEND_URL`. Make the stack with
`--secrets-provider awskms://...`, `azurekeyvault://...` or `gcpkms://...`, so that no
pass phrase is needed. For a preview, an identity that only reads is enough: pull requests run code that nobody has reviewed yet."""

CRUD: dict[str, tuple[str, str]] = {
    "cloudwatch/dashboard:Dashboard": (
        "cloudwatch:GetDashboard",
        "cloudwatch:DeleteDashboards cloudwatch:PutDashboard",
    ),
    "cloudwatch/logGroup:LogGroup": (
        "logs:DescribeLogGroups logs:ListTagsForResource",
        (
            "logs:CreateLogGroup logs:DeleteLogGroup logs:DeleteRetentionPolicy logs:PutRetentionPolicy logs:TagResource"
            " logs:UntagResource"
        ),
    ),
    "cloudwatch/metricAlarm:MetricAlarm": (
        "cloudwatch:DescribeAlarms cloudwatch:ListTagsForResource",
        "cloudwatch:DeleteAlarms cloudwatch:PutMetricAlarm cloudwatch:TagResource cloudwatch:UntagResource",
    ),
    "dynamodb/table:Table": (
        "dynamodb:DescribeContinuousBackups dynamodb:DescribeTable dynamodb:DescribeTimeToLive dynamodb:ListTagsOfResource",
        (
            "dynamodb:CreateTable dynamodb:DeleteTable dynamodb:TagResource dynamodb:UntagResource"
            " dynamodb:UpdateContinuousBackups dynamodb:UpdateTable dynamodb:UpdateTimeToLive"
        ),
    ),
    "iam/role:Role": (
        "iam:GetRole iam:ListAttachedRolePolicies iam:ListInstanceProfilesForRole iam:ListRolePolicies",
        (
            "iam:CreateRole iam:DeleteRole iam:TagRole iam:UntagRole iam:UpdateAssumeRolePolicy iam:UpdateRole"
            " iam:UpdateRoleDescription"
        ),
    ),
    "iam/rolePolicy:RolePolicy": ("iam:GetRolePolicy", "iam:DeleteRolePolicy iam:PutRolePolicy"),
    "lambda/alias:Alias": ("lambda:GetAlias", "lambda:CreateAlias lambda:DeleteAlias lambda:UpdateAlias"),
    "lambda/eventSourceMapping:EventSourceMapping": (
        "lambda:GetEventSourceMapping lambda:ListTags",
        (
            "lambda:CreateEventSourceMapping lambda:DeleteEventSourceMapping lambda:TagResource lambda:UntagResource"
            " lambda:UpdateEventSourceMapping"
        ),
    ),
    "lambda/function:Function": (
        (
            "lambda:GetFunction lambda:GetFunctionCodeSigningConfig lambda:GetFunctionConfiguration"
            " lambda:ListVersionsByFunction"
        ),
        (
            "iam:PassRole lambda:CreateFunction lambda:DeleteFunction lambda:PublishVersion lambda:TagResource"
            " lambda:UntagResource lambda:UpdateFunctionCode lambda:UpdateFunctionConfiguration"
        ),
    ),
    "sns/topic:Topic": (
        "sns:GetTopicAttributes sns:ListTagsForResource",
        "sns:CreateTopic sns:DeleteTopic sns:SetTopicAttributes sns:TagResource sns:UntagResource",
    ),
    "sns/topicSubscription:TopicSubscription": (
        "sns:GetSubscriptionAttributes",
        "sns:SetSubscriptionAttributes sns:Subscribe sns:Unsubscribe",
    ),
    "sqs/queue:Queue": (
        "sqs:GetQueueAttributes sqs:GetQueueUrl sqs:ListQueueTags",
        "sqs:CreateQueue sqs:DeleteQueue sqs:SetQueueAttributes sqs:TagQueue sqs:UntagQueue",
    ),
    "sqs/queuePolicy:QueuePolicy": ("sqs:GetQueueAttributes", "sqs:SetQueueAttributes"),
    "sqs/redriveAllowPolicy:RedriveAllowPolicy": ("sqs:GetQueueAttributes", "sqs:SetQueueAttributes"),
    "sqs/redrivePolicy:RedrivePolicy": ("sqs:GetQueueAttributes", "sqs:SetQueueAttributes"),
}
"""Actions that read a type, and those that change it."""

PROVIDER = frozenset(
    {"iam:ListInstanceProfilesForRole", "lambda:GetFunctionConfiguration", "lambda:ListVersionsByFunction"}
)
"""Actions that CloudFormation does not need and the provider does: it looks for instance profiles before it deletes a role, and
finds a function's newest version. https://github.com/hashicorp/terraform-provider-aws, internal/service/iam and lambda."""

ANYWHERE = frozenset(
    {
        "cloudwatch:DescribeAlarms",
        "lambda:CreateEventSourceMapping",
        "lambda:DeleteEventSourceMapping",
        "lambda:GetEventSourceMapping",
        "lambda:UpdateEventSourceMapping",
        "logs:DescribeLogGroups",
        "sns:GetSubscriptionAttributes",
        "sns:SetSubscriptionAttributes",
        "sns:Unsubscribe",
    }
)
"""Actions on `*`: lists, mappings, which have ids of their own, and subscriptions."""

ARNS = {
    "cloudwatch": ["arn:aws:cloudwatch:*:ACCOUNT:alarm:shop-*", "arn:aws:cloudwatch::ACCOUNT:dashboard/shop-*"],
    "dynamodb": ["arn:aws:dynamodb:*:ACCOUNT:table/shop-*"],
    "iam": ["arn:aws:iam::ACCOUNT:role/shop-*"],
    "lambda": ["arn:aws:lambda:*:ACCOUNT:function:shop-*", "arn:aws:lambda:*:ACCOUNT:event-source-mapping:*"],
    "logs": ["arn:aws:logs:*:ACCOUNT:log-group:shop-*"],
    "sns": ["arn:aws:sns:*:ACCOUNT:shop-*"],
    "sqs": ["arn:aws:sqs:*:ACCOUNT:shop-*"],
}

TRUST = """\
The roles trust GitHub's tokens by their subject: the one that deploys `repo:ORG/REPO:environment:prod`, the one for previews
`repo:ORG/REPO:pull_request`, and neither `repo:ORG/REPO:*`. Both pipelines are valid by the JSON schemas that are published for them."""

BUILT_IN = "https://learn.microsoft.com/azure/role-based-access-control/built-in-roles"
AZURE = {
    "Contributor": ("b24988ac-6180-42a0-ab88-20f7382dd24c", "everything below but the role assignments"),
    "Role Based Access Control Administrator": (
        "f58310d9-a9f6-439a-9e8d-f62e7b41a168",
        "`authorization:RoleAssignment`, with the condition below",
    ),
}
LIMITED = "https://learn.microsoft.com/azure/role-based-access-control/delegate-role-assignments-examples"

GCP = {
    "roles/cloudfunctions.developer": ("cloudfunctionsv2/function:Function",),
    "roles/artifactregistry.admin": (
        "artifactregistry/repository:Repository",
        "artifactregistry/repositoryIamMember:RepositoryIamMember",
    ),
    "roles/run.admin": ("cloudrunv2/serviceIamMember:ServiceIamMember",),
    "roles/cloudtasks.admin": ("cloudtasks/queue:Queue", "cloudtasks/queueIamMember:QueueIamMember"),
    "roles/datastore.owner": ("firestore/database:Database", "firestore/field:Field"),
    "roles/logging.configWriter": (
        "logging/metric:Metric",
        "logging/projectBucketConfig:ProjectBucketConfig",
        "logging/projectSink:ProjectSink",
    ),
    "roles/monitoring.editor": (
        "monitoring/alertPolicy:AlertPolicy",
        "monitoring/dashboard:Dashboard",
        "monitoring/notificationChannel:NotificationChannel",
    ),
    "roles/resourcemanager.projectIamAdmin": ("projects/iAMMember:IAMMember",),
    "roles/serviceusage.serviceUsageAdmin": ("projects/service:Service",),
    "roles/pubsub.admin": (
        "pubsub/subscription:Subscription",
        "pubsub/topic:Topic",
        "pubsub/topicIAMMember:TopicIAMMember",
    ),
    "roles/iam.serviceAccountAdmin": ("serviceaccount/account:Account", "serviceaccount/iAMMember:IAMMember"),
    "roles/storage.admin": ("storage/bucket:Bucket", "storage/bucketObject:BucketObject"),
}
"""Predefined role, and the types it is for. https://cloud.google.com/iam/docs/understanding-roles"""

ACT_AS = "roles/iam.serviceAccountUser"
PROJECT_ROLES = ("roles/datastore.user", "roles/logging.logWriter", "roles/storage.objectViewer")
"""Roles that the programs grant on the project."""
LIMITS = "https://cloud.google.com/iam/docs/setting-limits-on-granting-roles"


def actions(type_: str) -> list[str]:
    reading, changing = CRUD[type_]
    return [*reading.split(), *changing.split()]


def policy(*, changing: bool = True) -> dict[str, Any]:
    """The policy of the identity on AWS: one statement a service, on the app's names."""
    granted = {action for type_ in CRUD for action in (actions(type_) if changing else CRUD[type_][0].split())}
    statements = [
        {
            "Sid": service.title(),
            "Effect": "Allow",
            "Action": sorted(
                action for action in granted - ANYWHERE - {"iam:PassRole"} if action.startswith(f"{service}:")
            ),
            "Resource": arns,
        }
        for service, arns in ARNS.items()
    ]
    statements.append({"Sid": "Anywhere", "Effect": "Allow", "Action": sorted(granted & ANYWHERE), "Resource": "*"})
    if changing:
        to_lambda = {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}
        passed = {
            "Sid": "Pass",
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": ARNS["iam"],
            "Condition": to_lambda,
        }
        statements.append(passed)
    return {"Version": "2012-10-17", "Statement": statements}


def condition() -> str:
    """The condition under which the identity on Azure assigns roles: those of the consumers, and no other."""
    roles = ", ".join(sorted(role.value for role in Role))
    return " AND ".join(
        f"((!(ActionMatches{{'Microsoft.Authorization/roleAssignments/{action}'}})) OR"
        f" (@{source}[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {{{roles}}}))"
        for action, source in (("write", "Request"), ("delete", "Resource"))
    )


def ci() -> str:
    return page(
        "`pulumi up` in a pipeline",
        FIRST,
        [
            ("AWS", _aws()),
            ("Azure", _azure()),
            ("Google Cloud", _gcp()),
            ("GitHub Actions", f"{TRUST}\n\n{_file('github.yml')}"),
            ("Azure DevOps", _file("azure-pipelines.yml")),
        ],
    )


def _aws() -> str:
    rows = [
        (f"`aws:{type_}`", reading.replace(" ", ", "), changing.replace(" ", ", "))
        for type_, (reading, changing) in CRUD.items()
    ]
    return (
        "For an app `shop` (Pulumi's names begin with the app's). Roles that the identity makes can have any permission: a"
        " permissions boundary on both (`App(permissions_boundary=...)`) limits them.\n\n"
        f"```json\n{json.dumps(policy(), indent=1)}\n```\n\n"
        f"{table(('type', 'to read: enough for a preview', 'to change'), rows)}"
    )


def _azure() -> str:
    rows = [(name, f"`{id_}`", why) for name, (id_, why) in AZURE.items()]
    return (
        f"{link('Built-in roles', BUILT_IN)} on a resource group of its own, which the program is given"
        " or, to make it, on the subscription. For a preview, Reader.\n\n"
        f"{table(('role', 'id', 'for'), rows)}\n"
        f"The {link('condition', LIMITED)} lets it assign the consumers' roles, and no other:\n\n```text\n{condition()}\n```\n"
    )


def _gcp() -> str:
    rows = [(f"`{role}`", ", ".join(f"`gcp:{type_}`" for type_ in types)) for role, types in GCP.items()]
    rows.append(
        (f"`{ACT_AS}`", "functions run, and are built, as the program's accounts; on these accounts or the project")
    )
    roles = ", ".join(f"'{role}'" for role in PROJECT_ROLES)
    expression = f"api.getAttribute('iam.googleapis.com/modifiedGrantsByRole', []).hasOnly([{roles}])"
    return (
        f"On the project, which is best the stack's own. For a preview, `roles/viewer`.\n\n{table(('role', 'for'), rows)}\n"
        f"Grant `roles/resourcemanager.projectIamAdmin` {link('with a condition', LIMITS)}, so that it cannot grant itself"
        f" anything else:\n\n```text\n{expression}\n```\n"
    )


def _file(name: str) -> str:
    text = (ROOT / "infra" / "ci" / name).read_text(encoding="utf-8")
    return f"infra/ci/{name}:\n\n```yaml\n{text}```\n"

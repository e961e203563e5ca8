"""Additions of a team's own program: variables, secrets, grants, sources, resources of other programs, versions."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws  # its modules are loaded lazily: pytest would load them without our filters of warnings
import pytest

from handlers.orders.queue import ORDERS, RECEIPTS
from peeklock import ConfigError, Queue
from peeklock.infra.aws import App, Deployed, Grant
from peeklock.infra.options import Capacity
from tests.infra.aws.test_components import BASE, FUNCTION, KEY, QUEUE, app_with, environment, statements
from tests.infra.running import bundled, run, wrapped
from tests.infra.schema import problems

ARN = "arn:aws:{}:eu-west-1:123456789012:{}".format
SECRET, PARAMETER = ARN("secretsmanager", "secret:gateway-AbCdEf"), ARN("ssm", "parameter/shop/gateway")
TOPIC, RULE, BUCKET = ARN("sns", "orders"), ARN("events", "rule/nightly"), "arn:aws:s3:::invoices"
FIFO = Queue("ordered", fifo=True)
INVOICES = Queue("invoices")
MAPPING, POLICY = "aws:lambda/eventSourceMapping:EventSourceMapping", "aws:sqs/queuePolicy:QueuePolicy"


@pytest.fixture
def bundle(tmp_path):
    return str(bundled(tmp_path / "aws.zip"))


def test_variables_are_in_the_environment(bundle):
    recorded = app_with(bundle, (ORDERS, {"variables": {"CURRENCY": "EUR"}}))
    assert environment(recorded)["CURRENCY"] == "EUR"


def test_secrets_are_references_that_the_role_may_read(bundle):
    """Their values are in no environment, and nowhere in the program's state."""
    recorded = app_with(bundle, (ORDERS, {"secrets": {"GATEWAY_KEY": SECRET, "MAIL_KEY": PARAMETER}}))
    variables = environment(recorded)
    assert (variables["PEEKLOCK_SECRET_GATEWAY_KEY"], variables["PEEKLOCK_SECRET_MAIL_KEY"]) == (SECRET, PARAMETER)
    assert "GATEWAY_KEY" not in variables
    granted = statements(recorded)
    assert (granted["ReadSecretsmanager"]["Action"], granted["ReadSecretsmanager"]["Resource"]) == (
        ["secretsmanager:GetSecretValue"],
        SECRET,
    )
    assert (granted["ReadSsm"]["Action"], granted["ReadSsm"]["Resource"]) == (["ssm:GetParameter"], PARAMETER)


def test_a_role_without_secrets_may_read_none(bundle):
    assert not {"ReadSecretsmanager", "ReadSsm"} & set(statements(app_with(bundle)))


def test_grants_join_the_roles_policy(bundle):
    def program():
        bucket = aws.s3.Bucket("invoices")
        app = App("shop", bundle=bundle)
        read = Grant(
            name="Invoices", actions=["s3:GetObject"], on=[bucket.arn.apply(lambda arn: f"{arn}/*"), "arn:aws:s3:::b/*"]
        )
        app.consumer(ORDERS, handler="a.b", grants=[read])
        app.all()

    granted = statements(run(program))
    assert granted["Invoices"] == {
        "Sid": "Invoices",
        "Effect": "Allow",
        "Action": ["s3:GetObject"],
        "Resource": ["arn:aws:s3:::invoices/*", "arn:aws:s3:::b/*"],
    }
    assert {"Consume", "Send", "Remember", "Log"} <= set(granted)


def test_layers_tags_and_a_boundary(bundle):
    layer, boundary = ARN("lambda", "layer:agent:7"), "arn:aws:iam::123456789012:policy/limit"
    consumer = {"layers": [layer], "tags": {"team": "payments"}}
    recorded = app_with(bundle, (ORDERS, consumer), (RECEIPTS, {}), tags={"cost": "42"}, permissions_boundary=boundary)
    assert recorded.named("shop-orders", FUNCTION).inputs["layers"] == [layer]
    assert recorded.named("shop-orders-role").inputs["permissionsBoundary"] == boundary
    tagged = [registration for registration in recorded.registrations if "tags" in registration.inputs]
    assert {registration.inputs["tags"]["cost"] for registration in tagged} == {"42"}
    assert recorded.named("shop-orders", QUEUE).inputs["tags"]["team"] == "payments"
    assert "team" not in recorded.named("shop-receipts", QUEUE).inputs["tags"]


def test_an_existing_log_group_is_read(bundle):
    recorded = app_with(bundle, (ORDERS, {"log_group": "/shop/orders"}))
    logs = recorded.named("shop-orders-logs")
    assert (logs.read, logs.inputs["id"]) == (True, "/shop/orders")
    assert statements(recorded)["Log"]["Resource"].endswith(":*")


def test_a_key_encrypts_all_that_is_stored(bundle):
    """Queues, table, logs, topics, and the function's variables. (trials 5.10)"""
    recorded = app_with(bundle, key=KEY)
    assert recorded.named("shop-store").inputs["serverSideEncryption"] == {"enabled": True, "kmsKeyArn": KEY}
    assert recorded.named("shop-orders-logs").inputs["kmsKeyId"] == KEY
    assert recorded.named("shop-orders", FUNCTION).inputs["kmsKeyArn"] == KEY
    assert {topic.inputs["kmsMasterKeyId"] for topic in recorded.of("aws:sns/topic:Topic")} == {KEY}
    assert {queue.inputs["kmsMasterKeyId"] for queue in recorded.of(QUEUE)} == {KEY}


def test_the_mapping_names_an_alias_of_a_published_version(bundle):
    """Lambda updates settings and code one after the other: an event between the two would meet another Queue. (trials 5.7)"""
    recorded = app_with(bundle)
    function, alias, mapping = (
        recorded.named("shop-orders", FUNCTION),
        recorded.named("shop-orders-live"),
        recorded.named("shop-orders-mapping"),
    )
    assert function.inputs["publish"] is True
    assert (alias.inputs["functionName"], alias.inputs["functionVersion"]) == ("shop-orders", "1")
    assert mapping.inputs["functionName"].endswith(":function:shop-orders:live")
    assert recorded.depends(mapping, alias)


def test_ready_instances_are_provisioned_for_the_alias(bundle):
    recorded = app_with(bundle, (ORDERS, {"capacity": Capacity(ready=2)}))
    inputs = recorded.named("shop-orders-ready").inputs
    assert (inputs["qualifier"], inputs["provisionedConcurrentExecutions"]) == ("live", 2)
    assert not app_with(bundle).of("aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig")


def accepting(bundle, queue, *sources, **consumer):
    def program():
        app = App("shop", bundle=bundle)
        charge = app.consumer(queue, handler="a.b", **consumer)
        for source in sources:
            charge.accept(*source)
        app.all()

    return run(program)


def test_other_services_send_to_the_queue_under_one_policy(bundle):
    """SQS keeps one policy a queue: a second resource would replace the one that requires TLS. (trials 5.23)"""
    recorded = accepting(bundle, ORDERS, ("sns", TOPIC), ("eventbridge", RULE), ("s3", BUCKET))
    assert len(recorded.of(POLICY)) == 2  # the other one is that of the dead letters
    tls, *accepted = json.loads(recorded.named("shop-orders-tls").inputs["policy"])["Statement"]
    assert (tls["Sid"], tls["Effect"]) == ("OnlyTls", "Deny")
    assert [
        (statement["Principal"]["Service"], statement["Condition"]["ArnEquals"]["aws:SourceArn"])
        for statement in accepted
    ] == [
        ("sns.amazonaws.com", TOPIC),
        ("events.amazonaws.com", RULE),
        ("s3.amazonaws.com", BUCKET),
    ]
    assert accepted[2]["Condition"]["StringEquals"] == {"aws:SourceAccount": "123456789012"}
    assert {statement["Action"] for statement in accepted} == {"sqs:SendMessage"}
    assert [message for registration in recorded.registrations for message in problems(registration)] == []


@pytest.mark.parametrize(
    ("queue", "source", "consumer", "fix"),
    [
        (ORDERS, ("sqs", TOPIC), {}, r"accept\('sqs'\): did you mean 'sns'\?"),
        (ORDERS, ("sns", RULE), {}, "give the ARN of a topic"),
        (ORDERS, ("s3", "invoices"), {}, "give the ARN of a bucket"),
        (FIFO, ("sns", TOPIC), {}, "only a FIFO topic sends to it"),
        (FIFO, ("s3", BUCKET), {}, "S3 sends to standard queues only"),
        (ORDERS, ("sns", TOPIC), {"queue_url": f"{BASE}/theirs"}, "exists already, and keeps its policy"),
    ],
)
def test_a_source_that_cannot_send_is_refused(bundle, queue, source, consumer, fix):
    with pytest.raises(ConfigError, match=fix):
        accepting(bundle, queue, source, **consumer)


def test_a_fifo_topic_sends_to_a_fifo_queue(bundle):
    recorded = accepting(bundle, FIFO, ("sns", f"{TOPIC}.fifo"))
    assert len(json.loads(recorded.named("shop-ordered-tls").inputs["policy"])["Statement"]) == 2


def test_a_source_after_all_is_refused(bundle):
    def program():
        app = App("shop", bundle=bundle)
        charge = app.consumer(ORDERS, handler="a.b")
        app.all()
        charge.accept("sns", TOPIC)

    with pytest.raises(ConfigError, match=r"call accept\(\) before app.all\(\)"):
        run(program)


def test_arguments_may_be_outputs_of_the_same_program(bundle):
    """Each argument for something that exists already. (trials 5.11)"""

    def program():
        output = pulumi.Output.from_input
        table, key, topic = aws.dynamodb.Table("theirs"), aws.kms.Key("ours"), aws.sns.Topic("oncall")
        app = App(
            "shop",
            bundle=bundle,
            store=table.name,
            key=key.arn,
            topics={"high": topic.arn},
            subnets=output(["subnet-1"]),
            security_groups=[output("sg-1")],
            permissions_boundary=output("arn:aws:iam::123456789012:policy/limit"),
        )
        app.consumer(
            ORDERS,
            handler="a.b",
            queue_url=output(f"{BASE}/theirs"),
            dead_letters_url=output(f"{BASE}/dead"),
            role=output("theirs"),
            log_group=output("/shop/orders"),
            variables={"TABLE": table.name},
            secrets={"GATEWAY_KEY": output(SECRET)},
            layers=[output(ARN("lambda", "layer:agent:7"))],
        )
        app.consumer(RECEIPTS, handler="a.b", secrets={"GATEWAY_KEY": output(SECRET)}).accept("sns", topic.arn)
        app.all()

    recorded = run(program)
    assert [message for registration in recorded.registrations for message in problems(registration)] == []
    read = {registration.inputs["id"] for registration in recorded.registrations if registration.read}
    assert read == {"theirs", f"{BASE}/theirs", f"{BASE}/dead", "/shop/orders"}
    key = ARN("kms", "key/ours")
    assert statements(recorded, "shop-receipts-may")["Key"]["Resource"] == key
    assert recorded.named("shop-receipts", QUEUE).inputs["kmsMasterKeyId"] == key
    assert recorded.named("shop-orders-alarm-length").inputs["alarmActions"] == [ARN("sns", "oncall")]
    assert recorded.named("shop-orders", FUNCTION).inputs["vpcConfig"] == {
        "subnetIds": ["subnet-1"],
        "securityGroupIds": ["sg-1"],
    }
    assert environment(recorded)["TABLE"] == "theirs"


@pytest.mark.parametrize(
    ("options", "consumer", "fix"),
    [
        ({"key": "alias/mine"}, {}, "key='alias/mine': use the ARN"),
        ({"store": 5}, {}, "store=5: use a text"),
        ({"topics": {"high": ""}}, {}, r"topics\['high'\] is empty"),
        ({"permissions_boundary": "limit"}, {}, "permissions_boundary='limit': use the ARN"),
        ({}, {"queue_url": f"{BASE}/q.fifo"}, "queue_url=.*give a standard queue's URL"),
        ({}, {"dead_letters_url": "dead"}, "dead_letters_url=.*give a standard queue's URL"),
        (
            {},
            {"secrets": {"GATEWAY_KEY": "s3cret"}},
            r"secrets\['GATEWAY_KEY'\]: give the ARN of a secret .* not its value",
        ),
        ({}, {"variables": {"A": 5}}, r"variables\['A'\]=5: use a text"),
    ],
)
@pytest.mark.parametrize("wrap", [lambda value: value, pulumi.Output.from_input], ids=["literal", "output"])
def test_a_value_of_a_wrong_shape_names_its_argument(bundle, options, consumer, fix, wrap):
    """At once for a literal, and during the update for an output."""

    def program():
        app = App("shop", bundle=bundle, **wrapped(options, wrap))
        app.consumer(ORDERS, handler="a.b", **wrapped(consumer, wrap))
        app.all()

    with pytest.raises(Exception, match=fix) as refused:
        run(program)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("grant", "fix"),
    [
        (Grant(name="Read it", actions=["s3:GetObject"], on=["arn"]), "name='Read it': use letters and digits only"),
        (Grant(name="Send", actions=["s3:GetObject"], on=["arn"]), "the name 'Send' is taken"),
        (Grant(name="Read", actions=["GetObject"], on=["arn"]), "'GetObject' is no action such as s3:GetObject"),
        (Grant(name="Read", actions=[], on=["arn"]), "give actions="),
        (Grant(name="Read", actions=["s3:GetObject"], on=[]), "give actions="),
        (Grant(name="Read", actions=["s3:GetObject"], on="arn"), "give actions="),
    ],
)
def test_a_grant_that_iam_would_refuse_is_refused(bundle, grant, fix):
    with pytest.raises(ConfigError, match=fix):
        app_with(bundle, (ORDERS, {"grants": [grant]}))


def test_grants_to_an_existing_role_are_its_owners(bundle):
    with pytest.raises(ConfigError, match="its owner grants its permissions; drop grants="):
        app_with(bundle, (ORDERS, {"role": "theirs", "grants": [Grant(name="Read", actions=["s3:Get*"], on=["arn"])]}))


def test_a_queue_of_another_app_may_be_used(bundle):
    """The queue is named by the output object of its consumer, from a stack reference or from the same program."""
    outputs = {"queue": f"{BASE}/billing-invoices", "resource": ARN("sqs", "billing-invoices")}

    def program():
        elsewhere = pulumi.StackReference("acme/billing/prod").require_output("invoices")
        app = App("shop", bundle=bundle)
        app.consumer(ORDERS, handler="a.b", uses=[Deployed(INVOICES, elsewhere), RECEIPTS])
        app.consumer(RECEIPTS, handler="a.b", uses=[Deployed(Queue("refunds"), outputs)])
        app.all()

    recorded = run(program, answers={"pulumi:pulumi:StackReference": lambda _: {"outputs": {"invoices": outputs}}})
    assert environment(recorded)["PEEKLOCK_INVOICES_URL"] == f"{BASE}/billing-invoices"
    assert ARN("sqs", "billing-invoices") in statements(recorded)["Send"]["Resource"]
    assert environment(recorded, "shop-receipts")["PEEKLOCK_REFUNDS_URL"] == f"{BASE}/billing-invoices"


@pytest.mark.parametrize(
    ("outputs", "fix"),
    [
        ({"queue": f"{BASE}/q"}, "have no 'resource'"),
        ({"queue": f"{BASE}/q.fifo", "resource": ARN("sqs", "q.fifo")}, "give a standard queue's URL"),
        ({"queue": "", "resource": ARN("sqs", "q")}, "queue is empty"),
    ],
)
def test_outputs_of_a_wrong_shape_are_refused(bundle, outputs, fix):
    with pytest.raises(Exception, match=fix):
        app_with(bundle, (ORDERS, {"uses": [Deployed(INVOICES, outputs)]}))


@pytest.mark.parametrize("tags", [{"app": "x"}, {"fingerprint": "x"}, {"cost": 42}])
def test_tags_that_cannot_be_are_refused(bundle, tags):
    with pytest.raises(ConfigError, match="tags: "):
        app_with(bundle, tags=tags)

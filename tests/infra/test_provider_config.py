"""Configuration of the providers, parents of resources, and refusals that come with `up` only."""

from __future__ import annotations

import json

import pytest
from pulumi.runtime.proto import provider_pb2 as pb

from cloudqueues.pulumi import aws, azure
from cloudqueues.pulumi.aws_api import Clients
from cloudqueues.pulumi.aws_functions import handlers
from cloudqueues.pulumi.provider import Provider
from cloudqueues.pulumi.resources import MissingInput
from cloudqueues.pulumi.wire import UNKNOWN, plain, struct
from cloudqueues.servicebus import ServiceBusEmulator
from cloudqueues.sqs_server import SqsServer

GROUP, BUS = "azure-native:resources:ResourceGroup", "azure-native:servicebus:Namespace"


@pytest.mark.parametrize(
    "config",
    [
        {"region": "eu-west-1"},
        {"region": "us-gov-west-1"},
        {"region": "cn-north-1"},
        {"region": UNKNOWN},
        {"region": "mars-north-1", "skipRegionValidation": "true"},
        {"region": "mars-north-1", "skipRegionValidation": True},
    ],
)
def test_a_region_that_exists(config):
    assert list(aws.config_problems(config)) == []


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "missing region information"),
        ({"region": ""}, "pulumi config set aws:region"),
        ({"region": "mars-north-1"}, "invalid AWS Region: mars-north-1; set one of af-south-1"),
        ({"region": "mars-north-1", "skipRegionValidation": "false"}, "invalid AWS Region"),
    ],
)
def test_a_region_that_does_not(config, words):
    """The provider refuses its configuration, and names the property."""
    provider = Provider(aws.cloud("http://127.0.0.1:1", None))
    (failure,) = provider.CheckConfig(pb.CheckRequest(news=struct(config)), None).failures
    assert failure.property == "region"
    assert words in failure.reason


def test_a_group_has_the_location_of_the_configuration():
    """A group's own location counts first; without any it is refused. Other types have the location of their group."""
    assert azure.with_location(GROUP, {}, {"location": "westeurope"}) == {"location": "westeurope"}
    assert azure.with_location(GROUP, {"location": "uksouth"}, {"location": "westeurope"}) == {"location": "uksouth"}
    assert azure.with_location(BUS, {}, {}) == {}
    with pytest.raises(MissingInput, match=r"^location: missing required .* config set azure-native:location"):
        azure.with_location(GROUP, {}, {})


@pytest.fixture
def provider():
    return Provider(azure.cloud(ServiceBusEmulator()))


def check(provider, type_, **inputs):
    return provider.Check(pb.CheckRequest(type=type_, name="shop", news=struct(inputs), randomSeed=b"s"), None)


def test_the_location_of_the_configuration(provider):
    (failure,) = check(provider, GROUP).failures
    assert failure.property == "location"
    provider.Configure(pb.ConfigureRequest(variables={"azure-native:config:location": "westeurope"}), None)
    assert plain(check(provider, GROUP).inputs)["location"] == "westeurope"


def test_a_queue_is_compared_with_its_namespace(provider):
    """Sessions are refused on Basic, and not in a namespace of another stack."""
    queue = {"resourceGroupName": "g", "queueName": "q", "requiresSession": True}
    sku = {"name": "Basic", "tier": "Basic"}
    assert not check(provider, BUS, resourceGroupName="g", namespaceName="shop-bus", sku=sku).failures
    assert not check(provider, "azure-native:servicebus:Queue", namespaceName="another", **queue).failures
    (failure,) = check(provider, "azure-native:servicebus:Queue", namespaceName="shop-bus", **queue).failures
    assert "the Basic tier has no requiresSession" in failure.reason


def test_settings_are_compared_with_their_app(provider):
    """Flex Consumption refuses them in a resource of their own, too."""
    settings = {"resourceGroupName": "g", "properties": {"Functions_Worker_Runtime": "python"}}
    app = {"resourceGroupName": "g", "functionAppConfig": {"runtime": {"name": "python", "version": "3.12"}}}
    assert not check(provider, "azure-native:web:WebApp", name="shop", **app).failures
    assert not check(provider, "azure-native:web:WebAppApplicationSettings", name="another", **settings).failures
    (failure,) = check(provider, "azure-native:web:WebAppApplicationSettings", name="shop", **settings).failures
    assert "Flex Consumption refuses this app setting" in failure.reason


def test_rules_are_for_inputs_that_fit_the_types(provider):
    """A wrong type is reported alone."""
    (failure,) = check(provider, BUS, resourceGroupName="g", namespaceName=5).failures
    assert failure.reason == "namespaceName: 5 is no str"


@pytest.mark.timeout(120)
def test_a_queue_that_hides_messages_for_less_than_the_function_runs(tmp_path):
    """Lambda refuses the mapping, in these words; as long as the function is long enough."""
    with SqsServer() as server:
        clients = Clients(server.endpoint_url)
        resources = handlers(clients, tmp_path)
        document = {"Version": "2012-10-17", "Statement": []}
        role = clients["iam"].create_role(RoleName="short-r", AssumeRolePolicyDocument=json.dumps(document))["Role"]
        function, _ = resources["aws:lambda/function:Function"].create(
            {"name": "short-f", "role": role["Arn"], "runtime": "python3.12", "handler": "a.b", "timeout": 60}
        )
        mapping = resources["aws:lambda/eventSourceMapping:EventSourceMapping"]
        for seconds in (59, 60):
            server.queue(f"hidden-{seconds}", VisibilityTimeout=seconds)
        arn = "arn:aws:sqs:eu-west-1:123456789012:hidden-"
        with pytest.raises(ValueError, match="Queue visibility timeout: 59 seconds is less than Function timeout: 60 "):
            mapping.create({"eventSourceArn": f"{arn}59", "functionName": function})
        id_, _ = mapping.create({"eventSourceArn": f"{arn}60", "functionName": function})
        mapping.delete(id_, {})
        resources["aws:lambda/function:Function"].delete(function, {})
        clients["iam"].delete_role(RoleName="short-r")
        clients.close()

"""However hard a program, a project or the user's environment tries, nothing reaches a cloud."""

from __future__ import annotations

import os
import stat

import pytest

from cloudqueues.pulumi.engine import EngineError

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

REACHING = """
import json, os, pathlib, urllib.request
import boto3, pulumi
import pulumi_aws as aws

seen = {}


def attempt(name, act):
    try:
        seen[name] = f"REACHED {act()}"
    except Exception as exc:
        seen[name] = type(exc).__name__


attempt("https", lambda: urllib.request.urlopen("https://sts.amazonaws.com/", timeout=5).status)
attempt("http", lambda: urllib.request.urlopen("http://example.com/", timeout=5).status)
attempt("metadata", lambda: urllib.request.urlopen("http://169.254.169.254/latest/meta-data/", timeout=5).status)
attempt("boto3", lambda: boto3.client("sts", region_name="eu-west-1").get_caller_identity())
keys = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "example"}
attempt("own keys", lambda: boto3.client("sts", region_name="eu-west-1", **keys).get_caller_identity())
import google.auth
attempt("google", lambda: google.auth.default())
from azure.identity import DefaultAzureCredential
attempt("azure", lambda: DefaultAzureCredential().get_token("https://management.azure.com/.default"))
WORDS = ("AKIA", "SECRET-OF", "wJalr")
seen["environment"] = sorted(name for name, value in os.environ.items() if any(word in value for word in WORDS))
seen["files"] = [str(path) for path in pathlib.Path.home().rglob("*") if path.suffix == ".real" or path.name == "credentials"]
seen["ports"] = sorted(name for name in os.environ if name.startswith("PULUMI_DEBUG"))

# A provider of the program's own, for the real service, with keys in it.
real = aws.Provider("real", region="us-east-1", access_key="AKIAEXAMPLE", secret_key="example",
    endpoints=[{"sqs": "https://sqs.us-east-1.amazonaws.com"}])
queue = aws.sqs.Queue("q", name="reached", opts=pulumi.ResourceOptions(provider=real))
pulumi.export("queue", queue.url)
pulumi.export("seen", seen)
"""

OFFLINE = """name: shop
runtime: python
backend:
  url: https://api.pulumi.com
plugins:
  providers:
    - name: aws
      path: {plugins}
"""


@pytest.fixture
def users(tmp_path):
    """A user's environment with everything that leads to a cloud, and plugins that leave a trace when they are run."""
    home, plugins, traces = tmp_path / "home", tmp_path / "plugins", tmp_path / "traces"
    for folder in (home / ".aws", home / ".config" / "gcloud", home / ".azure", home / ".pulumi", plugins, traces):
        folder.mkdir(parents=True)
    (home / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = AKIAREAL\naws_secret_access_key = wJalr\n"
    )
    (home / ".pulumi" / "credentials.json").write_text('{"current": "https://api.pulumi.com"}')
    for name in ("pulumi-resource-aws", "pulumi-resource-random", "pulumi-language-python", "pulumi-resource-gcp"):
        (plugins / name).write_text(f"#!/bin/sh\ntouch {traces}/{name}\nexit 1\n")
        (plugins / name).chmod(0o755 | stat.S_IXUSR)
    return (
        {
            **os.environ,
            "PATH": f"{plugins}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home),
            "AWS_PROFILE": "default",
            "AWS_ACCESS_KEY_ID": "AKIAREAL",
            "AWS_SECRET_ACCESS_KEY": "wJalr",
            "AWS_ENDPOINT_URL": "https://SECRET-OF.example.com",
            "AZURE_CLIENT_SECRET": "SECRET-OF-AZURE",
            "ARM_CLIENT_SECRET": "SECRET-OF-AZURE",
            "GOOGLE_APPLICATION_CREDENTIALS": "/SECRET-OF-GOOGLE.json",
            "PULUMI_ACCESS_TOKEN": "SECRET-OF-PULUMI",
            "PULUMI_BACKEND_URL": "https://api.pulumi.com",
            "PULUMI_CONFIG": '{"aws:accessKey": "AKIAREAL"}',
            "PULUMI_OPTION_REFRESH": "true",
            "HTTPS_PROXY": "http://SECRET-OF.example.com:3128",
        },
        plugins,
        traces,
    )


def test_a_program_that_tries_hard(clouds, written, users):
    """Each way out is refused and remembered; its own provider with keys is the stand-in too."""
    user_environ, plugins, traces = users
    folder = written(
        REACHING,
        project=OFFLINE.format(plugins=plugins),
        config="config:\n  aws:profile: default\n  aws:region: eu-west-1\n",
    )
    engine = clouds.engine("aws", folder, environ=user_environ)
    engine.init("dev")
    engine.up("dev")
    outputs = engine.outputs("dev")
    seen = outputs["seen"]
    reached = {name: said for name, said in seen.items() if isinstance(said, str) and said.startswith("REACHED")}
    assert reached == {}
    assert (seen["environment"], seen["files"], seen["ports"]) == ([], [], [])
    assert outputs["queue"].startswith(clouds.server.endpoint_url)
    assert {"sts.amazonaws.com:443", "http://example.com/"} <= set(engine.refused_addresses)
    engine.destroy("dev")
    assert list(traces.iterdir()) == []


FETCHED = """
import pulumi, pulumi_aws as aws
url = "https://example.com/plugins"
aws.sqs.Queue("q", opts=pulumi.ResourceOptions(version="6.0.0", plugin_download_url=url))
pulumi.CustomResource("other:index:Thing", "o", opts=pulumi.ResourceOptions(plugin_download_url=url))
"""

REFUSED = [
    (
        "import pulumi_aws as aws\naws.ec2.Vpc('v')",
        ("aws:ec2/vpc:Vpc is neither applied nor recorded", "cloudqueues.pulumi.aws", "aws:sqs/queue:Queue"),
    ),
    (
        "import pulumi_aws as aws\naws.lambda_.EventSourceMapping('m', function_name='f', scaling_config={'max': 2})",
        ("scalingConfig.max: unknown", "maximumConcurrency"),
    ),
    ("import pulumi\npulumi.CustomResource('random:index/randomId:RandomId', 'r')", ("random",)),
    ("import pulumi_gcp as gcp\ngcp.pubsub.Topic('t')", ("gcp",)),
    (FETCHED, ("other",)),
    ("import pulumi_aws as aws\naws.get_regions()", ("does not answer aws:index/getRegions:getRegions",)),
    ("1 / 0", ("ZeroDivisionError",)),
]


@pytest.mark.parametrize(("main", "said"), REFUSED)
def test_what_there_is_no_stand_in_for(clouds, written, users, main, said):
    """An error that says what, in the preview already; nothing is fetched or run instead."""
    user_environ, _, traces = users
    engine = clouds.engine("aws", written(main), environ=user_environ)
    engine.init("dev")
    with pytest.raises(EngineError) as refused:
        engine.preview("dev")
    assert [word for word in said if word not in str(refused.value)] == []
    assert engine.refused_addresses == ()
    assert list(traces.iterdir()) == []

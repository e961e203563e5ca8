"""The rules as a policy pack, in an environment of its own, by the unmodified command."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cloudqueues.pulumi.engine import EngineError
from tests.support import ROOT

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]

QUEUES = """
import pulumi_aws as aws

queue = aws.sqs.Queue("orders")
aws.cloudwatch.LogGroup("logs")
"""


@pytest.fixture(scope="module")
def pack(tmp_path_factory) -> Path:
    """infra/policy in a copy of the repository's folders, with what its lock has installed beside it."""
    root = tmp_path_factory.mktemp("pack")
    folder = root / "infra" / "policy"
    shutil.copytree(ROOT / "infra" / "policy", folder, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    (root / "src").symlink_to(ROOT / "src")
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, folder / ".venv"], check=True)
    lock = folder / "requirements-lock.txt"
    install = ["pip", "install", "--quiet", "--require-hashes", "--python", folder / ".venv/bin/python", "-r", lock]
    subprocess.run([*uv, *install], check=True)
    return folder


def test_a_program_that_breaks_rules_is_not_applied(clouds, written, pack):
    """Each by its name, with what to do; nothing is made."""
    engine = clouds.engine("aws", written(QUEUES))
    engine.init("dev")
    with pytest.raises(EngineError) as failed:
        engine.up("dev", "--policy-pack", str(pack))
    printed = str(failed.value)
    for rule in ("aws-dead-letters", "aws-tls-only", "aws-retention"):
        assert f"[{rule}]" in printed
    assert "it has no dead-letter queue: give it a redrivePolicy" in printed
    assert engine.refused_addresses == ()


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_the_programs_pass(clouds, copied, pack, cloud):
    """In a preview, of which half is unknown, and when it is applied."""
    engine = clouds.engine(cloud, copied(cloud))
    engine.init("dev")
    for ran in (engine.preview("dev", "--policy-pack", str(pack)), engine.up("dev", "--policy-pack", str(pack))):
        assert "peeklock" in ran.output.partition("Policies:")[2]
        assert "can't run policy" not in ran.output
    assert engine.refused_addresses == ()

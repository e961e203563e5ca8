"""The examples' own bundles, from the real packages, unzipped alone into an empty folder and run there.

Built for the Python of the cloud where that is installed here (`python3.13` on PATH), else for the one of this test; and for
this machine's processor, since it runs here.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from peeklock.bundle.build import build
from peeklock.bundle.packages import tool
from peeklock.bundle.project import load
from peeklock.bundle.targets import MB, TARGETS
from tests.bundle.kit import installers, packed
from tests.support import ROOT, on_this_machine

pytestmark = [
    pytest.mark.servers,
    pytest.mark.timeout(600),  # each downloads a cloud's packages
    pytest.mark.skipif(sys.platform != "linux", reason="the clouds' functions run on Linux"),
]

LOADED = """
found = [getattr(module, "__file__", None) for name, module in sys.modules.items() if name != "__main__"]
strange = [file for file in found if file and not file.startswith((*folders, *LIBRARY))]
print(json.dumps({**told, "strange": strange}))
"""

START = """
import json, sys
LIBRARY = tuple(sys.path)
*folders, event = sys.argv[1:]
sys.path[:0] = folders
"""

AWS = """
from handlers.aws_sqs.handler import handler
class Context:
    function_name = "orders"; memory_limit_in_mb = 512; aws_request_id = "r-1"
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:orders"
    def get_remaining_time_in_millis(self): return 60_000
told = {"answer": handler(json.load(open(event)), Context())}
import boto3
told["services"] = [boto3.client(name).meta.service_model.service_name for name in ("sqs", "dynamodb")]
"""

AZURE = """
import function_app
told = {"functions": [one.get_function_name() for one in function_app.app.get_functions()]}
import azure.servicebus, azure.identity, azure.data.tables
"""

GCP = """
import functions_framework, os
app = functions_framework.create_app("charge_http", os.path.join(folders[-1], "main.py"))
sample = json.load(open(event))
answer = app.test_client().post("/", data=sample["body"], headers=sample["headers"])
told = {"status": answer.status_code, "body": answer.get_data(as_text=True)}
from google.cloud import tasks_v2, pubsub_v1, firestore_v1
"""


@lru_cache
def python_for(wanted: str) -> tuple[str, str]:
    """An interpreter and its version: the wanted one's where it is there and starts."""
    interpreter = shutil.which(f"python{wanted}")
    if interpreter and subprocess.run([interpreter, "-V"], capture_output=True, check=False).returncode == 0:
        return interpreter, wanted
    return sys.executable, f"{sys.version_info.major}.{sys.version_info.minor}"


def unzipped(cloud: str, into: Path) -> str:
    """The cloud's bundle, for this machine; returns the interpreter for it."""
    interpreter, version = python_for(TARGETS[cloud].python)
    with zipfile.ZipFile(io.BytesIO(packed(cloud, version))) as files:
        files.extractall(into)
    return interpreter


def run(interpreter: str, code: str, *places: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """Run code with these folders before the standard library and nothing behind it: no site-packages, no environment."""
    ran = subprocess.run(
        [interpreter, "-I", "-S", "-B", "-c", START + code + LOADED, *map(str, places)],
        capture_output=True,
        text=True,
        check=False,
        env=dict(variables),
        cwd=places[0],
    )
    assert ran.returncode == 0, ran.stderr
    report: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    assert report.pop("strange") == []
    return report


def receipts(folder: Path) -> list[str]:
    return [json.loads(line)["id"] for line in (folder / "receipts.jsonl").read_text().splitlines()]


def test_lambda(tmp_path):
    """A sample event is handled, its receipt sent; the SDK and the data of its services are in the bundle."""
    root = tmp_path / "task"
    interpreter = unzipped("aws", root)
    variables = {
        **on_this_machine(tmp_path),
        "AWS_LAMBDA_FUNCTION_NAME": "orders",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "LAMBDA_TASK_ROOT": str(root),
        "_X_AMZN_TRACE_ID": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
    }
    report = run(interpreter, AWS, root, ROOT / "events" / "sqs" / "single.json", variables=variables)
    assert report == {"answer": {"batchItemFailures": []}, "services": ["sqs", "dynamodb"]}
    assert receipts(tmp_path) == ["receipt-o-1"]


def test_another_contract_is_refused(tmp_path):
    """A bundle whose queue differs from what its environment was made for does not start."""
    root = tmp_path / "task"
    interpreter = unzipped("aws", root)
    variables = {**on_this_machine(tmp_path), "PEEKLOCK_ORDERS_FINGERPRINT": "0" * 12, "POWERTOOLS_TRACE_DISABLED": "1"}
    with pytest.raises(AssertionError, match="deploy both from the same commit"):
        run(interpreter, AWS, root, ROOT / "events" / "sqs" / "single.json", variables=variables)


def test_azure_functions(tmp_path):
    """The app is found, with both functions, beside the packages as the worker has them."""
    root = tmp_path / "wwwroot"
    interpreter = unzipped("azure", root)
    packages = root / ".python_packages" / "lib" / "site-packages"
    report = run(interpreter, AZURE, packages, root, tmp_path, variables=on_this_machine(tmp_path))
    assert report == {"functions": ["charge", "write_receipts"]}
    assert json.loads((root / "host.json").read_text())["version"] == "2.0"


def test_google(tmp_path):
    """The build installs from the bundle alone, as the buildpack does; then a sample request is answered."""
    root, installed = tmp_path / "workspace", tmp_path / "installed"
    interpreter = unzipped("gcp", root)
    command = [interpreter, "-m", "pip", "install", "--requirement", "requirements.txt", "--upgrade"]
    subprocess.run(
        [*command, "--no-index", "--find-links", "vendor", "--target", str(installed)],
        cwd=root,
        check=True,
        capture_output=True,
    )
    event = ROOT / "events" / "cloudtasks" / "single.json"

    def answer() -> dict[str, Any]:
        return run(interpreter, GCP, installed, root, event, variables=on_this_machine(tmp_path))

    assert answer() == {"status": 401, "body": ""}, "the sample has no token"
    main = root / "main.py"
    main.write_text(main.read_text().replace("bind(charge)", "bind(charge, unauthenticated=True)"))
    assert answer() == {"status": 204, "body": ""}
    assert receipts(tmp_path) == ["receipt-o-1"]


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_for_the_cloud(cloud):
    """The bundle is within its budget, which is less than twice the size that is needed, and two builds have the same
    bytes."""
    with installers():
        first, second = (
            build(load(ROOT, cloud), TARGETS[cloud], tool(TARGETS[cloud]), lambda _: None) for _ in range(2)
        )
    assert first.problems == ()
    assert first.digest == second.digest
    budget = load(ROOT, cloud).budget
    assert budget
    assert budget < 2 * first.unzipped / MB

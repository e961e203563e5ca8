"""The engine on a program's folder, with each cloud's emulator beside it. Without the command these tests fail."""

from __future__ import annotations

import shutil
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from cloudqueues.cloudtasks import CloudTasksEmulator
from cloudqueues.pulumi import aws, azure, command, gcp
from cloudqueues.pulumi.engine import Engine
from cloudqueues.servicebus import ServiceBusEmulator
from cloudqueues.sqs_server import SqsServer
from tests.support import ROOT

PROGRAMS = Path(__file__).parent / "programs"


class Clouds:
    """Starts an emulator with its first use."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.server: Any = None

    def aws(self, folder: Path) -> Any:
        """With an empty moto: what it holds is the process's."""
        self.server = self._stack.enter_context(SqsServer())
        urllib.request.urlopen(f"{self.server.endpoint_url}/moto-api/reset", b"", timeout=10).close()
        return aws.cloud(self.server.endpoint_url, folder)

    def azure(self, folder: Path) -> Any:
        self.server = self._stack.enter_context(ServiceBusEmulator())
        return azure.cloud(self.server)

    def gcp(self, folder: Path) -> Any:
        self.server = self._stack.enter_context(CloudTasksEmulator())
        return gcp.cloud(self.server)

    def engine(self, name: str, folder: Path, **options: Any) -> Engine:
        cloud = getattr(self, name)(folder)
        return self._stack.enter_context(Engine(folder, [cloud], pulumi=command.find(root=ROOT), **options))


@pytest.fixture
def clouds() -> Iterator[Clouds]:
    with ExitStack() as stack:
        yield Clouds(stack)


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """A program of the text, in a folder of its own."""

    def write(
        main: str,
        *,
        project: str = "name: shop\nruntime: python\n",
        config: str = "config: {aws:region: eu-west-1, azure-native:location: westeurope}\n",
    ) -> Path:
        folder = tmp_path / "program"
        folder.mkdir(exist_ok=True)
        (folder / "Pulumi.yaml").write_text(project, encoding="utf-8")
        (folder / "Pulumi.dev.yaml").write_text(config, encoding="utf-8")
        (folder / "__main__.py").write_text(main, encoding="utf-8")
        return folder

    return write


@pytest.fixture
def copied(tmp_path):
    """The repository as a program sees it, with a bundle that has nothing in it: what is deployed is tested elsewhere."""

    def copy(cloud):
        shutil.copytree(
            ROOT / "infra" / cloud, tmp_path / "infra" / cloud, ignore=shutil.ignore_patterns(".*", "__pycache__")
        )
        (tmp_path / "handlers").symlink_to(ROOT / "handlers")
        (tmp_path / "build" / "bundle").mkdir(parents=True)
        with zipfile.ZipFile(tmp_path / "build" / "bundle" / f"{cloud}.zip", "w") as bundle:
            bundle.writestr("nothing.py", "")
        return tmp_path / "infra" / cloud

    return copy

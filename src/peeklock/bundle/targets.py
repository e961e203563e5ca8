"""The platforms that bundles are built for, each with its Python, processor, C library and limits."""

from __future__ import annotations

from dataclasses import dataclass

from peeklock.errors import ConfigError
from peeklock.quotas.aws import UNZIPPED_BYTES, UPLOAD_BYTES

MB = 1024 * 1024
"""Bytes of a megabyte, as Lambda counts."""

GLIBC = 28
"""Minor version, 2.28, of the newest C library that wheels may need: older than the C library of each platform (Amazon Linux 2023 has 2.34), and what
most projects build for. https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html, https://peps.python.org/pep-0600/"""

MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
"""Processors by AWS's names, with the names in wheels."""

_OLDEST = {"aarch64": 17, "x86_64": 5}
_NAMED = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
# Names that PEP 600 replaced: wheels have either.


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A platform as a bundle sees it. The Pythons are those that `peeklock.infra` deploys to."""

    platform: str
    python: str
    """Version, such as `3.13`."""
    machine: str = "x86_64"
    """Processor, as wheels name it."""
    packages: str = ""
    """Folder in the bundle where the platform looks for third-party packages; empty for its root."""
    wheels: bool = False
    """True where the platform installs the packages itself, from wheels in that folder."""
    provided: frozenset[str] = frozenset()
    """Third-party modules that the platform has, without a lock."""
    most: int | None = None
    """Bytes, unzipped, that the platform takes."""
    direct: int | None = None
    """Bytes, zipped, that it takes without a bucket."""
    at_root: tuple[str, ...] = ()
    """Files that the platform needs at the bundle's root."""
    renders: bool = False
    """True where `peeklock.infra` adds these files itself."""

    @property
    def arch(self) -> str:
        """Processor as AWS names it."""
        return next(arch for arch, machine in MACHINES.items() if machine == self.machine)

    @property
    def uv_platform(self) -> str:
        return f"{self.machine}-manylinux_2_{GLIBC}"

    @property
    def pip_platforms(self) -> tuple[str, ...]:
        """Tags that fit, newest first: pip takes a wheel only for a tag on its command line."""
        tags = []
        for minor in range(GLIBC, _OLDEST[self.machine] - 1, -1):
            tags.append(f"manylinux_2_{minor}_{self.machine}")
            if minor in _NAMED:
                tags.append(f"{_NAMED[minor]}_{self.machine}")
        return (*tags, f"linux_{self.machine}")


TARGETS = {
    "aws": Target(
        platform="aws",
        python="3.13",
        machine="aarch64",
        # https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html#python-sdk-included
        provided=frozenset({"boto3", "botocore"}),
        most=UNZIPPED_BYTES,
        direct=UPLOAD_BYTES,
    ),
    "azure": Target(
        platform="azure",
        python="3.12",
        # https://learn.microsoft.com/azure/azure-functions/functions-reference-python#folder-structure
        packages=".python_packages/lib/site-packages",
        at_root=("function_app.py", "host.json"),
        renders=True,
    ),
    "gcp": Target(
        platform="gcp",
        python="3.13",
        # GOOGLE_VENDOR_PIP_DEPENDENCIES=vendor makes the build install from there and from nowhere else:
        # https://cloud.google.com/functions/docs/writing/specifying-dependencies-python#vendored_dependencies
        packages="vendor",
        wheels=True,
        # https://cloud.google.com/functions/docs/writing#directory-structure-python
        at_root=("main.py",),
    ),
}


def target(platform: str, arch: str | None) -> Target:
    """Return the target for a processor; None is the platform's default. Raises ConfigError for a processor that the platform
    does not have."""
    from dataclasses import replace

    chosen = TARGETS[platform]
    if arch is None or MACHINES[arch] == chosen.machine:
        return chosen
    if platform != "aws":
        raise ConfigError(f"--arch {arch}: functions on {platform} run on {chosen.arch} only; leave --arch out")
    return replace(chosen, machine=MACHINES[arch])

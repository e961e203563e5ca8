"""What a bundle is built for: the one place that names each platform's Python, processor, C library and limits."""

from __future__ import annotations

from dataclasses import dataclass

from peeklock.errors import ConfigError
from peeklock.quotas.aws import UNZIPPED_BYTES, UPLOAD_BYTES

MB = 1024 * 1024
"""As Lambda counts."""

GLIBC = 28
"""2.28, of the wheels that are taken: older than the C library of each platform (Amazon Linux 2023 has 2.34), and what
most projects build for. https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html, https://peps.python.org/pep-0600/"""

MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
"""Names of processors, as AWS has them and as wheels have them."""

_OLDEST = {"aarch64": 17, "x86_64": 5}
_NAMED = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
# The names that PEP 600 replaced: wheels have either.


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A platform as a bundle sees it. The Pythons are those that `peeklock.infra` deploys to."""

    platform: str
    python: str
    """Such as `3.13`."""
    machine: str = "x86_64"
    """As wheels name it."""
    packages: str = ""
    """The folder in the bundle where the platform looks for third-party packages; empty for its root."""
    wheels: bool = False
    """Whether the platform installs the packages itself, from wheels in that folder."""
    provided: frozenset[str] = frozenset()
    """Third-party modules that the platform has, without a lock."""
    most: int | None = None
    """Bytes, unzipped, that the platform takes."""
    direct: int | None = None
    """Bytes, zipped, that it takes without a bucket."""

    @property
    def arch(self) -> str:
        """The processor as AWS names it."""
        return next(arch for arch, machine in MACHINES.items() if machine == self.machine)

    @property
    def uv_platform(self) -> str:
        return f"{self.machine}-manylinux_2_{GLIBC}"

    @property
    def pip_platforms(self) -> tuple[str, ...]:
        """Every tag that fits, newest first: pip takes a wheel only for a tag that it was told."""
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
    ),
    "gcp": Target(
        platform="gcp",
        python="3.13",
        # GOOGLE_VENDOR_PIP_DEPENDENCIES=vendor makes the build install from there and from nowhere else:
        # https://cloud.google.com/functions/docs/writing/specifying-dependencies-python#vendored_dependencies
        packages="vendor",
        wheels=True,
    ),
}


def target(platform: str, arch: str | None) -> Target:
    """For a processor; the platform's own for None. Raises ConfigError for one that the platform has not."""
    from dataclasses import replace

    chosen = TARGETS[platform]
    if arch is None or MACHINES[arch] == chosen.machine:
        return chosen
    if platform != "aws":
        raise ConfigError(f"--arch {arch}: functions on {platform} run on {chosen.arch} only; leave --arch out")
    return replace(chosen, machine=MACHINES[arch])

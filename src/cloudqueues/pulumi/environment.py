"""The environment of `pulumi` on this machine: what it needs, and nothing that leads to a cloud.

Only the variables listed here are passed on, so that credentials, profiles and endpoints of the user are left out
whatever they are called. Files of credentials are looked for in an empty home; metadata services are switched off; and
the proxy of all that goes further than this machine is a trap (`trap.Trap`).
https://www.pulumi.com/docs/iac/cli/environment-variables/
https://boto3.amazonaws.com/v1/documentation/api/latest/guide/configuration.html#using-environment-variables
https://cloud.google.com/python/docs/reference/google-auth/latest (GCE_METADATA_*, NO_GCE_CHECK)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

PASSED_ON = frozenset(
    {
        "PATH",
        "LANG",
        "LC_ALL",
        "TZ",
        "TMPDIR",
        "PYTHONPATH",
        "VIRTUAL_ENV",
        "SYSTEMROOT",
        "COVERAGE_PROCESS_CONFIG",
        "COVERAGE_PROCESS_START",
    }
)

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")

LOCAL = "127.0.0.1,localhost,::1"


def hermetic(
    given: Mapping[str, str], *, home: Path, providers: Mapping[str, int], language: int, trap: int
) -> dict[str, str]:
    """For the command and all that it starts.

    `home` has the state and the settings of this run, and is the user's home too; `providers` are the ports of the
    stand-ins by package, `language` is the language host's, `trap` the proxy's. PULUMI_DEBUG_PROVIDERS is for this
    environment only: where it is exported, an ordinary `pulumi up` writes invented ids into a real state.
    """
    return {
        **for_functions(given, home=home, trap=trap),
        **_pulumi(home),
        "PULUMI_DEBUG_PROVIDERS": ",".join(f"{package}:{port}" for package, port in sorted(providers.items())),
        "PULUMI_DEBUG_LANGUAGES": f"python:{language}",
    }


GUARDS = frozenset(
    {
        "HOME",
        "USERPROFILE",
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AZURE_CONFIG_DIR",
        "CLOUDSDK_CONFIG",
        "AWS_EC2_METADATA_DISABLED",
        "NO_GCE_CHECK",
        "GCE_METADATA_HOST",
        "GCE_METADATA_ROOT",
        "GCE_METADATA_IP",
        *(name for proxy in PROXIES for name in (proxy, proxy.lower())),
    }
)
"""Variables that keep a process on this machine; a program's own are not taken."""


def for_functions(given: Mapping[str, str], *, home: Path, trap: int) -> dict[str, str]:
    """For a process that is to reach nothing but this machine, and needs none of Pulumi's."""
    nowhere = str(home / "nowhere")
    return {
        **_passed_on(given),
        "HOME": str(home),
        "USERPROFILE": str(home),
        **dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), nowhere),
        **dict.fromkeys(("AZURE_CONFIG_DIR", "CLOUDSDK_CONFIG"), nowhere),
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_GCE_CHECK": "true",
        **dict.fromkeys(("GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP"), f"127.0.0.1:{trap}"),
        **_proxies(f"http://127.0.0.1:{trap}"),
    }


def _passed_on(given: Mapping[str, str]) -> dict[str, str]:
    """A relative path is another one where a program runs."""
    passed = {name: given[name] for name in sorted(PASSED_ON & set(given))}
    if path := passed.get("PYTHONPATH"):
        passed["PYTHONPATH"] = os.pathsep.join(str(Path(one).resolve()) for one in path.split(os.pathsep) if one)
    return passed


def _pulumi(home: Path) -> dict[str, str]:
    return {
        "PULUMI_HOME": str(home / "pulumi"),
        "PULUMI_BACKEND_URL": (home / "state").as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_IGNORE_AMBIENT_PLUGINS": "true",
        "PULUMI_DEBUG_COMMANDS": "true",  # for --event-log
    }


def _proxies(url: str) -> dict[str, str]:
    names = [one for one in PROXIES if one != "NO_PROXY"]
    both = [*names, *(name.lower() for name in names)]
    return {**dict.fromkeys(both, url), "NO_PROXY": LOCAL, "no_proxy": LOCAL}

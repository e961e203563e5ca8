"""Environment of `pulumi` on this machine: what it needs, and nothing that leads to a cloud.

Only the variables listed here are passed on, so credentials, profiles and endpoints of the user are left out whatever
their names. HOME is an empty folder without files of credentials, metadata services are switched off, and the proxy for
everything beyond this machine refuses all requests (`refusing_proxy.RefusingProxy`).
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
    user_environ: Mapping[str, str], *, home: Path, providers: Mapping[str, int], language: int, proxy_port: int
) -> dict[str, str]:
    """Return the environment of the command and of all that it starts.

    `home` holds the state and the settings of this run, and is HOME too; `providers` are the ports of the stand-ins by
    package, `language` is the port of the language host, `proxy_port` that of the proxy. PULUMI_DEBUG_PROVIDERS is for
    this environment only: where it is exported, an ordinary `pulumi up` writes invented ids into a real state.
    """
    return {
        **for_functions(user_environ, home=home, proxy_port=proxy_port),
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
"""Variables that keep a process on this machine. A program's own values for them are ignored."""


def for_functions(user_environ: Mapping[str, str], *, home: Path, proxy_port: int) -> dict[str, str]:
    """Return the environment of a process that can reach nothing beyond this machine, and needs no variables of Pulumi."""
    nowhere = str(home / "nowhere")
    return {
        **_passed_on(user_environ),
        "HOME": str(home),
        "USERPROFILE": str(home),
        **dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), nowhere),
        **dict.fromkeys(("AZURE_CONFIG_DIR", "CLOUDSDK_CONFIG"), nowhere),
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_GCE_CHECK": "true",
        **dict.fromkeys(("GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP"), f"127.0.0.1:{proxy_port}"),
        **_proxies(f"http://127.0.0.1:{proxy_port}"),
    }


def _passed_on(user_environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables to pass on. Relative paths are made absolute, because a program runs in a folder of its own."""
    variables = {name: user_environ[name] for name in sorted(PASSED_ON & set(user_environ))}
    if path := variables.get("PYTHONPATH"):
        variables["PYTHONPATH"] = os.pathsep.join(
            str(Path(entry).resolve()) for entry in path.split(os.pathsep) if entry
        )
    return variables


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
    names = [name for name in PROXIES if name != "NO_PROXY"]
    both = [*names, *(name.lower() for name in names)]
    return {**dict.fromkeys(both, url), "NO_PROXY": LOCAL, "no_proxy": LOCAL}

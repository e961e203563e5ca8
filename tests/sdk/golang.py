"""Run the own tests of Go's azservicebus against the emulator: `make sdk-tests-go`.

Arguments: the folder of a writable copy of the module, and a file for the results. The tests use the service's own ports, 443
and 5671, on two addresses of loopback; on most systems only root may open 443.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from cloudqueues.servicebus import Policy, ServiceBusEmulator

TABLE = Path(__file__).parent / "go.toml"
HOSTS = {"standard": "127.0.0.2", "premium": "127.0.0.3"}
POLICIES = {
    "RootManageSharedAccessKey": Policy("key"),
    "NoManage": Policy("no-manage", ["Send", "Listen"]),
    "Send": Policy("send", ["Send"]),
    "Listen": Policy("listen", ["Listen"]),
}
LONGEST = "20m"

EDITS = {
    # The tests ask for an identity of Azure AD where a key does as well.
    "internal/test/test_helpers.go": ("if options.UseConnectionString {", "if true {"),
    # The emulator takes WebSockets on its AMQP port.
    "client_test.go": (
        "websocket.Dial(ctx, args.Host, opts)",
        'websocket.Dial(ctx, args.Host[:len(args.Host)-len("/$servicebus/websocket")]+":5671/$servicebus/websocket", opts)',
    ),
}


def main(folder: Path, results: Path) -> int:
    """Return the exit code."""
    for name, (old, new) in EDITS.items():
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace(old, new))
    with ExitStack() as stack, results.open("w") as output:
        emulators = {tier: stack.enter_context(emulator(tier)) for tier in HOSTS}
        # Go would repeat the result of an earlier run without -count=1.
        command = ["go", "test", "-json", "-count=1", "-timeout", LONGEST, "./..."]
        subprocess.run(command, cwd=folder, env=os.environ | environment(folder, emulators), stdout=output, check=False)
    return report(outcomes(results.read_text().splitlines()), tomllib.loads(TABLE.read_text()))


def emulator(tier: str) -> ServiceBusEmulator:
    """Return an emulator with the entities that the SDK's test-resources.bicep makes."""
    bus = ServiceBusEmulator(host=HOSTS[tier], port=5671, http_port=443, tls=True, tier=tier, policies=POLICIES)
    bus.add_queue("testQueue")
    bus.add_queue("testQueueWithSessions", requires_session=True)
    return bus


def environment(folder: Path, emulators: Mapping[str, ServiceBusEmulator]) -> dict[str, str]:
    trusted = folder / "certificates.pem"
    trusted.write_bytes(b"".join(emulator.certificate.read_bytes() for emulator in emulators.values()))
    standard, premium = HOSTS["standard"], HOSTS["premium"]
    return {
        "AZURE_RECORD_MODE": "live",
        "SSL_CERT_FILE": str(trusted),
        "SERVICEBUS_ENDPOINT": standard,
        "SERVICEBUS_ENDPOINT_PREMIUM": premium,
        "SERVICEBUS_CONNECTION_STRING": connection_string(standard),
        "SERVICEBUS_CONNECTION_STRING_PREMIUM": connection_string(premium),
        "SERVICEBUS_CONNECTION_STRING_NO_MANAGE": connection_string(standard, "NoManage"),
        "SERVICEBUS_CONNECTION_STRING_SEND_ONLY": connection_string(standard, "Send"),
        "SERVICEBUS_CONNECTION_STRING_LISTEN_ONLY": connection_string(standard, "Listen"),
    }


def connection_string(host: str, policy: str = "RootManageSharedAccessKey") -> str:
    return f"Endpoint=sb://{host}/;SharedAccessKeyName={policy};SharedAccessKey={POLICIES[policy].key}"


def outcomes(lines: Iterable[str]) -> dict[str, str]:
    """Return `pass`, `fail` or `skip` of each test without its subtests, as `package/Test`. A package that does not build
    has failed under its own name."""
    results = {}
    for line in lines:
        event = json.loads(line)
        package = event.get("Package", "").rpartition("azservicebus")[2].strip("/")
        test = event.get("Test", "")
        if event["Action"] in {"pass", "fail", "skip"} and "/" not in test:
            results["/".join(filter(None, [package, test])) or "the whole"] = event["Action"]
    failed = {name.rpartition("/")[0] for name, outcome in results.items() if outcome == "fail"}
    return {
        name: outcome
        for name, outcome in results.items()
        if name.rpartition("/")[2].startswith("Test") or (outcome == "fail" and name not in failed | {"the whole"})
    }


def report(results: Mapping[str, str], table: Mapping[str, Any]) -> int:
    """Print the figures and return the exit code: 1 when a test failed that the table does not name, when one passed that
    cannot by the table, or when one of the table was not run."""
    cannot, depends = (
        [test for part in table.get(kind, ()) for test in part["tests"]] for kind in ("cannot", "depends")
    )
    failed = sorted(name for name, outcome in results.items() if outcome == "fail" and name not in {*cannot, *depends})
    stale = sorted(name for name in cannot if results.get(name) != "fail")
    stale += sorted(name for name in depends if name not in results)
    count = Counter(outcome for name, outcome in results.items() if name not in depends)
    print(
        f"azservicebus: {count['pass']} passed, {len(failed)} failed, {count['skip']} skip themselves,"
        f" {len(cannot)} cannot pass, {len(depends)} by the machine's speed"
    )
    for name in failed:
        print(f"  failed: {name}")
    for name in stale:
        print(f"  in the table, and {results.get(name, 'was not run')}: {name}")
    return 1 if failed or stale or not count["pass"] else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()))

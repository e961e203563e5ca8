"""The administration client of Microsoft's JavaScript SDK, which shares no code with the Python one."""

from __future__ import annotations

import pytest

from cloudqueues.servicebus import ServiceBusEmulator
from tests.emulators.servicebus.test_second_clients import node

pytestmark = pytest.mark.slow  # needs node, as test_second_clients.py does


def test_administration(bus: ServiceBusEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(bus.certificate))
    values = {"n": 1, "yes": True, "text": "x", "when": "1970-01-01T00:00:00.000Z"}
    second = {"sqlExpression": "a = @p", "sqlParameters": {"@p": 5}}
    assert node("admin.mjs", bus.admin_connection_string) == {
        "created": ["eu/orders", "PT30S", 3, "m & m", "Active"],
        "exists": [True, False],
        "refused": [
            ["MessageEntityAlreadyExistsError", 409],
            ["ServiceError", 400],
            ["MessageEntityNotFoundError", 200],
            ["MessageEntityNotFoundError", 404],
        ],
        "updated": 4,
        "forwards": f"sb://127.0.0.1:{bus.http_port}/eu/orders",
        "pages": [["a", "b", "c"], ["eu/orders"]],
        "rules": [
            ["first", {"subject": "red", "applicationProperties": values}, {}],
            ["second", second, {"sqlExpression": "SET b = @q", "sqlParameters": {"@q": "z"}}],
        ],
        "counts": [0, 0, 1],
        "subscriptions": 1,
        "namespace": "Standard",
        "topics": [],
    }

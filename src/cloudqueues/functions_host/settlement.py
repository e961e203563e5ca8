"""Settlement service, through which a worker's `ServiceBusMessageActions` settle messages one by one.

Methods and statuses are those of the extension's `SettlementService`:
https://github.com/Azure/azure-sdk-for-net/blob/main/sdk/servicebus/Microsoft.Azure.WebJobs.Extensions.ServiceBus/src/Grpc/SettlementService.cs
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from cloudqueues.background import Background
from cloudqueues.functions_host.locked_messages import LockedMessage, LockRegistry, MessageReceiver
from cloudqueues.functions_host.protobuf import chunk, fields, number
from cloudqueues.functions_host.worker import MESSAGE_LENGTH

SERVICE = "settlement.Settlement"
OTHER_SERVICE = "Settlement"
"""Name in the Python extension's generated code: its .proto file has no package."""

THREADS = 16
EMPTY = b""


class NotFound(Exception):
    """Lock token or session that belongs to no running function."""


class Unsupported(Exception):
    """Request that the Python SDK, through which this host settles, cannot fulfil."""


Fields = Mapping[int, bytes]


class Methods:
    """Methods of the service: each takes the fields of a request and returns the encoded response."""

    def __init__(self, locks: Callable[[], LockRegistry]) -> None:
        self._locks = locks

    async def complete(self, request: Fields) -> bytes:
        await self._message(request).complete()
        return EMPTY

    async def abandon(self, request: Fields) -> bytes:
        await _unmodified(self._message(request), request).abandon()
        return EMPTY

    async def defer(self, request: Fields) -> bytes:
        await _unmodified(self._message(request), request).defer()
        return EMPTY

    async def deadletter(self, request: Fields) -> bytes:
        locked_message = _unmodified(self._message(request), request)
        await locked_message.dead_letter(_string_value(request, 3), _string_value(request, 4))
        return EMPTY

    async def renew_message_lock(self, request: Fields) -> bytes:
        await self._message(request).renew()
        return EMPTY

    async def get_session_state(self, request: Fields) -> bytes:
        return chunk(1, await self._session(request).get_state())

    async def set_session_state(self, request: Fields) -> bytes:
        await self._session(request).set_state(request.get(2, b""))
        return EMPTY

    async def release_session(self, request: Fields) -> bytes:
        self._session(request).release = True
        return EMPTY

    async def renew_session_lock(self, request: Fields) -> bytes:
        receiver = self._session(request)
        await receiver.renew(None)
        return chunk(1, _timestamp(receiver.session.locked_until_utc))

    def _message(self, request: Fields) -> LockedMessage:
        token = request.get(1, b"").decode()
        locked_message = self._locks().message(token)
        if locked_message is None:
            raise NotFound(f"LockToken {token} not found.")
        return locked_message

    def _session(self, request: Fields) -> MessageReceiver:
        name = request.get(1, b"").decode()
        receiver = self._locks().session(name)
        if receiver is None:
            raise NotFound(f"SessionId {name} not found.")
        return receiver


def _unmodified(locked_message: LockedMessage, request: Fields) -> LockedMessage:
    if request.get(2):
        raise Unsupported("propertiesToModify: the Python SDK settles without modifying a message")
    return locked_message


def _string_value(request: Fields, field: int) -> str | None:
    """Decode a `google.protobuf.StringValue`; None where the field is missing."""
    return fields(request[field]).get(1, b"").decode() if field in request else None


def _timestamp(when: datetime) -> bytes:
    """Encode a `google.protobuf.Timestamp`."""
    return number(1, int(when.timestamp())) + number(2, when.microsecond * 1000)


class SettlementServer:
    """Serves gRPC in its own threads, and runs the methods in the host's loop."""

    def __init__(self, background: Background, locks: Callable[[], LockRegistry], address: str) -> None:
        import grpc

        self._background = background
        self._pool = ThreadPoolExecutor(THREADS, "cloudqueues-settlement")
        self._methods = Methods(locks)
        limits = [("grpc.max_send_message_length", MESSAGE_LENGTH), ("grpc.max_receive_message_length", MESSAGE_LENGTH)]
        self._server = grpc.server(self._pool, options=[*limits, ("grpc.so_reuseport", 0)])
        for service in (SERVICE, OTHER_SERVICE):
            handlers = grpc.method_handlers_generic_handler(service, self._handlers())
            self._server.add_generic_rpc_handlers((handlers,))
        self.port: int = self._server.add_insecure_port(address)
        self._server.start()

    def _handlers(self) -> dict[str, Any]:
        import grpc

        methods = self._methods
        table: dict[str, Callable[[Fields], Awaitable[bytes]]] = {
            "Complete": methods.complete,
            "Abandon": methods.abandon,
            "Deadletter": methods.deadletter,
            "Defer": methods.defer,
            "RenewMessageLock": methods.renew_message_lock,
            "GetSessionState": methods.get_session_state,
            "SetSessionState": methods.set_session_state,
            "ReleaseSession": methods.release_session,
            "RenewSessionLock": methods.renew_session_lock,
        }
        return {name: grpc.unary_unary_rpc_method_handler(self._handler(method)) for name, method in table.items()}

    def _handler(self, method: Callable[[Fields], Awaitable[bytes]]) -> Callable[[bytes, Any], bytes]:
        import grpc

        async def act(request: bytes) -> bytes:
            return await method(fields(request))

        def handle(request: bytes, context: Any) -> bytes:
            try:
                return self._background.run(act(request))
            except NotFound as exc:
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(exc))
            except Unsupported as exc:
                context.abort(grpc.StatusCode.UNIMPLEMENTED, str(exc))
            except Exception as exc:  # noqa: BLE001 - the extension passes every error on, too
                context.abort(grpc.StatusCode.UNKNOWN, f"{type(exc).__name__}: {exc}")
            raise AssertionError

        return handle

    def stop(self) -> None:
        self._server.stop(None).wait()
        self._pool.shutdown()

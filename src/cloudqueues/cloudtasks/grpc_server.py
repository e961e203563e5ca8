"""gRPC side, for Google's own clients."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from cloudqueues.cloudtasks.calls import Caller
from cloudqueues.cloudtasks.errors import Code, Refused
from cloudqueues.cloudtasks.methods import Method, Methods
from cloudqueues.cloudtasks.sdk import grpc

MAX_MESSAGE = 110 * 2**20
"""Largest request in bytes: a batch of a hundred tasks of the largest size."""


def _status_code(code: Code) -> Any:
    return next(status for status in grpc().StatusCode if status.value[0] == int(code))


def handlers(methods: Mapping[str, Methods], caller: Caller) -> list[Any]:
    """Return gRPC's generic handlers, with the (de)serializers of the client's own types."""
    return [_generic(service, served, caller) for service, served in methods.items()]


def _generic(service: str, methods: Methods, caller: Caller) -> Any:
    rpc = grpc()
    return rpc.method_handlers_generic_handler(
        service,
        {
            name: rpc.unary_unary_rpc_method_handler(
                _entry(name, method, caller),
                request_deserializer=request.FromString,
                response_serializer=answer.SerializeToString,
            )
            for name, (request, answer, method) in methods.items()
        },
    )


def _entry(name: str, method: Method, caller: Caller) -> Callable[[Any, Any], Awaitable[Any]]:
    async def entry(request: Any, context: Any) -> Any:
        try:
            return await caller.run(name, method, request)
        except Refused as refused:
            details = refused.status().SerializeToString() if refused.details else b""
            metadata = (("grpc-status-details-bin", details),) if details else ()
            await context.abort(_status_code(refused.code), refused.text, metadata)

    return entry


async def serve(host: str, port: int, generic: list[Any]) -> tuple[Any, int]:
    """Start a server, and return it with its port. Raises OSError for a port that is taken."""
    options = [("grpc.max_receive_message_length", MAX_MESSAGE), ("grpc.so_reuseport", 0)]
    server = grpc().aio.server(options=options)
    server.add_generic_rpc_handlers(tuple(generic))
    try:
        bound = server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except RuntimeError as exc:
        raise OSError(errno.EADDRINUSE, f"cannot listen on {host}:{port}") from exc
    await server.start()
    return server, bound

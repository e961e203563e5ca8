"""Stand-in for azurefunctions-extensions-bindings-servicebus, with the same calls over gRPC.

The messages are encoded here by protobuf itself, as a check of the host's own few lines for that.
"""

import argparse

import grpc
from azurefunctions.extensions.base import GrpcClientType, InConverter
from google.protobuf import timestamp_pb2, wrappers_pb2


def field(number: int, value: bytes) -> bytes:
    """Encode a field of bytes, taken from the encoding of a BytesValue, whose only field has the number 1."""
    encoded = wrappers_pb2.BytesValue(value=value).SerializeToString()
    return bytes([number << 3 | 2]) + encoded[1:] if encoded else bytes([number << 3 | 2, 0])


class ServiceBusMessageActions(GrpcClientType):
    def __init__(self) -> None:
        parser = argparse.ArgumentParser(add_help=False)
        for name in ("host", "port", "functions-grpc-max-message-length"):
            parser.add_argument(f"--{name}", required=True)
        options, _ = parser.parse_known_args()
        self._channel = grpc.insecure_channel(f"{options.host}:{options.port}")

    def _call(self, method: str, request: bytes) -> bytes:
        return self._channel.unary_unary(f"/Settlement/{method}")(request)

    def complete(self, message) -> None:
        self._call("Complete", field(1, message.lock_token.encode()))

    def abandon(self, message) -> None:
        self._call("Abandon", field(1, message.lock_token.encode()))

    def defer(self, message) -> None:
        self._call("Defer", field(1, message.lock_token.encode()))

    def renew_message_lock(self, message) -> None:
        self._call("RenewMessageLock", field(1, message.lock_token.encode()))

    def deadletter(self, message, reason=None, description=None) -> None:
        request = field(1, message.lock_token.encode())
        for number, text in ((3, reason), (4, description)):
            if text:
                request += field(number, wrappers_pb2.StringValue(value=text).SerializeToString())
        self._call("Deadletter", request)

    def set_session_state(self, session: str, state: bytes) -> None:
        self._call("SetSessionState", field(1, session.encode()) + field(2, state))

    def release_session(self, session: str) -> None:
        self._call("ReleaseSession", field(1, session.encode()))

    def renew_session_lock(self, session: str):
        answer = self._call("RenewSessionLock", field(1, session.encode()))
        return timestamp_pb2.Timestamp.FromString(wrappers_pb2.BytesValue.FromString(answer).value)


class SettlementClient(InConverter, binding="serviceBusClient"):
    """Class through which the worker finds the actions."""

    actions: ServiceBusMessageActions | None = None

    @classmethod
    def get_client(cls) -> ServiceBusMessageActions:
        cls.actions = cls.actions or ServiceBusMessageActions()
        return cls.actions

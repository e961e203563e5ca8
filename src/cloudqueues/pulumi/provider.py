"""A resource provider as the engine knows it, over its own protocol, in front of emulators.

Straight on the gRPC service: pulumi.provider.experimental (3.272) cannot give unknown values in a preview, nor be attached
to. What is a resource and what happens to it is `kinds.Cloud`. proto/pulumi/provider.proto of pulumi/pulumi
"""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc
from pulumi.runtime.proto import plugin_pb2, provider_pb2_grpc
from pulumi.runtime.proto import provider_pb2 as pb

from cloudqueues.pulumi import invented, rules, schema
from cloudqueues.pulumi.kinds import Cloud, differences, named, refreshed, unknown_beyond
from cloudqueues.pulumi.wire import UNKNOWN, empty, plain, struct

LARGEST = 400 << 20
"""Bytes of a message, as the engine has it."""


def _told(method: Callable[..., Any]) -> Callable[..., Any]:
    """What goes wrong is the user's to read: its class and text, and no trace."""

    @functools.wraps(method)
    def call(self: Any, request: Any, context: Any) -> Any:
        try:
            return method(self, request)
        except Exception as exc:  # noqa: BLE001 (of whichever client)
            context.abort(grpc.StatusCode.UNKNOWN, f"{type(exc).__name__}: {exc}")

    return call


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """Secrets are the engine's business: it opens them before a call and closes them after it, since this accepts none."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.types: dict[str, str] = {}
        """Those that were asked for: applied, recorded or refused."""

    # -- its own life

    @_told
    def GetPluginInfo(self, request: Any) -> Any:  # noqa: N802, ARG002
        """The version of the SDK: the engine warns of an older provider."""
        return plugin_pb2.PluginInfo(version=importlib.metadata.version(f"pulumi-{self._cloud.package}"))

    @_told
    def Handshake(self, request: Any) -> Any:  # noqa: N802, ARG002
        return pb.ProviderHandshakeResponse()

    @_told
    def Attach(self, request: Any) -> Any:  # noqa: N802, ARG002
        return empty()

    @_told
    def Cancel(self, request: Any) -> Any:  # noqa: N802, ARG002
        return empty()

    @_told
    def CheckConfig(self, request: Any) -> Any:  # noqa: N802
        return pb.CheckResponse(inputs=request.news)

    @_told
    def DiffConfig(self, request: Any) -> Any:  # noqa: N802, ARG002
        return pb.DiffResponse(changes=pb.DiffResponse.DIFF_NONE)

    @_told
    def Configure(self, request: Any) -> Any:  # noqa: N802, ARG002
        return pb.ConfigureResponse(supportsPreview=True)

    # -- resources

    @_told
    def Check(self, request: Any) -> Any:  # noqa: N802
        refusal = self._cloud.refusal(request.type)
        self.types[request.type] = "refused" if refusal else self._cloud.how(request.type)
        if refusal:
            return pb.CheckResponse(inputs=request.news, failures=[pb.CheckFailure(reason=refusal)])
        news = named(request.type, request.name, request.randomSeed, plain(request.news), plain(request.olds))
        failures = [
            pb.CheckFailure(property=one.partition(":")[0], reason=one)
            for one in (*schema.problems(request.type, news), *rules.problems(request.type, news))
        ]
        return pb.CheckResponse(inputs=struct(news), failures=failures)

    @_told
    def Diff(self, request: Any) -> Any:  # noqa: N802
        replaces = self._cloud.replaces(request.type)
        found = differences(plain(request.old_inputs), plain(request.news), replaces, request.ignoreChanges)
        kinds = {name: pb.PropertyDiff(kind=pb.PropertyDiff.Kind.Value(kind)) for name, kind in found.items()}
        return pb.DiffResponse(
            changes=pb.DiffResponse.DIFF_SOME if found else pb.DiffResponse.DIFF_NONE,
            diffs=list(found),
            replaces=[name for name, kind in found.items() if kind.endswith("_REPLACE")],
            detailedDiff=kinds,
            hasDetailedDiff=True,
        )

    @_told
    def Create(self, request: Any) -> Any:  # noqa: N802
        inputs = plain(request.properties)
        id_, state = invented.state(request.type, request.name, inputs)
        if request.preview:
            unknown = dict.fromkeys(set(schema.outputs(request.type)) - {"id", "urn"}, UNKNOWN)
            return pb.CreateResponse(properties=struct({**unknown, **unknown_beyond(inputs, state)}))
        if kind := self._cloud.applied.get(request.type):
            id_, made = kind.create(inputs)
            state = {**state, **made, **inputs}
        return pb.CreateResponse(id=id_, properties=struct(state))

    @_told
    def Update(self, request: Any) -> Any:  # noqa: N802
        olds, news = plain(request.olds), plain(request.news)
        kind = self._cloud.applied.get(request.type)
        if kind is None:
            state = invented.state(request.type, request.name, news)[1]
        else:
            kept = {name: value for name, value in olds.items() if name not in plain(request.old_inputs)}
            changed = {} if request.preview else kind.update(request.id, olds, news)
            state = {**kept, **changed, **news}
        return pb.UpdateResponse(properties=struct(state))

    @_told
    def Read(self, request: Any) -> Any:  # noqa: N802
        """For `refresh`, and for what a program only looks up: then nothing is known of it but the id."""
        known, inputs = plain(request.properties), plain(request.inputs)
        if refusal := self._cloud.refusal(request.type):
            raise LookupError(refusal)
        kind = self._cloud.applied.get(request.type)
        live = {} if kind is None else kind.read(request.id, known)
        if live is None:
            return pb.ReadResponse(id="")
        if not inputs:
            found = invented.state(request.type, request.id.rsplit("/", 1)[-1], known)[1]
            return pb.ReadResponse(id=request.id, properties=struct({**found, **live}), inputs=struct(known))
        return pb.ReadResponse(
            id=request.id, properties=struct(refreshed(known, live)), inputs=struct(refreshed(inputs, live))
        )

    @_told
    def Delete(self, request: Any) -> Any:  # noqa: N802
        kind = self._cloud.applied.get(request.type)
        if kind is not None:
            kind.delete(request.id, plain(request.properties))
        return empty()

    @_told
    def Invoke(self, request: Any) -> Any:  # noqa: N802
        answer = self._cloud.functions.get(request.tok)
        if answer is None:
            known = ", ".join(sorted(self._cloud.functions))
            raise LookupError(
                f"the stand-in for {self._cloud.package} does not answer {request.tok}; it answers {known}"
            )
        return pb.InvokeResponse(**{"return": struct(answer(plain(request.args)))})


def serve(add: Callable[[Any], None]) -> tuple[Any, int]:
    """A gRPC server on a free port of loopback with the service that `add` gives to it, and the port."""
    options = [("grpc.max_receive_message_length", LARGEST), ("grpc.max_send_message_length", LARGEST)]
    server = grpc.server(futures.ThreadPoolExecutor(16), options=options)
    add(server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port

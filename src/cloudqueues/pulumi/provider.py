"""Resource provider over the engine's own protocol, in front of emulators.

It implements the gRPC service itself: pulumi.provider.experimental (3.272) can neither return unknown values in a preview
nor be attached to. `resources.Cloud` decides which types exist and how they are handled. proto/pulumi/provider.proto of
pulumi/pulumi
"""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Callable, Mapping
from concurrent import futures
from typing import Any

import grpc
from pulumi.runtime.proto import plugin_pb2, provider_pb2_grpc
from pulumi.runtime.proto import provider_pb2 as pb

from cloudqueues.pulumi import fake_outputs, rules, schema
from cloudqueues.pulumi.autonaming import Autonaming, with_name
from cloudqueues.pulumi.resources import Cloud, MissingInput, differences, refreshed, unknown_beyond
from cloudqueues.pulumi.wire import UNKNOWN, empty, plain, struct

LARGEST = 400 << 20
"""Largest message in bytes, as in the engine."""


def _with_readable_errors(method: Callable[..., Any]) -> Callable[..., Any]:
    """Report an exception to the user by its class and text, without a traceback."""

    @functools.wraps(method)
    def call(self: Any, request: Any, context: Any) -> Any:
        try:
            return method(self, request)
        except Exception as exc:  # noqa: BLE001 (of whichever client)
            context.abort(grpc.StatusCode.UNKNOWN, f"{type(exc).__name__}: {exc}")

    return call


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """Provider of one cloud. It declares that it accepts no secrets, so the engine unwraps them before each call."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._config: dict[str, str] = {}
        self._checked: dict[tuple[str, str], Mapping[str, Any]] = {}
        self.types: dict[str, str] = {}
        """Types that were asked for: applied, recorded or refused."""

    # -- configuration

    @_with_readable_errors
    def GetPluginInfo(self, request: Any) -> Any:  # noqa: N802, ARG002
        """Return the version of the SDK: the engine warns of an older provider."""
        return plugin_pb2.PluginInfo(version=importlib.metadata.version(f"pulumi-{self._cloud.package}"))

    @_with_readable_errors
    def Handshake(self, request: Any) -> Any:  # noqa: N802, ARG002
        """Return what this provider supports. An engine that knows of this method ignores the same flags of `Configure`."""
        return pb.ProviderHandshakeResponse(supports_autonaming_configuration=True)

    @_with_readable_errors
    def Attach(self, request: Any) -> Any:  # noqa: N802, ARG002
        return empty()

    @_with_readable_errors
    def Cancel(self, request: Any) -> Any:  # noqa: N802, ARG002
        return empty()

    @_with_readable_errors
    def CheckConfig(self, request: Any) -> Any:  # noqa: N802
        problems = self._cloud.config_problems(plain(request.news))
        return pb.CheckResponse(inputs=request.news, failures=_failures(problems))

    @_with_readable_errors
    def DiffConfig(self, request: Any) -> Any:  # noqa: N802, ARG002
        return pb.DiffResponse(changes=pb.DiffResponse.DIFF_NONE)

    @_with_readable_errors
    def Configure(self, request: Any) -> Any:  # noqa: N802
        """Keep the configuration. Several providers of a program share this server: the last value of a name is kept."""
        self._config |= {name.rpartition(":")[2]: value for name, value in request.variables.items()}
        return pb.ConfigureResponse(supportsPreview=True, supports_autonaming_configuration=True)

    # -- resources

    @_with_readable_errors
    def Check(self, request: Any) -> Any:  # noqa: N802
        refusal = self._cloud.refusal(request.type)
        self.types[request.type] = "refused" if refusal else self._cloud.how(request.type)
        if refusal:
            return pb.CheckResponse(inputs=request.news, failures=[pb.CheckFailure(reason=refusal)])
        try:
            news = self._completed(request)
        except MissingInput as exc:
            return pb.CheckResponse(inputs=request.news, failures=_failures([str(exc)]))
        self._checked[request.type, str(news.get(fake_outputs.name_property(request.type)))] = news
        with_parent = self._cloud.with_parent(request.type, news, self._checked)
        problems = schema.problems(request.type, news) or rules.problems(request.type, with_parent)
        return pb.CheckResponse(inputs=struct(news), failures=_failures(problems))

    def _completed(self, request: Any) -> Mapping[str, Any]:
        """Return the inputs with the provider's defaults and a physical name. Raises MissingInput."""
        inputs = self._cloud.with_defaults(request.type, plain(request.news), self._config)
        return with_name(
            request.type, request.name, request.randomSeed, inputs, plain(request.olds), _autonaming(request)
        )

    @_with_readable_errors
    def Diff(self, request: Any) -> Any:  # noqa: N802
        replaces = self._cloud.replaces(request.type)
        changes = differences(plain(request.old_inputs), plain(request.news), replaces, request.ignoreChanges)
        kinds = {name: pb.PropertyDiff(kind=pb.PropertyDiff.Kind.Value(kind)) for name, kind in changes.items()}
        return pb.DiffResponse(
            changes=pb.DiffResponse.DIFF_SOME if changes else pb.DiffResponse.DIFF_NONE,
            diffs=list(changes),
            replaces=[name for name, kind in changes.items() if kind.endswith("_REPLACE")],
            detailedDiff=kinds,
            hasDetailedDiff=True,
        )

    @_with_readable_errors
    def Create(self, request: Any) -> Any:  # noqa: N802
        inputs = plain(request.properties)
        id_, state = fake_outputs.state(request.type, request.name, inputs)
        if request.preview:
            unknown = dict.fromkeys(set(schema.outputs(request.type)) - {"id", "urn"}, UNKNOWN)
            return pb.CreateResponse(properties=struct({**unknown, **unknown_beyond(inputs, state)}))
        if handler := self._cloud.applied.get(request.type):
            id_, outputs = handler.create(inputs)
            state = {**state, **outputs, **inputs}
        return pb.CreateResponse(id=id_, properties=struct(state))

    @_with_readable_errors
    def Update(self, request: Any) -> Any:  # noqa: N802
        olds, news = plain(request.olds), plain(request.news)
        handler = self._cloud.applied.get(request.type)
        if handler is None:
            state = fake_outputs.state(request.type, request.name, news)[1]
        else:
            kept = {name: value for name, value in olds.items() if name not in plain(request.old_inputs)}
            changed = {} if request.preview else handler.update(request.id, olds, news)
            state = {**kept, **changed, **news}
        return pb.UpdateResponse(properties=struct(state))

    @_with_readable_errors
    def Read(self, request: Any) -> Any:  # noqa: N802
        """Read for `refresh`, or for a lookup by a program, which has nothing but the id."""
        state, inputs = plain(request.properties), plain(request.inputs)
        if refusal := self._cloud.refusal(request.type):
            raise LookupError(refusal)
        handler = self._cloud.applied.get(request.type)
        live = {} if handler is None else handler.read(request.id, state)
        if live is None:
            return pb.ReadResponse(id="")
        if not inputs:
            outputs = fake_outputs.state(request.type, request.id.rsplit("/", 1)[-1], state)[1]
            return pb.ReadResponse(id=request.id, properties=struct({**outputs, **live}), inputs=struct(state))
        return pb.ReadResponse(
            id=request.id, properties=struct(refreshed(state, live)), inputs=struct(refreshed(inputs, live))
        )

    @_with_readable_errors
    def Delete(self, request: Any) -> Any:  # noqa: N802
        handler = self._cloud.applied.get(request.type)
        if handler is not None:
            handler.delete(request.id, plain(request.properties))
        return empty()

    @_with_readable_errors
    def Invoke(self, request: Any) -> Any:  # noqa: N802
        function = self._cloud.functions.get(request.tok)
        if function is None:
            answered = ", ".join(sorted(self._cloud.functions))
            raise LookupError(
                f"the stand-in for {self._cloud.package} does not answer {request.tok}; it answers {answered}"
            )
        return pb.InvokeResponse(**{"return": struct(function(plain(request.args)))})


def _failures(problems: Any) -> list[Any]:
    return [pb.CheckFailure(property=text.partition(":")[0], reason=text) for text in problems]


def _autonaming(request: Any) -> Autonaming | None:
    if not request.HasField("autonaming"):
        return None
    mode = pb.CheckRequest.AutonamingOptions.Mode.Name(request.autonaming.mode)
    return Autonaming(mode=mode, proposed_name=request.autonaming.proposed_name)


def serve(add: Callable[[Any], None]) -> tuple[Any, int]:
    """Start a gRPC server on a free loopback port with the service that `add` registers; return the server and the port."""
    options = [("grpc.max_receive_message_length", LARGEST), ("grpc.max_send_message_length", LARGEST)]
    server = grpc.server(futures.ThreadPoolExecutor(16), options=options)
    add(server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port

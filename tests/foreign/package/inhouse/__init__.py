"""A platform and a store that peeklock has never heard of."""

from peeklock.platform_registry import DevSupport, Platform

SPOOL = Platform(
    name="spool",
    module="inhouse.spool",
    senders={"spool": "inhouse.spool:from_url"},
    parameters=("mode",),
    span="inhouse.spool:span",
    dev=DevSupport(runner="inhouse.local:PipeRunner"),
)

"""A platform and a store that peeklock has never heard of."""

from peeklock.platform_registry import Platform

SPOOL = Platform(
    name="spool", module="inhouse.spool", senders={"spool": "inhouse.spool:from_url"}, parameters=("mode",)
)

"""Store in one DynamoDB table: a conditional write for each change, concurrently, or up to 100 in a transaction."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from peeklock.errors import ConfigError
from peeklock.idempotency.store import Answer, Change
from peeklock.redaction import shown
from peeklock.stores.dynamodb_client import check, client
from peeklock.stores.dynamodb_table import Table
from peeklock.stores.parallel import swap_in_parallel

_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html


class DynamoStore:
    """Compares and swaps in a table.

    - `transact`: use transactions, at twice the price and with a fraction of the round trips. A single change is a plain
      write all the same.
    - `dynamodb`: a boto3 client; by default, the process's own.
    """

    def __init__(self, table: str, *, transact: bool = False, dynamodb: Any = None) -> None:
        self.table = Table(table, dynamodb)
        self.transact = transact

    def swap(self, changes: Sequence[Change], /) -> Sequence[Answer]:
        if not self.transact or len(changes) < 2:  # noqa: PLR2004 - a plain write costs half of a transaction
            return swap_in_parallel(self.table.write, changes)
        from peeklock.stores.dynamodb_transactions import transact

        return transact(self.table, changes)


def from_url(url: str) -> DynamoStore:
    """Return the store of `dynamodb://orders-leases`, or of `dynamodb://orders-leases?writes=transact`. Raises ConfigError for
    anything else."""
    parts = urlsplit(url)
    if parts.query not in ("", "writes=transact"):
        raise ConfigError(f"{shown(url)!r}: the only parameter is ?writes=transact, which writes by transactions")
    if not _TABLE.fullmatch(parts.netloc) or parts.path.strip("/"):
        raise ConfigError(f"{shown(url)!r} names no DynamoDB table, such as dynamodb://orders-leases")
    check()
    return DynamoStore(parts.netloc, transact=bool(parts.query))


__all__ = ["DynamoStore", "client", "from_url"]

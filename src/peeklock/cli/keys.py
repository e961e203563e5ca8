"""`peeklock keys`: show the record that a store holds of a key, or remove it."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from peeklock.cli.record_view import RecordView, facts, moment, print_view
from peeklock.errors import ConfigError, StoreError
from peeklock.idempotency.record import Record, State
from peeklock.idempotency.store import Answer, Change, Store
from peeklock.message import is_text
from peeklock.queue import Queue
from peeklock.redaction import shown
from peeklock.registry import open_store

HELP = "show what a store holds of a key, or forget it"

FORM = """\
KEY is the name of a record in the store:
  orders/order-7     the queue's declared name, a slash, the business key: of a consumer with key=
  orders#059f36b4    the queue's declared name, a number sign, the message's id (message_id in the logs): of a consumer
                     without key=, and of any message whose body was invalid
  orders@mail/order-7  of the subscription `mail` of a Pub/Sub topic; orders@placed:mail/order-7 of the subscription `mail`
                     of the topic `placed` of Service Bus
"""

SHOW = f"""\
{FORM}
Looking costs one conditional write, which never succeeds: a store has no other operation. Times are compared with this
machine's clock.

examples:
  peeklock keys show orders/order-7 --store dynamodb://orders-leases
  peeklock keys show orders#059f36b4 --json | jq .state

exit codes:
  0  there is a record
  1  there is none, or one that has expired and counts as none
  2  the store does not answer, or KEY names no record
"""

FORGET = f"""\
{FORM}
The record and the consequences are shown, and you are asked. A record that a process holds is never removed, since that
would allow two runs at once; nor is a record that changes while you read.

examples:
  peeklock keys forget orders/order-7
  peeklock keys forget orders/order-7 --yes --json

exit codes:
  0  it is forgotten
  1  it is not: no record, a process holds it, it has changed meanwhile, or the answer was no
  2  the store does not answer, KEY names no record, or there is no terminal to ask on and no --yes
"""

LOSSES = {
    State.RUNNING: "the run that did not come back is no longer counted",
    State.DELAYING: "the message and its delayed copy may both run",
    State.DELAYED: "an older delivery of the message would run beside its copy",
    State.DEAD_LETTERING: "its dead letter may not be published",
    State.DEAD_LETTERED: "its verdict is lost; a redriven dead letter runs without being forgotten first",
}

SAID = {
    "": "forgotten: its next delivery is the first",
    "absent": "nothing to forget",
    "held": "not forgotten: a process may be at work on it, and a second run would begin beside it; try again after {}",
    "refused": "not forgotten",
    "changed": "not forgotten: it has changed since it was shown, and is now:\n",
}
"""Why a key was not forgotten; `held` has a time in it."""


def add_to(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser("keys", help=HELP, description=HELP)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    shown = "show what a store holds of a key, and what the next delivery will do"
    _action(actions, "show", shown, SHOW).set_defaults(run=show)
    forgotten = "remove the record of a key, so that its next delivery is the first"
    action = _action(actions, "forget", forgotten, FORGET)
    action.add_argument("--yes", action="store_true", help="do not ask")
    action.set_defaults(run=forget)


def _action(actions: Any, name: str, text: str, epilog: str) -> argparse.ArgumentParser:
    action: argparse.ArgumentParser = actions.add_parser(
        name, help=text, description=text, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    action.add_argument("key", metavar="KEY", help="queue/business-key or queue#message-id, see below")
    action.add_argument("--store", metavar="URL", help="default: $PEEKLOCK_STORE")
    action.add_argument("--json", action="store_true", help="one JSON object")
    return action


def show(options: argparse.Namespace) -> int:
    """Print the record, and return the exit code."""
    view = look(_store(options.store), _key(options.key))
    if options.json:
        _print(facts(view))
    else:
        print_view(view)
    return int(view.live is None)


def forget(options: argparse.Namespace) -> int:
    """Remove the record that was shown, once the user has agreed, and return the exit code."""
    store, key = _store(options.store), _key(options.key)
    if not options.yes and not sys.stdin.isatty():
        raise ConfigError(
            "forgetting asks first, and there is no terminal to ask on: look with `peeklock keys show`, then add --yes"
        )
    view = look(store, key)
    if not options.json:
        print_view(view)
    why, latest = _forget(store, view, asks=not options.yes)
    if options.json:
        _print({**facts(latest), "forgotten": not why, "why": why or None})
    else:
        print("\n" + SAID[why].format(moment(view.record.lease_until) if view.record else ""))
        if why == "changed":
            print_view(latest)
    return int(bool(why))


def _forget(store: Store, view: RecordView, *, asks: bool) -> tuple[str, RecordView]:
    """Return why a record was not forgotten (empty where it was), and the record as it was seen last."""
    record = view.live
    if record is None:
        return "absent", view
    if view.held:
        return "held", view
    if asks and not _agreed(record):
        return "refused", view
    try:
        answer = _swap(store, Change(key=view.key, expected=record.version, record=None))
    except StoreError as exc:
        raise StoreError(f"{exc}; whether it is forgotten is not known: `peeklock keys show` shows it") from exc
    if answer.won:
        return "", view
    return "changed", RecordView(key=view.key, record=answer.record, now=datetime.now(UTC))


def _agreed(record: Record) -> bool:
    what = ["a delivery of this key runs the handler again; its effect may happen twice"]
    if record.attempts:
        what.append("its attempts are counted from 1 again")
    if record.result:
        what.append("the result that was kept for duplicates is lost")
    if record.state in LOSSES:
        what.append(LOSSES[record.state])
    sys.stdout.flush()
    print("\nif it is forgotten:", *what, sep="\n- ", file=sys.stderr)
    print("forget it? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _key(text: str) -> str:
    """Return the key. Raises ConfigError, which shows the form, for a text that names no record."""
    parts = re.fullmatch(r"([^/#@]+)(?:@[^/#]+)?[/#].+", text, re.DOTALL)
    if parts is None or not is_text(text):
        raise ConfigError(f"KEY {text!r} names no record\n\n{FORM.rstrip()}")
    Queue(parts[1])  # no queue has another name
    return text


def _store(option: str | None) -> Store:
    url = option or os.environ.get("PEEKLOCK_STORE")
    if not url:
        raise ConfigError("no store: pass --store URL, or set PEEKLOCK_STORE, as the function's environment has it")
    scheme = url.partition(":")[0].lower()
    if scheme == "memory":
        raise ConfigError(
            f"{shown(url)!r} is the memory of the process that runs the handler: no other can look into it"
        )
    if scheme == "sqlite":
        _check_file(url)
    return open_store(url)


def _check_file(url: str) -> None:
    """Raise ConfigError for a missing file: SQLite would create it, and then report no record."""
    from peeklock.stores.sqlite import from_url

    path = from_url(url).path
    if not Path(path).is_file():
        raise ConfigError(f"{shown(url)!r}: there is no file {path}; an absolute path has a third slash")


def look(store: Store, key: str) -> RecordView:
    return RecordView(key=key, record=read(store, key), now=datetime.now(UTC))


def read(store: Store, key: str) -> Record | None:
    """Return the record of a key. A store can only swap, so this is a swap that changes nothing: no record has the version
    -1, so none is removed, and removing a missing record succeeds. It costs one conditional write. Raises StoreError."""
    return _swap(store, Change(key=key, expected=-1, record=None)).record


def _swap(store: Store, change: Change) -> Answer:
    try:
        (answer,) = store.swap([change])
    except StoreError:
        raise
    except Exception as exc:  # any failure of a store means the same: unknown whether it was made
        raise StoreError(f"{type(exc).__name__}: {exc}") from exc
    if answer.error is not None:
        raise answer.error
    return answer


def _print(line: dict[str, Any]) -> None:
    print(json.dumps(line, ensure_ascii=True))

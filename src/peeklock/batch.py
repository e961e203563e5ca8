"""The argument of a batch handler: `def store(rows: Batch[Row]) -> Mapping[str, Exception] | None`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar, overload

from peeklock.message import Message

T = TypeVar("T")


class Batch(Sequence[T], Generic[T]):
    """Payloads of all messages that may run now, in the order of their arrival.

    The handler returns `{message id: exception}` for the messages that failed, or None if there are none;
    `batch.messages[n].id` is the id of `batch[n]`. If it raises, all messages fail with that exception. A batch holds at
    most one message of a group, because the next one has to wait until this one is completed.
    """

    __slots__ = ("messages", "payloads")

    def __init__(self, payloads: Sequence[T], messages: Sequence[Message]) -> None:
        self.payloads = tuple(payloads)
        self.messages = tuple(messages)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        return self.payloads[index]

    def __len__(self) -> int:
        return len(self.payloads)

    def __iter__(self) -> Iterator[T]:
        return iter(self.payloads)

    def pairs(self) -> Iterator[tuple[Message, T]]:
        """Iterate over the messages, each with its payload."""
        return zip(self.messages, self.payloads, strict=True)

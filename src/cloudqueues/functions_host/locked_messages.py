"""Messages that the host holds under their locks; the host or the function's own actions settle them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from cloudqueues.functions_host.history import Settlement


class MessageReceiver:
    """Receiver of the SDK, used for one operation at a time: the SDK does not promise more."""

    def __init__(self, sdk_receiver: Any, *, session: bool) -> None:
        self._sdk_receiver = sdk_receiver
        self.release = False
        """True once a function has released the session."""
        self._session = session
        self._one_at_a_time = asyncio.Lock()

    @property
    def session(self) -> Any:
        """Session of the SDK, with its lock and its state; None without sessions."""
        return self._sdk_receiver.session if self._session else None

    async def open(self) -> None:
        """Connect, and wait for a free session where there are sessions. Raises the SDK's errors."""
        async with self._one_at_a_time:
            await self._sdk_receiver.__aenter__()

    async def receive(self, most: int, wait: float) -> list[Any]:
        async with self._one_at_a_time:
            received: list[Any] = await self._sdk_receiver.receive_messages(max_message_count=most, max_wait_time=wait)
            return received

    async def settle(self, method: str, message: Any, **how: Any) -> None:
        async with self._one_at_a_time:
            await getattr(self._sdk_receiver, method)(message, **how)

    async def renew(self, message: Any) -> None:
        """Renew the lock of the message, or of the session where there is one."""
        async with self._one_at_a_time:
            if self._session:
                await self.session.renew_lock()
            else:
                await self._sdk_receiver.renew_message_lock(message)

    async def get_state(self) -> bytes:
        async with self._one_at_a_time:
            state: bytes | None = await self.session.get_state()
            return state or b""

    async def set_state(self, state: bytes) -> None:
        async with self._one_at_a_time:
            await self.session.set_state(state)

    async def close(self) -> None:
        async with self._one_at_a_time:
            await self._sdk_receiver.close()


class LockedMessage:
    """Message under its lock, and how it was settled."""

    def __init__(self, message: Any, receiver: MessageReceiver) -> None:
        self.message = message
        self.receiver = receiver
        self.settlement: Settlement = "none"

    @property
    def token(self) -> str:
        return str(self.message.lock_token)

    @property
    def body(self) -> bytes:
        body = self.message.body
        if isinstance(body, bytes):
            return body
        return b"".join(body) if self.message.body_type.value == "data" else str(self.message).encode()

    async def complete(self) -> None:
        """Complete the message. This and the other settlements raise the SDK's errors, and settle nothing then."""
        await self.receiver.settle("complete_message", self.message)
        self.settlement = "completed"

    async def abandon(self) -> None:
        await self.receiver.settle("abandon_message", self.message)
        self.settlement = "abandoned"

    async def defer(self) -> None:
        await self.receiver.settle("defer_message", self.message)
        self.settlement = "deferred"

    async def dead_letter(self, reason: str | None, description: str | None) -> None:
        await self.receiver.settle("dead_letter_message", self.message, reason=reason, error_description=description)
        self.settlement = "dead-lettered"

    async def renew(self) -> None:
        await self.receiver.renew(self.message)


class LockRegistry:
    """Locks of the running invocations: messages by their lock tokens, sessions by their names."""

    def __init__(self) -> None:
        self._messages: dict[str, LockedMessage] = {}
        self._sessions: dict[str, MessageReceiver] = {}

    def add(self, locked_messages: Mapping[str, LockedMessage]) -> None:
        self._messages.update(locked_messages)
        for locked_message in locked_messages.values():
            if locked_message.receiver.session is not None:
                self._sessions[locked_message.receiver.session.session_id] = locked_message.receiver

    def remove(self, locked_messages: Mapping[str, LockedMessage]) -> None:
        for token, locked_message in locked_messages.items():
            self._messages.pop(token, None)
            if locked_message.receiver.session is not None:
                self._sessions.pop(locked_message.receiver.session.session_id, None)

    def message(self, token: str) -> LockedMessage | None:
        return self._messages.get(token)

    def session(self, name: str) -> MessageReceiver | None:
        return self._sessions.get(name)

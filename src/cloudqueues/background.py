"""An event loop in a thread of its own, and the start and stop of the emulators that run in one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Self, TypeVar

from cloudqueues.errors import ConfigError

T = TypeVar("T")


class Background:
    """Event loop in a thread, for tests and programs that run none. It runs until `close`."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.run_until_complete(_cancel_all())
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop, and return its result to the calling thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function in the loop's thread, and return its result to the calling thread.

        It may be called from the loop's thread too, as when a condition that is awaited there reads the emulator's state.
        """
        if threading.current_thread() is self._thread:
            return function(*arguments)

        async def work() -> T:
            return function(*arguments)

        return self.run(work())

    def close(self) -> None:
        """Cancel the tasks that still run, and end the thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()


class BackgroundEmulator:
    """Start and stop of an emulator that runs in an event loop of its own, from `start` to `stop` or within a `with`.

    Subclasses define `name`, `_open` and `_close`. `_close` also runs after an `_open` that failed halfway.
    """

    name: ClassVar[str]
    """Name in error messages, such as `Service Bus emulator`."""
    _background: Background | None = None

    def start(self) -> Self:
        """Start to serve; do nothing when it runs already. Errors of `_open` leave no thread and no port behind."""
        if self._background is None:
            self._background = Background(f"cloudqueues-{self.name.lower().replace(' ', '-')}")
            try:
                self._open(self._background)
            except BaseException:
                self.stop()
                raise
        return self

    def stop(self) -> None:
        """Stop serving; do nothing when it is stopped already."""
        background, self._background = self._background, None
        if background is not None:
            try:
                self._close(background)
            finally:
                background.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _open(self, background: Background) -> None:
        raise NotImplementedError

    def _close(self, background: Background) -> None:
        raise NotImplementedError

    def _loop(self) -> Background:
        """Return the running loop. Raises ConfigError before `start` and after `stop`."""
        if self._background is None:
            raise ConfigError(f"the {self.name} is not running: start() it, or use it in a with statement")
        return self._background


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

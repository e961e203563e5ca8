"""The `consumer` decorator, and the declaration that it attaches to a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from peeklock.batch import Batch
from peeklock.consuming.decoding import Decode, decoder
from peeklock.consuming.decoding import runs_code as validator_runs_code
from peeklock.consuming.handler import Handler, OnError
from peeklock.consuming.hook_checks import check_hook, checked
from peeklock.consuming.keys import keyed_by_function, keyed_by_path
from peeklock.consuming.keys import runs_code as key_runs_code
from peeklock.consuming.results import Results, results_of
from peeklock.errors import ConfigError, InvalidMessage, Retry
from peeklock.keywords import check_flags, strict
from peeklock.message import Message
from peeklock.queue import Queue

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__peeklock_consumer__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """Arguments of `consumer`."""

    queue: Queue
    key: str | Callable[[Any], Any] | None
    check_body: bool
    keep_result: bool
    decode: Callable[[bytes], Any] | None
    fatal: tuple[type[BaseException], ...]
    on_error: OnError | None


@strict()
def consumer(
    queue: Queue,
    *,
    key: str | Callable[[Any], Any] | None = None,
    check_body: bool = False,
    keep_result: bool = False,
    decode: Callable[[bytes], Any] | None = None,
    fatal: tuple[type[BaseException], ...] = (),
    on_error: OnError | None = None,
) -> Callable[[F], F]:
    """Declare a function, or a callable instance, as the consumer of `queue`. Returns it unchanged.

    - `key`: the field of the payload (a dotted path for a nested one), or a function of the payload, whose value
      identifies a piece of work: two messages with the same key are duplicates. Needs a store. The default is the id of
      the message, not its body, because two equal bodies may be two orders. The value has to be a str, int, UUID,
      Decimal, date, aware datetime, or an Enum of str or int. Binding is refused for types without a canonical text,
      such as float, and for a field with a default other than None, which unrelated messages would share.
    - `check_body`: dead-letter a message as `invalid` if its key was used with another body, instead of completing it as
      a duplicate. JSON bodies are compared by their content, with exact numbers, and an object with a repeated name is
      `invalid`; other bodies are compared byte by byte. Only a hash is stored.
    - `keep_result`: keep the return value in the record, so that the `Outcome` of a duplicate has it in `result`. It is
      stored as JSON according to the return annotation. A value of more than 24 KiB, or one that cannot be read back
      unchanged, is not kept, and a warning is logged.
    - `decode`: a function from the body's bytes to the payload, used instead of the parameter's annotation. Any
      exception makes the message `invalid`, with these exceptions: an OSError (including ConnectionError and
      TimeoutError), a `Retry` and a `DeadLetter` count as if the handler had raised them, so that `decode` may fetch the
      payload from elsewhere. Translate the errors of an SDK with `raise Retry(...) from exc`. The same applies to
      functions given as `key` or `unwrap`. All of these, and the validators of the payload's type, share the time-out of
      the handler.
    - `fatal`: exception classes that no later attempt can avoid. `InvalidMessage` is always one of them.
    - `on_error`: a function called with any other exception. It returns a `Retry`, a `DeadLetter`, or None for the usual
      retry.

    The declaration is validated when it is bound to a platform. Errors are ConfigError, and name the fix.
    """
    if not isinstance(queue, Queue):
        raise ConfigError(f"consumer() takes the Queue first: @consumer(ORDERS), not {queue!r}")
    check_flags("consumer()", check_body=check_body, keep_result=keep_result)
    declared = Declaration(
        queue=queue,
        key=key,
        check_body=check_body,
        keep_result=keep_result,
        decode=decode,
        fatal=(*_fatal(fatal), InvalidMessage),
        on_error=on_error,
    )

    def mark(function: F) -> F:
        _check_target(function, queue)
        try:
            setattr(function, _MARK, declared)
        except AttributeError as exc:  # such as a bound method
            raise ConfigError(
                f"{function!r} cannot be marked as a consumer; give a function or an instance with __call__"
            ) from exc
        return function

    return mark


def _check_target(function: object, queue: Queue) -> None:
    if isinstance(function, (staticmethod, classmethod)):
        kind = type(function).__name__
        raise ConfigError(
            f"@consumer(...) is above @{kind}, which hides it: write @{kind} first, and @consumer beneath it"
        )
    declared = getattr(function, "__dict__", {}).get(_MARK)
    if isinstance(declared, Declaration) and declared.queue != queue:
        name = getattr(function, "__qualname__", type(function).__qualname__)
        raise ConfigError(
            f"{name} is the consumer of queue {declared.queue.name!r} already; declare another function for"
            f" {queue.name!r} that calls it"
        )


def _fatal(fatal: object) -> tuple[type[BaseException], ...]:
    classes: tuple[Any, ...] = fatal if isinstance(fatal, tuple) else (fatal,)
    for kind in classes:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise ConfigError(f"fatal={fatal!r}: give a tuple of exception classes, such as fatal=(CardDeclined,)")
        if issubclass(kind, Retry):
            raise ConfigError(f"fatal={fatal!r}: {kind.__name__} asks for another attempt; leave it out")
    return classes


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """A declaration with its type hints resolved."""

    name: str
    declared: Declaration
    handler: Handler
    decode: Decode
    key: Callable[[Any], str] | None
    has_hooks: bool
    """True if reading a message calls user code, including validators of the payload's type."""
    results: Results | None
    on_error: OnError | None

    @property
    def queue(self) -> Queue:
        return self.declared.queue


def declaration(function: object) -> Declaration:
    """Return the declaration of a function. Raises ConfigError if it is not decorated with `consumer`."""
    declared = getattr(function, _MARK, None)
    if not isinstance(declared, Declaration):
        name = getattr(function, "__name__", repr(function))
        raise ConfigError(f"{name} is not a consumer: decorate it with @consumer(QUEUE)")
    return declared


def resolve(function: Callable[..., Any]) -> Consumer:
    """Resolve the declaration of a function against its signature. Raises ConfigError, which names the fix."""
    declared = declaration(function)
    name = getattr(function, "__qualname__", type(function).__qualname__)
    key = declared.key
    if key is not None and not isinstance(key, str) and not callable(key):
        raise ConfigError(f"{name}: key={key!r}: give the name of a field, or a function of the payload")
    for option, hook in (
        ("decode", declared.decode),
        ("on_error", declared.on_error),
        ("key", key if callable(key) else None),
    ):
        check_hook(hook, f"{name}: {option}=")
    target = function if inspect.isroutine(function) else type(function).__call__
    if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
        raise ConfigError(f"{name}: a consumer cannot be a generator, which would never run; return instead of yield")
    hints = _hints(target, name)
    parameters = _parameters(function, hints, name)
    payload = parameters[0]
    wants_message = len(parameters) > 1 and _is_message(parameters, hints, name)
    hint = hints.get(payload, None)
    batch = hint is Batch or get_origin(hint) is Batch
    if batch and wants_message:
        raise ConfigError(f"{name}: a batch handler takes the Batch alone; its messages are in batch.messages")
    inner = (get_args(hint) or (None,))[0] if batch else hint
    decode = _decode(declared, inner, f"{name}: parameter {payload!r}")
    return Consumer(
        name=name,
        declared=declared,
        handler=Handler(call=function, wants_message=wants_message, batch=batch, is_async=_is_async(function, target)),
        decode=decode,
        key=_key(declared, inner, name),
        has_hooks=_has_hooks(declared, decode, inner),
        results=_results(declared, hints, name, batch=batch),
        on_error=None if declared.on_error is None else checked(declared.on_error),
    )


def _is_async(function: Callable[..., Any], target: Any) -> bool:
    """Also look at the function itself, because the `__call__` of a `functools.partial` does not tell."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(target)


def _hints(target: Any, name: str) -> dict[str, Any]:
    try:
        return get_type_hints(target, include_extras=True)
    except Exception as exc:
        raise ConfigError(
            f"{name}: its annotations cannot be resolved ({exc}); import the types at module level"
        ) from exc


def _parameters(function: Callable[..., Any], hints: dict[str, Any], name: str) -> list[str]:
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    declared = list(inspect.signature(function).parameters.values())
    taken = [p for p in declared if p.kind in positional and (p.default is p.empty or p.annotation is not p.empty)]
    required = [p for p in declared if p.default is p.empty and p.kind in (*positional, inspect.Parameter.KEYWORD_ONLY)]
    if not taken or len(required) > 2 or any(p.kind is inspect.Parameter.KEYWORD_ONLY for p in required):  # noqa: PLR2004 - payload and message
        raise ConfigError(f"{name}: a consumer takes the payload and, optionally, `message: Message`; nothing else")
    for p in declared:
        if p not in taken[:2] and _holds_message(hints.get(p.name)):
            raise ConfigError(
                f"{name}: make `{p.name}: Message` the second parameter; it cannot be passed in another place"
            )
    asked = [p.name for p in taken[1:2] if _holds_message(hints.get(p.name))]
    return [taken[0].name, *asked] if asked else [p.name for p in taken[: max(len(required), 1)]]


def _holds_message(hint: Any) -> bool:
    return hint is Message or Message in get_args(hint)


def _is_message(parameters: list[str], hints: dict[str, Any], name: str) -> bool:
    if not _holds_message(hints.get(parameters[1])):
        raise ConfigError(f"{name}: annotate the second parameter as `{parameters[1]}: Message`, or remove it")
    return True


def _decode(declared: Declaration, hint: Any, where: str) -> Decode:
    custom = declared.decode
    if custom is not None:
        return lambda message: custom(message.body)
    if hint is None:
        raise ConfigError(
            f"{where} has no annotation; annotate it with the type of the payload, such as `order: Order`, or pass decode="
        )
    return decoder(hint, where)


def _has_hooks(declared: Declaration, decode: Decode, hint: Any) -> bool:
    if declared.decode is not None or callable(declared.key) or validator_runs_code(decode):
        return True
    return isinstance(declared.key, str) and key_runs_code(declared.key, hint)


def _results(declared: Declaration, hints: dict[str, Any], name: str, *, batch: bool) -> Results | None:
    if not declared.keep_result:
        return None
    if batch:
        raise ConfigError(
            f"{name}: keep_result=True, but a batch handler returns its failures; take one message at a time"
        )
    if hints.get("return", NoneType) is NoneType:
        raise ConfigError(
            f"{name}: keep_result=True, but it is not annotated to return anything: `-> Receipt`, or dict"
        )
    return results_of(hints["return"], name)


def _key(declared: Declaration, hint: Any, name: str) -> Callable[[Any], str] | None:
    key = declared.key
    if key is None and declared.check_body:
        raise ConfigError(f"{name}: check_body=True compares bodies that share a key; say which with key=")
    if key is None:
        return None
    return keyed_by_function(key, name) if callable(key) else keyed_by_path(key, hint, name)

"""Index by name: ordered, and as cheap to list from any name however many there are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudqueues import ordered
from cloudqueues.cloudtasks.dispatch import Dispatcher
from cloudqueues.cloudtasks.name_index import NameIndex
from cloudqueues.cloudtasks.sdk import new
from cloudqueues.cloudtasks.service import Service
from cloudqueues.cloudtasks.state import State, StoredQueue, StoredTask
from tests.emulators.cloudtasks.support import HERE

MANY = 100_000
QUEUE = f"{HERE}/queues/q"


@given(st.lists(st.tuples(st.booleans(), st.text("abc", max_size=3)), max_size=60), st.text("abc", max_size=3))
def test_it_is_a_sorted_dict(steps: list[tuple[bool, str]], start: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ordered, "CHUNK", 4)
        names, model = NameIndex[int](), dict[str, int]()
        for number, (wanted, name) in enumerate(steps):
            if wanted and name not in model:
                names.add(name, number)
                model[name] = number
            elif not wanted and name in model:
                assert names.pop(name) == model.pop(name)
        assert (list(names), len(names), names.values()) == (list(model), len(model), list(model.values()))
        assert list(names.after(start)) == [model[name] for name in sorted(model) if name > start]
        assert all(0 < len(shelf) <= 4 for shelf in names._order._chunks)


def test_what_is_cleared_is_gone() -> None:
    names = NameIndex[int]()
    names.add("a", 1)
    names.clear()
    assert (list(names.after("")), "a" in names, names.get("a")) == ([], False, None)


class Counted(str):
    """Name that counts how often names are compared."""

    __slots__ = ()
    compared = 0

    def __lt__(self, other: str) -> bool:
        Counted.compared += 1
        return str.__lt__(self, other)

    def __gt__(self, other: str) -> bool:
        Counted.compared += 1
        return str.__gt__(self, other)


class Touched:
    """Stand-in for a queue or a task that counts how often one is read."""

    touched = 0

    def __init__(self, message: Any) -> None:
        self._message = message

    @property
    def name(self) -> str:
        return str(self.message.name)

    @property
    def message(self) -> Any:
        Touched.touched += 1
        return self._message


def cost(service: Service, method: str, **request: Any) -> tuple[int, int]:
    """Return how many names are compared and messages read for the second page, in the middle of all."""
    kind = {"list_tasks": "ListTasksRequest", "list_queues": "ListQueuesRequest"}[method]
    token = getattr(service, method)(new(kind, page_size=10, **request)).next_page_token
    Counted.compared = Touched.touched = 0
    getattr(service, method)(new(kind, page_size=10, page_token=token, **request))
    return Counted.compared, Touched.touched


def service_with(count: int) -> Service:
    """Return a service with so many queues, one of which has as many tasks."""
    state = State(lambda: 0.0)
    line = StoredQueue(new("Queue", name=QUEUE), 0.0)
    state.queues.add(QUEUE, line)
    middle = f"{count // 2:06}"
    task, queue = Touched(new("Task", name=f"{QUEUE}/tasks/{middle}")), Touched(new("Queue", name=f"{QUEUE}-{middle}"))
    line.tasks, state.queues = NameIndex[StoredTask](), NameIndex[StoredQueue]()
    state.queues.add(QUEUE, line)
    for number in range(count):
        line.tasks.add(Counted(f"{QUEUE}/tasks/{number:06}"), task)  # type: ignore[arg-type] # stands for one
        state.queues.add(Counted(f"{QUEUE}-{number:06}"), queue)  # type: ignore[arg-type] # as above
    return Service(state, Dispatcher(None, lambda *_: "", lambda: None), lambda: 0.0)  # type: ignore[arg-type] # none is used


def test_a_page_costs_the_same_in_a_long_queue() -> None:
    few, many = service_with(1000), service_with(MANY)
    for method, parent in (("list_tasks", QUEUE), ("list_queues", HERE)):
        compared, touched = cost(many, method, parent=parent)
        assert touched == cost(few, method, parent=parent)[1] <= 50
        assert compared <= 50  # by halves

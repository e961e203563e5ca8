"""The contract suites as a user runs them: in a project of its own, over a store and a sender that peeklock does not know."""

from __future__ import annotations

import subprocess
import sys

import pytest

import peeklock.testing
from peeklock.errors import StoreError
from peeklock.idempotency.store import Answer
from peeklock.testing import MemoryStore, Outbox, SenderContract
from peeklock.testing.contracts.store import swap_many_keys

LEDGER = """
import pytest
from peeklock.stores.record_json import dump, load
from peeklock.testing import MemoryStore, Outbox, SenderContract, StoreContract

class TestLedger(StoreContract):
    @pytest.fixture
    def store(self):
        return STORE()

class TestSpool(SenderContract):
    @pytest.fixture
    def sender(self):
        return SENDER()

    def arrived(self, sender):
        return sender.outgoing_messages

class Forgetful(MemoryStore):
    def swap(self, changes):
        answers = super().swap(changes)
        self.records.clear()
        return answers

class Fragile(MemoryStore):
    def swap(self, changes):
        for change in changes:
            if change.key in self.records:
                load(dump(self.records[change.key]))
        return super().swap(changes)

class Lossy(Outbox):
    def send(self, outgoing_messages):
        return super().send(outgoing_messages[:1]) + [None] * (len(outgoing_messages) - 1)
"""


def run(folder, text: str) -> str:
    (folder / "test_mine.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=100, cwd=folder).stdout


def test_a_subclass_is_a_whole_suite(tmp_path):
    """It passes for a store and a sender that keep the contract."""
    out = run(tmp_path, LEDGER.replace("STORE", "MemoryStore").replace("SENDER", "Outbox"))
    assert " passed" in out, out
    assert "failed" not in out, out
    assert "error" not in out, out


def test_a_broken_store_and_a_broken_sender_fail(tmp_path):
    """The asserts show both sides, as in the user's own tests."""
    out = run(tmp_path, LEDGER.replace("STORE", "Forgetful").replace("SENDER", "Lossy"))
    assert "assert (True, None) == (False," in out
    assert "FAILED test_mine.py::TestLedger::test_sixty_four_claimants_and_one_winner" in out
    assert "FAILED test_mine.py::TestSpool::test_each_message_is_answered_for" in out
    assert "FAILED test_mine.py::TestSpool::test_many_threads_lose_nothing" in out


def test_a_store_that_fails_a_whole_call_for_one_record(tmp_path):
    """One key of a newer release must not stop all other keys of a batch. (stranger 2, papercut 5)"""
    out = run(tmp_path, LEDGER.replace("STORE", "Fragile").replace("SENDER", "Outbox"))
    assert "FAILED test_mine.py::TestLedger::test_an_unreadable_record_fails_its_own_change_only" in out
    assert "1 failed" in out


def test_a_subclass_without_its_fixture(tmp_path):
    """The error says what to override."""
    text = "from peeklock.testing import *\nclass TestA(StoreContract): pass\nclass TestB(SenderContract): pass\n"
    out = run(tmp_path, text)
    assert "override the fixture `store`: return or yield an empty store" in out
    assert "override the fixture `sender`: return or yield a sender to an empty queue" in out


def test_what_the_base_classes_ask_for():
    """Called without pytest's fixtures."""
    with pytest.raises(NotImplementedError, match="override the method `arrived`"):
        SenderContract().arrived(Outbox())


class Hesitant(MemoryStore):
    """A store that does not answer for the first change of its first call."""

    hesitates = True

    def swap(self, changes, /):
        if not self.hesitates:
            return super().swap(changes)
        self.hesitates = False
        return [Answer(won=False, error=StoreError("busy")), *super().swap(changes[1:])]


def test_a_store_that_answers_with_an_error_is_asked_again():
    """A busy server may not answer for all keys of a large call in time."""
    store = Hesitant()
    swap_many_keys(store, 3)
    assert len(store.records) == 3


def test_an_unknown_name_of_the_module():
    """The module's lazy names do not hide a mistake."""
    with pytest.raises(AttributeError, match="has no attribute 'Contract'"):
        _ = peeklock.testing.Contract

"""The senders that are no platform."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peeklock import ConfigError, SendError
from peeklock.message import Trail
from peeklock.parcel import Parcel
from peeklock.registry import open_sender
from peeklock.senders.file import FileSender, from_url, read

parcels = st.builds(
    Parcel,
    body=st.binary(max_size=100) | st.text(max_size=50).map(lambda text: text.encode("utf-8", "replace")),
    trail=st.builds(
        Trail,
        id=st.text(min_size=1, max_size=20).map(lambda t: t.encode("utf-8", "replace").decode()),
        generation=st.integers(0, 9),
        hop=st.integers(0, 9),
    ),
    attributes=st.dictionaries(st.sampled_from(["a", "ключ"]), st.binary(max_size=9) | st.just("значение"), max_size=2),
    group=st.none() | st.just("g"),
    delay=st.integers(0, 900).map(lambda n: timedelta(seconds=n)),
    content_type=st.none() | st.just("text/plain"),
    letter=st.booleans(),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(parcels, max_size=4))
def test_a_file_gives_back_what_it_took(tmp_path, sent):
    """Each parcel is one line, whatever is in it."""
    path = tmp_path / "folder" / "letters.jsonl"
    path.unlink(missing_ok=True)
    assert FileSender(str(path)).send(sent) == [None] * len(sent)
    assert list(read(str(path))) == sent


def test_a_file_that_cannot_be_written(tmp_path):
    """Is a SendError, since the letters are not there."""
    with pytest.raises(SendError, match="Is a directory"):
        FileSender(str(tmp_path)).send([Parcel(body=b"letters", trail=Trail(id="x"))])
    with pytest.raises(SendError, match=r"bytes were written|No space"):
        FileSender("/dev/full").send([Parcel(body=b"x", trail=Trail(id="x"))])


def test_addresses():
    """Relative and absolute paths, and one that is none."""
    assert str(from_url("file:///var/l.jsonl").path) == "/var/l.jsonl"
    assert str(from_url("file://l.jsonl").path) == "l.jsonl"
    with pytest.raises(ConfigError, match="names no file"):
        from_url("file://")
    assert open_sender("memory://letters") is open_sender("memory://letters")
    with pytest.raises(ConfigError, match="unknown scheme 'amqp'"):
        open_sender("amqp://host/queue")

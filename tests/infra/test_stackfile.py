"""A stack's file on a machine that has none of its keys."""

from __future__ import annotations

import pytest

from cloudqueues.errors import ConfigError
from cloudqueues.pulumi import stackfile

PLAIN = "config:\n  aws:region: eu-west-1\n  shop:secure: true # secure: no\n"


def test_who_keeps_its_secrets_is_left_out(tmp_path):
    """Else the engine would ask them; the rest is as it was."""
    file = tmp_path / "Pulumi.dev.yaml"
    assert stackfile.readable(file) == ""
    file.write_text(f"encryptionsalt: v1:abc\nsecretsprovider: awskms://alias/x\nencryptedkey: AQ==\n{PLAIN.rstrip()}")
    assert stackfile.readable(file) == PLAIN
    assert stackfile.salt(file.read_text()) == "encryptionsalt: v1:abc\n"
    assert stackfile.salt(PLAIN) == ""


@pytest.mark.parametrize(
    ("secret", "line"),
    [
        ("  shop:password:\n    secure: v1:abc\n", 5),
        ("  shop:password: {secure: v1:abc}\n", 4),
        ("  shop:both:\n    - secure: v1:abc\n", 5),
        ("  shop:one:\n    deep:\n      secure:\n        v1:abc\n", 6),
    ],
)
def test_a_secret_is_refused(tmp_path, secret, line):
    """With its line, and what to do."""
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_text(PLAIN + secret)
    with pytest.raises(ConfigError, match=f"Pulumi.dev.yaml, line {line}: an encrypted value .* use the stack local"):
        stackfile.readable(file)

"""The rules of peeklock as a policy pack: `pulumi up --policy-pack ../policy`."""

import sys
from pathlib import Path

sys.path.insert(
    0, str(Path(__file__).resolve().parents[2] / "src")
)  # the repository's own; elsewhere what is installed

from peeklock.infra.policy.pack import pack

pack()

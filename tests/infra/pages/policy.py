"""docs/policy.md: the rules, from their table."""

from __future__ import annotations

from peeklock.infra.policy import RULES
from tests.infra.pages.text import link, page, table

FIRST = """\
Rules for any Pulumi program with queues, as a policy pack:

```console
$ pulumi install --cwd infra/policy          # once: creates a separate environment, because pulumi-policy needs protobuf 5
$ pulumi up --cwd infra/aws --policy-pack ../policy
```

In your own repository, the pack is a folder with a `PulumiPolicy.yaml` as in infra/policy, a requirements.txt that lists
`pulumi-policy` and `peeklock`, and one line in `__main__.py`: `from peeklock.infra.policy.pack import pack; pack()`. A violation
stops the update; with `pack(level="advisory")` it is only reported. The rules are plain functions over plain data
(`peeklock.infra.policy.violations`), so a test can call them without the engine.

A property that a preview does not know yet is checked during the update. The tests run the pack in the real engine, on programs
that violate rules and on the examples, which violate none; another test plants at least one error for each rule."""

CLOUDS = {"aws": "AWS", "azure": "Azure", "gcp": "Google Cloud"}


def policy() -> str:
    sections = []
    for cloud, name in CLOUDS.items():
        rows = [(link(f"`{rule.name}`", rule.source), rule.why) for rule in RULES if rule.cloud == cloud]
        sections.append((name, table(("rule", "why"), rows)))
    return page("Policy rules", FIRST, sections)

"""docs/policy.md: the rules, from their table."""

from __future__ import annotations

from peeklock.infra.policy import RULES
from tests.infra.pages.text import link, page, table

FIRST = """\
Rules for any Pulumi program with queues, as a policy pack:

```console
$ pulumi install --cwd infra/policy          # once: an environment of its own, since pulumi-policy wants protobuf 5
$ pulumi up --cwd infra/aws --policy-pack ../policy
```

In your own repository the pack is a folder with a `PulumiPolicy.yaml` as in infra/policy, `pulumi-policy` and `peeklock` in its
requirements.txt, and one line in `__main__.py`: `from peeklock.infra.policy.pack import pack; pack()`. A violation stops the update;
`pack(level="advisory")` only tells. The same rules are plain functions over plain data (`peeklock.infra.policy.violations`), so
they need no engine in a test.

What a preview does not know yet is not judged before the update. A test runs the pack in the real engine, on programs that
break rules, and on the examples, which break none; another plants at least one error for each rule."""

CLOUDS = {"aws": "AWS", "azure": "Azure", "gcp": "Google Cloud"}


def policy() -> str:
    sections = []
    for cloud, name in CLOUDS.items():
        rows = [(link(f"`{rule.name}`", rule.source), rule.why) for rule in RULES if rule.cloud == cloud]
        sections.append((name, table(("rule", "why"), rows)))
    return page("Policy rules", FIRST, sections)

"""docs/terraform.md: the document of `peeklock settings`, and a Terraform module that reads it."""

from __future__ import annotations

import importlib
from dataclasses import fields

from tests.infra.pages.settings import CLOUDS
from tests.infra.pages.text import page, table
from tests.support import ROOT

FIRST = """\
`peeklock settings` prints everything that the Pulumi components compute for the queues of a project: for Terraform and OpenTofu,
CDK, and programs in other languages. It needs no Pulumi, no account and no network.

```console
$ peeklock settings aws --app shop                                                    # a table, for people
$ peeklock settings aws --app shop --stack prod.json --json > peeklock.json           # everything, for a machine
$ peeklock settings gcp --app shop --stack prod.json --project contoso --region europe-west1 --json
```

The queues are those of the modules in `queues` of `[tool.peeklock.bundle]` ([bundles](bundle.md)). `prod.json` has the stack's
numbers, `{"capacity": {"orders": {"batch": 10, "instances": 50}}, "stage": {"log_days": 90}}`; a Pulumi stack file works too, and
`--capacity orders:batch=50` replaces a queue's. Write the document again when a `Queue` changes: the function refuses to start
with another queue's fingerprint."""

DOCUMENT = """\
| key | content |
|---|---|
| `format` | version of this form, now 1. It grows where a key is renamed, removed or means something else; new keys do not change it |
| `cloud`, `app`, `stack`, `stage` | what it was computed for; `stage` has `protect`, `log_days`, `thresholds`, `notify` |
| `queues.<name>.fingerprint`, `fifo`, `capacity` | the contract's hash, whether it keeps an order, and the capacity with its defaults |
| `queues.<name>.names` | names to give to the resources; the alarms and variables use them |
| `queues.<name>.settings` | every number: see the tables below. Durations are seconds |
| `queues.<name>.variables` | the function's environment. Add your own, and the `producer` of each queue that it sends to |
| `queues.<name>.producer` | environment of any process that sends to the queue |
| `queues.<name>.policies` | AWS: documents by name. `send` is for producers, `redrive_dead_letters` for operators |
| `queues.<name>.roles` | Azure and Google Cloud: the roles of the function, of producers (`send`) and of operators, each with what it is granted `on` |
| `queues.<name>.alarms` | by name: severity, threshold, and the metrics or the query that are watched |
| `queues.<name>.host` | Azure: host.json |
| `queues.<name>.failures_metric` | Google Cloud: the log-based metric that the alarm `failures` reads |

`${...}` in a text stands for what exists only once the resources do: `queue_arn`, `queue_url`, `dead_letters_arn`,
`dead_letters_url`, `table_arn` and `logs_arn` on AWS; `namespace`, `function` (the function app's name), `host_account`, `client_id`
(the identity's) and `telemetry` (the connection string of Application Insights) on Azure. Replace it in the text of the
document. On Google Cloud every name is known before.

Not in it, since a program decides: networks, keys of your own, secrets, existing resources, and Azure's namespace, accounts and
workspace. A test compares the document with what the Pulumi programs in infra register, for each stack of each cloud."""

MODULE = """\
infra/terraform/queue is a module for one queue: SQS, dead letters, Lambda, its role and mapping, and the alarms.
infra/terraform/main.tf uses it for the example, with the store's table and the topics of the alarms:

```hcl
{example}```

```hcl
{module}```

Checked here: both files by an HCL parser, every path into the document by a real document, every argument by the SDK that is
generated from the provider. Terraform 1.11 evaluated the module's expressions on a document. The module has not been applied to
an account, and `terraform validate` with the provider has not been run."""


def terraform() -> str:
    module, example = (
        (ROOT / "infra" / "terraform" / path).read_text(encoding="utf-8") for path in ("queue/main.tf", "main.tf")
    )
    sections = [
        ("The document", f"{DOCUMENT}\n"),
        *((f"Settings: {name}", _settings(cloud)) for cloud, name in CLOUDS.items()),
        ("Terraform", MODULE.format(module=module, example=example) + "\n"),
    ]
    return page("Terraform, CDK and other tools", FIRST, sections)


def _settings(cloud: str) -> str:
    columns = fields(importlib.import_module(f"peeklock.infra.settings.{cloud}").Settings)
    rows = [
        (f"`{column.name}`", ", ".join(f"`{entry.name}`" for entry in column.metadata.get("settings", ())))
        for column in columns
    ]
    return f"Formulas and reasons are in [settings](settings.md).\n\n{table(('key', 'setting of the platform'), rows)}"

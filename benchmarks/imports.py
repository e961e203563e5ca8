"""Cost of an import at a cold start: time in a fresh interpreter, less that of a bare one, and modules loaded."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

OURS_FUNCTION = """
from pydantic import BaseModel
from peeklock import Queue, consumer, sqs
from peeklock.stores.memory import MemoryStore
from peeklock.testing import Outbox
class Order(BaseModel):
    order_id: str
    customer: str
    cents: int
@consumer(Queue("orders"), key="order_id")
def charge(order: Order) -> None: ...
handler = sqs.bind(charge, store=MemoryStore(), dead_letter=Outbox())
"""

THEIRS_FUNCTION = """
import os
os.environ.update(AWS_DEFAULT_REGION="eu-west-1", AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x",
    POWERTOOLS_TRACE_DISABLED="true", POWERTOOLS_SERVICE_NAME="orders")
from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, idempotent_function
from aws_lambda_powertools.utilities.parser.models import SqsRecordModel
from pydantic import BaseModel, Json
class Order(BaseModel):
    order_id: str
    customer: str
    cents: int
class Record(SqsRecordModel):
    body: Json[Order]
logger, tracer = Logger(), Tracer()
store = DynamoDBPersistenceLayer(table_name="keys")
processor = BatchProcessor(event_type=EventType.SQS, model=Record)
"""

CASES: dict[str, tuple[str, str, float | None]] = {
    "import: `import peeklock` against Powertools' batch": (
        "import peeklock",
        "from aws_lambda_powertools.utilities.batch import BatchProcessor",
        0.25,
    ),
    # The names are loaded with their first use, so the bare import alone would flatter.
    "import: `from peeklock import Queue, consumer, send` against Powertools' batch": (
        "from peeklock import Queue, consumer, send",
        "from aws_lambda_powertools.utilities.batch import BatchProcessor",
        None,
    ),
    "import: SQS function with model and store against Powertools' typical function": (
        OURS_FUNCTION,
        THEIRS_FUNCTION,
        0.35,
    ),
}


def run(code: str) -> float:
    """Milliseconds of a fresh interpreter."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - started) * 1000


def modules(code: str) -> int:
    count = f"import sys; before = set(sys.modules)\n{code}\nprint(len(set(sys.modules) - before))"
    return int(subprocess.run([sys.executable, "-c", count], check=True, capture_output=True, text=True).stdout)


def measure(rounds: int) -> list[dict[str, object]]:
    """Each case in turn, round after round, so that a slow moment meets all of them."""
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        times.setdefault("bare", []).append(run("pass"))
        for code in {code for ours, theirs, _ in CASES.values() for code in (ours, theirs)}:
            times.setdefault(code, []).append(run(code))
    net = {code: statistics.median(values) for code, values in times.items()}
    bare = net["bare"]
    results = []
    for name, (ours, theirs, target) in CASES.items():
        mine, peer = net[ours] - bare, net[theirs] - bare
        results.append(
            {"name": name, "ours": mine, "theirs": peer, "unit": "ms", "ratio": mine / peer, "target": target}
        )
        loaded = modules(ours), modules(theirs)
        results.append(
            {
                "name": f"{name} (modules)",
                "ours": loaded[0],
                "theirs": loaded[1],
                "unit": "",
                "ratio": loaded[0] / loaded[1],
                "target": None,
            }
        )
    return results


if __name__ == "__main__":
    json.dump(measure(5), sys.stdout, indent=2)

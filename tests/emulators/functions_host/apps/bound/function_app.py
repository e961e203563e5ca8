"""A consumer of peeklock, bound as a user binds it."""

import azure.functions as func

from peeklock import Message, Queue, consumer, servicebus

ORDERS = Queue("orders", max_attempts=3, timeout=20, first_delay=60)

app = func.FunctionApp()


@consumer(ORDERS, fatal=(KeyError,))
def charge(order: dict, message: Message) -> None:  # type: ignore[type-arg] # as users write it
    print("run", order["name"], message.attempt, flush=True)
    if order["name"] == "flaky" and message.attempt == 1:
        raise ValueError("try again")
    if order["name"] == "declined":
        raise KeyError("declined")


servicebus.bind(charge, app=app)

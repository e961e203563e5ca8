"""Charge an order and write its receipt."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from handlers.orders.gateway import CardDeclined, Gateway
from handlers.orders.queue import ORDERS, RECEIPTS
from peeklock import consumer, send


class Order(BaseModel):
    order_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]
    customer: str
    cents: Annotated[int, Field(ge=1, le=1_000_000)]
    currency: Literal["EUR", "USD", "GBP"] = "EUR"
    card: str
    note: str = ""


class Receipt(BaseModel):
    order_id: str
    customer: str
    cents: int
    currency: str
    receipt: str


gateway = Gateway()


@consumer(ORDERS, key="order_id", fatal=(CardDeclined,))
def charge(order: Order) -> None:
    """Charge the card, then hand the receipt to its own queue. A receipt's id follows from the order: sent twice after
    a crash, it is still written once."""
    number = gateway.charge(order.order_id, order.cents, order.card)
    receipt = Receipt(**order.model_dump(include={"order_id", "customer", "cents", "currency"}), receipt=number)
    send(RECEIPTS, receipt, id=f"receipt-{order.order_id}")

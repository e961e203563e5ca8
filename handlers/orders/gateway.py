"""A payment provider's sandbox: what it does follows from the card's test token, as providers' sandboxes do."""

import os
import time


class CardDeclined(Exception):
    """The bank said no, and will say no again."""


class GatewayBusy(Exception):
    """The provider could not take the charge just now."""


SLOW_SECONDS = float(os.environ.get("GATEWAY_SLOW_SECONDS", "60"))


class Gateway:
    """Charges once per reference, however often it is asked, as a provider does with an idempotency key."""

    def __init__(self) -> None:
        self.charges: dict[str, int] = {}

    def charge(self, reference: str, cents: int, card: str) -> str:
        """Charge a card and return the provider's number of the charge.

        `tok_declined` is refused, `tok_flaky` finds the provider busy, `tok_slow` takes longer than anyone waits.
        """
        if card == "tok_declined":
            raise CardDeclined("insufficient funds")
        if card == "tok_flaky":
            raise GatewayBusy("try again later")
        if card == "tok_slow":
            time.sleep(SLOW_SECONDS)
        self.charges.setdefault(reference, cents)
        return f"ch-{reference}"

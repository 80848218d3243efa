"""Another code base, which knows the handlers of `first_handler.py` by their contracts alone.

Run the system with `millstream up first_handler:app` in this folder, and then `python elsewhere.py`.
"""

from msgspec import Struct

from millstream import JobRef, SyncClient, contract


class Order(Struct):
    """What `order.charge` takes."""

    id: int
    customer: str
    total: float


class Receipt(Struct):
    """What `order.charge` gives."""

    order_id: int
    amount: float


@contract("order.charge")
def charge(order: Order) -> Receipt:
    """Charge an order; another code base does it."""
    raise NotImplementedError


archive = JobRef("order.archive", takes=Order, gives=int)


def main(client: SyncClient) -> list[float]:
    """Submit orders, and wait for their receipts."""
    orders = [Order(number, "ann", 2.5) for number in range(3)]
    jobs = [client.submit(charge, order) for order in orders]
    kept = client.submit(archive, orders[0]).result(timeout=30)
    print(f"order {kept} is kept")
    return [job.result(timeout=30).amount for job in jobs]


if __name__ == "__main__":
    with SyncClient("http://127.0.0.1:8080") as local:
        main(local)

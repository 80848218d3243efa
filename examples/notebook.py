"""Jobs from a notebook, a cell for each part: docs/handlers/notebooks.md.

Run the system with `millstream up first_handler:app` in this folder, and then this file: as it is, or cell by cell in
an editor that knows `# %%`.
"""

# %%
import os

from first_handler import Order, charge

from millstream import SyncClient

client = SyncClient(os.environ.get("MILLSTREAM_URL", "http://127.0.0.1:8080"))

# %% Submit, and look at the result.
receipt = client.submit(charge, Order(7, "ann", 19.9)).result(timeout=30)
print(receipt)

# %% Many at once: submit all, then collect.
orders = [Order(number, "bob", 5.0 * number) for number in range(1, 6)]
jobs = [client.submit(charge, order, tags={"notebook": "orders"}) for order in orders]
print(sum(job.result(timeout=30).amount for job in jobs))

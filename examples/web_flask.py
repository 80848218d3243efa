"""An API with Flask whose requests submit jobs: docs/handlers/web-frameworks.md.

Run the system with `millstream up first_handler:app` in this folder, and then `flask --app web_flask:api run`.
"""

import os

import msgspec
from first_handler import Order, charge
from flask import Flask, Response, abort, request

from millstream import JobNotFoundError, SyncClient, UnavailableError, WaitTimeoutError

URL = os.environ.get("MILLSTREAM_URL", "http://127.0.0.1:8080")

api = Flask(__name__)
# One for all threads. It connects with its first request, so a server may fork before.
client = SyncClient(URL, retry_for_s=2)


@api.post("/orders")
def place() -> tuple[dict[str, str], int]:
    """Take an order. The job goes on when the response has been sent."""
    try:
        order = msgspec.convert(request.get_json(), Order)
    except msgspec.ValidationError as error:
        abort(422, str(error))
    try:
        job = client.submit(charge, order, idempotency_key=f"order-{order.id}")
    except UnavailableError:
        abort(503, "orders cannot be taken now")
    return {"job": job.id}, 202


@api.get("/orders/<job_id>")
def look(job_id: str) -> Response:
    """Return the receipt, and null while there is none after ten seconds."""
    try:
        receipt = client.result(charge, job_id, timeout=10)
    except WaitTimeoutError:
        receipt = None
    except JobNotFoundError:
        abort(404, "no such order")
    return Response(msgspec.json.encode(receipt), mimetype="application/json")

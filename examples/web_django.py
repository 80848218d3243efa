"""An API with Django whose requests submit jobs: docs/handlers/web-frameworks.md. A whole project in one file.

Run the system with `millstream up first_handler:app` in this folder, and then `python web_django.py runserver`.
"""

import os
import sys

import django
import msgspec
from django.conf import settings
from django.core.management import execute_from_command_line
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST
from first_handler import Order, charge

from millstream import JobNotFoundError, SyncClient, WaitTimeoutError

if not settings.configured:  # in a project of yours: settings.py
    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "file::memory:?cache=shared"}},
        MILLSTREAM_URL=os.environ.get("MILLSTREAM_URL", "http://127.0.0.1:8080"),
        ROOT_URLCONF=__name__,
        SECRET_KEY="an example",
    )
    django.setup()

# One for all threads. It connects with its first request, so a server may fork before.
client = SyncClient(settings.MILLSTREAM_URL, retry_for_s=2)


@csrf_exempt
@require_POST
@transaction.atomic
def place(request: HttpRequest) -> HttpResponse:
    """Take an order, and have it charged once the transaction is there for good."""
    try:
        order = msgspec.json.decode(request.body, type=Order)
    except msgspec.DecodeError as error:
        return JsonResponse({"error": str(error)}, status=422)
    # Here the order would be saved. A job that is submitted within the transaction may run before its end, and would
    # run also after a rollback.
    transaction.on_commit(lambda: client.submit(charge, order, idempotency_key=f"order-{order.id}"))
    return JsonResponse({"order": order.id}, status=202)


@require_GET
def look(request: HttpRequest, job_id: str) -> HttpResponse:
    """Return the receipt, and null while there is none after ten seconds."""
    try:
        receipt = client.result(charge, job_id, timeout=10)
    except WaitTimeoutError:
        receipt = None
    except JobNotFoundError:
        return JsonResponse({"error": "no such order"}, status=404)
    return HttpResponse(msgspec.json.encode(receipt), content_type="application/json")


urlpatterns = [path("orders", place), path("orders/<str:job_id>", look)]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)

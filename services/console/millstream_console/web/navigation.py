"""The entries of the navigation, and the keys that lead to them."""

from msgspec import Struct

from millstream_contracts import Scope


class Place(Struct, frozen=True):
    """A page of the navigation."""

    name: str
    """Also that of its icon."""
    word: str
    path: str
    key: str
    """The second key after `g`."""
    scope: Scope = Scope.JOBS_READ
    """What who sees the page has to be allowed to do."""


# Pages of what is still to come are added to these groups with their feature.
GROUPS: tuple[tuple[Place, ...], ...] = (
    (
        Place("overview", "Overview", "/", "o"),
        Place("jobs", "Jobs", "/jobs", "j"),
        Place("queues", "Queues", "/queues", "q"),
        Place("errors", "Errors", "/errors", "e"),
        Place("schedules", "Schedules", "/schedules", "s"),
        Place("workflows", "Workflows", "/workflows", "f"),
        Place("batches", "Batches", "/batches", "b"),
        Place("templates", "Templates", "/templates", "t"),
    ),
    (
        Place("operations", "Operations", "/operations", "p"),
        Place("workers", "Workers", "/workers", "w"),
        Place("webhooks", "Webhooks", "/webhooks", "h"),
    ),
    (
        Place("tenants", "Tenants", "/tenants", "n", Scope.TENANTS_MANAGE),
        Place("keys", "Keys", "/keys", "k", Scope.KEYS_MANAGE),
        Place("sessions", "Sessions", "/sessions", "i", Scope.KEYS_MANAGE),
        Place("audit", "Audit", "/audit", "a", Scope.AUDIT_READ),
        Place("system", "System", "/system", "y", Scope.QUEUES_MANAGE),
    ),
)

KEYS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Anywhere",
        (
            ("Jump to a page, a job, a type", "Ctrl K"),
            ("Search", "/"),
            *((place.word, f"g {place.key}") for group in GROUPS for place in group),
            ("Pause or resume updates", "p"),
            ("System, light, dark", "t"),
            ("Times in UTC, here", "u"),
            ("This list", "?"),
        ),
    ),
    (
        "In a list",
        (
            ("Down, up", "j k"),
            ("Open", "Enter"),
            ("Select, select a range", "x X"),
            ("Show what is new", "n"),
            ("Older, newer page", "] ["),
            ("Drop the selection, close", "Esc"),
        ),
    ),
    ("At a job", (("Redrive or retry", "r"), ("Cancel", "c"), ("Copy the id", "y"), ("Open the trace", "l"))),
)

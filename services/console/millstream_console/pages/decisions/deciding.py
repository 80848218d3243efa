"""The page that asks for confirmation of a decision about jobs, and the form that carries it out."""

from collections.abc import Mapping
from typing import Any

from litestar import Response, get, post
from msgspec import Struct

from millstream import AccessError, ApiError, InvalidError, UnavailableError
from millstream.errors import describe
from millstream_console.pages.decisions.acting import act_on_ids, start
from millstream_console.pages.decisions.chosen import Chosen, Tally, chosen_of, tally
from millstream_console.pages.decisions.confirmation import (
    EXPORT_FORMATS,
    Confirmation,
    faults_of,
    needs_number,
    read_confirmation,
)
from millstream_console.pages.decisions.decision import DECISIONS, Decision
from millstream_console.web.toast import Toast
from millstream_console.web.visit import Visit
from millstream_contracts import Scope

_NOTHING = Toast("No job is selected.", "w")
_UNPROCESSABLE = 422
_MOST_AT_ONCE = 100
"""Jobs that are acted on within the request of the form."""


class Case(Struct, frozen=True):
    """A decision about some jobs, as it stands."""

    decision: Decision
    chosen: Chosen
    tally: Tally
    back: str


@get("/decide")
async def ask(visit: Visit) -> Response[bytes]:
    """Show what a decision would do."""
    visit.require(Scope.JOBS_MANAGE)
    decision = DECISIONS[visit.choice("decision", DECISIONS, "redrive")]
    chosen = chosen_of(
        visit.texts("id"), visit.text("scope"), visit.text("frozen"), visit.text("type"), visit.text("fingerprint")
    )
    if chosen is None:
        return visit.go_back(visit.text("back"), "/jobs", _NOTHING)
    case = Case(decision, chosen, await tally(visit.client, chosen, decision), visit.text("back"))
    return await _page(visit, case, Confirmation(patch=visit.text("patch", "{}")), {})


@post("/decide")
async def decide(visit: Visit) -> Response[bytes]:
    """Carry out a decision that was confirmed."""
    visit.require(Scope.JOBS_MANAGE)
    form = await visit.form()
    decision = DECISIONS.get(form.text("decision"))
    chosen = chosen_of(
        form.texts("id"), form.text("scope"), form.text("frozen"), form.text("type"), form.text("fingerprint")
    )
    back = form.text("back")
    if decision is None or chosen is None:
        return visit.go_back(back, "/jobs", _NOTHING)
    confirmation = read_confirmation(form)
    case = Case(decision, chosen, await tally(visit.client, chosen, decision), back)
    faults = faults_of(confirmation, case.tally, decision)
    if faults or (decision.needs_search and chosen.is_everything):
        return await _page(visit, case, confirmation, faults)
    try:
        return await _carry_out(visit, case, confirmation)
    except (AccessError, UnavailableError):
        raise
    except InvalidError as error:
        return await _page(visit, case, confirmation, _told(error))
    except ApiError as error:
        return visit.go_back(back, "/jobs", Toast(describe(error.problem), "b"))


async def _carry_out(visit: Visit, case: Case, confirmation: Confirmation) -> Response[bytes]:
    is_small = 0 < len(case.chosen.ids) <= _MOST_AT_ONCE
    if case.decision.is_always_operation or not is_small:
        operation = await start(visit.client, case.decision, case.chosen, confirmation)
        began = "It counts, and changes nothing." if operation.dry_run else "It has started."
        began = "Its canary has started; the rest waits for it." if operation.canary else began
        return visit.go(f"/operations/{operation.id}", Toast(began))
    return visit.go_back(case.back, "/jobs", await act_on_ids(visit.client, case.decision, case.chosen.ids))


def _told(error: InvalidError) -> dict[str, str]:
    """Return a refusal of the API by the field of the form that it is about."""
    fields = {
        "/patch": "patch",
        "/export/name": "name",
        "/export/format": "name",
        "/rate": "rate",
        "/canary/count": "canary",
        "/canary/max_failure": "canary",
        "/canary": "canary",
    }
    return {fields.get(one.pointer, "all"): one.detail for one in error.problem.errors} or {
        "all": describe(error.problem)
    }


async def _page(visit: Visit, case: Case, confirmation: Confirmation, faults: Mapping[str, str]) -> Response[bytes]:
    content = {
        "decision": case.decision,
        "chosen": case.chosen,
        "tally": case.tally,
        "count": case.tally.count,
        "given": confirmation,
        "faults": faults,
        "needs_number": needs_number(case.tally.count, case.decision),
        "formats": EXPORT_FORMATS,
        "is_refused": case.decision.needs_search and case.chosen.is_everything,
        "back": case.back if visit.is_ours(case.back) else visit.at("/jobs"),
    }
    place = "jobs" if case.chosen.group is None else "errors"
    return await visit.framed("decide.html", content, place, status=_UNPROCESSABLE if faults else 200)


HANDLERS: tuple[Any, ...] = (ask, decide)

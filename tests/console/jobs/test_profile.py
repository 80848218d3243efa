"""Where the time of a running job goes, by several looks at its stack."""

import pytest

from millstream import ApiError, JobStack
from millstream_console.pages.job import profile
from millstream_contracts import JobId, Problem

IN_A = '  File "/app/a.py", line 3, in work\n    await call()'
IN_B = f'{IN_A}\n  File "/app/b.py", line 7, in call\n    time.sleep(1)'


def stack(text: str, attempt: int = 1) -> JobStack:
    """Return an answer of the API."""
    return JobStack(JobId("j"), attempt, "host:1", text)


class Looks:
    """Answers as the client does: one after the other."""

    def __init__(self, *answers: JobStack | ApiError) -> None:
        self._answers = list(answers)

    async def stack(self, job_id: str) -> JobStack:
        """Return the next answer, or raise it."""
        answer = self._answers.pop(0)
        if isinstance(answer, ApiError):
            raise answer
        return answer


async def test_looks_end_with_the_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at a job are counted until it ends or runs again; a first look that fails is told as it is."""
    monkeypatch.setattr(profile, "PAUSE_S", 0)
    unavailable = ApiError(Problem(type="t", title="gone", status=409))
    for last in (unavailable, stack(IN_A, attempt=2)):
        found = await profile.profile_of(Looks(stack(IN_A), stack(IN_B), stack(IN_B), last), "j")
        assert [(place.frame and place.frame.line, place.looks) for place in found.places] == [(7, 2), (3, 1)]
        assert found.typical.stack == IN_B
    all_looks = await profile.profile_of(Looks(*[stack(IN_A)] * (profile.LOOKS + 1)), "j")
    assert (all_looks.looks, len(all_looks.places)) == (profile.LOOKS, 1)
    with pytest.raises(ApiError):
        await profile.profile_of(Looks(unavailable), "j")


def test_a_place_is_a_line_of_the_users_code() -> None:
    """A look counts for the innermost line of the user's own, and for none where there is none."""
    library = f'{IN_A}\n  File "/usr/lib/python3.11/ssl.py", line 9, in read\n    return x'
    found = profile.summary_of([stack(library), stack(""), stack(IN_A)])
    assert [(place.frame and place.frame.place, place.looks) for place in found.places] == [
        ("app/a.py:3", 2),
        (None, 1),
    ]

"""What was found out about one part of the system: for `doctor`, and for `GET /v1/system`."""

from collections.abc import Iterator

from msgspec import Struct

from millstream_contracts import CheckStatus, SystemCheck
from millstream_runtime.examination.fixes import fix_for


class Section(Struct, frozen=True, kw_only=True):
    """What was found out about one part of the system."""

    name: str
    """`redis`, `history`, `services`, `duties` or `encryption`."""
    headline: str
    objections: list[str] = []
    """What must change."""
    advice: list[str] = []
    """What could be better."""
    passed: list[str] = []
    """What is well."""

    def checks(self) -> Iterator[SystemCheck]:
        """Yield a check for each finding, the worst first."""
        statuses: tuple[tuple[CheckStatus, list[str]], ...] = (
            ("bad", self.objections),
            ("warn", self.advice),
            ("ok", self.passed),
        )
        for status, lines in statuses:
            for line in lines:
                yield SystemCheck(
                    name=self.name, status=status, detail=line, fix="" if status == "ok" else fix_for(line)
                )

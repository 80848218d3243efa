"""The root of errors that are no defects: something outside the program is wrong, and the error names it."""

from millstream_contracts.one_line import one_line


class ForeseenError(Exception):
    """An error whose text, one line without a secret, is complete without a traceback."""

    reason: str = "refused"
    """Why, in one of few fixed words, for logs and alerts."""

    @property
    def fields(self) -> dict[str, str]:
        """The error as fields of a log line."""
        return {"error": one_line(self), "reason": self.reason}

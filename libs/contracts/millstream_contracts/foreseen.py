"""The root of errors that are no defects: the world is not as it has to be, and the error says how."""

from millstream_contracts.one_line import one_line


class ForeseenError(Exception):
    """An error whose text, one line without a secret, says all there is to say: no traceback is needed beside it."""

    reason: str = "refused"
    """Why, in one of few fixed words, for logs and alerts."""

    @property
    def fields(self) -> dict[str, str]:
        """The error as fields of a log line."""
        return {"error": one_line(self), "reason": self.reason}

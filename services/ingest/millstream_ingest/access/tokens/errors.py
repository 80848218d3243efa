"""Errors of tokens.

TokenError               a token is refused; its text says why, and quotes nothing of it
UnreadKeysError          the keys of its issuer cannot be read, and none of those that are known has signed it
"""


class TokenError(Exception):
    """A token is refused."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        """One of `names.AUTH_REFUSAL_REASONS`."""
        super().__init__(detail)


class UnreadKeysError(Exception):
    """The keys of an issuer cannot be read."""

    def __init__(self, issuer: str) -> None:
        super().__init__(f"the keys of the issuer `{issuer}` cannot be read at this moment; its log says why")

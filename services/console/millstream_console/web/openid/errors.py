"""Errors of signing in at an OpenID provider. The text of each is for the person, and has no secret.

SignInError
├── StrayAnswerError     the answer of the provider belongs to no sign-in that this browser has begun
├── DeniedError          the provider has refused the sign-in
└── ProviderAwayError    the provider does not answer, or not in a way that can be understood
"""

from millstream_contracts import ForeseenError


class SignInError(ForeseenError):
    """A person is not signed in."""

    outcome = "refused"
    """One of `names.SIGN_IN_OUTCOMES`."""
    status = 400


class StrayAnswerError(SignInError):
    """The answer of the provider belongs to no sign-in that this browser has begun."""

    outcome = "stray"


class DeniedError(SignInError):
    """The provider has refused the sign-in."""

    outcome = "denied"
    status = 403


class ProviderAwayError(SignInError):
    """The provider does not answer, or not in a way that can be understood."""

    outcome = "unavailable"
    status = 503

"""Erasure: what is removed of jobs, and what keeps it from coming back."""

from millstream_history.erasure.erasures import Erasures

__all__ = ["Erasures"]

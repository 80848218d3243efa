"""The exceptions of decoding bytes that another program wrote."""

import msgspec

UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""For `except`: not what was meant, no text in UTF-8, or nested too deeply."""

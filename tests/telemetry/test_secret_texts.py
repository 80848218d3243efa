"""Secret values are taken out of texts, in each form in which a handler may have written them."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream_contracts import MASK
from millstream_telemetry import SecretTexts

SECRET = 'p"ß\\4711 %\n&x'


@pytest.mark.parametrize("write", [str, repr, json.dumps, quote, lambda text: quote(text, safe=""), ascii])
def test_secret_is_masked_however_it_was_written(write: Any) -> None:
    """A secret is found as it is, and as Python, JSON and URLs write it; what stands around it stays."""
    shown = SecretTexts([SECRET]).hidden(f"the login {write(SECRET)} was refused")
    assert "4711" not in shown
    assert shown.startswith("the login ")
    assert shown.endswith(" was refused")


def test_each_value_of_a_secret_object_is_one() -> None:
    """Of a secret list or mapping each value is masked by itself, numbers too."""
    secrets = SecretTexts([{"a": ["alpha", {"b": 471147}]}, b"bytes"])
    assert secrets.hidden("alpha bravo 471147 bytes a b") == f"{MASK} bravo {MASK} {MASK} a b"


def test_values_of_a_log_line_are_masked() -> None:
    """Texts at every depth, keys and numbers are masked; the kinds of other values stay."""
    found = SecretTexts(["alpha", 471147]).hidden_in({"alpha": [471147, 1.5, None, True, {"x": "an alpha"}]})
    assert found == {MASK: [MASK, 1.5, None, True, {"x": f"an {MASK}"}]}


def test_short_values_are_left() -> None:
    """A value that is found in any text is not looked for."""
    assert SecretTexts(["a", 12, ""]).hidden("a cat has 12 lives") == "a cat has 12 lives"


def test_secret_that_was_cut_is_masked() -> None:
    """What is left of a secret at the end of a text that was cut, or at its begin, is masked as well."""
    secrets = SecretTexts(["correct horse battery"])
    long = "." * 1000
    assert secrets.hidden(f"{long}correct horse") == f"{long}{MASK}"
    assert secrets.hidden(f"horse battery{long}") == f"{MASK}{long}"


def test_many_secrets_hide_the_whole_text() -> None:
    """A payload with more secrets than can be looked for leaves nothing of a text."""
    assert SecretTexts(f"secret {number}" for number in range(2_000)).hidden("anything") == MASK


@given(st.lists(st.text(min_size=4), min_size=1, max_size=4), st.lists(st.text(), min_size=1, max_size=4))
def test_no_secret_is_left(secrets: list[str], parts: list[str]) -> None:
    """No secret stands in a text that was put together with secrets, unless the mask itself has it."""
    text = "".join(part + secret for part, secret in zip(parts, secrets, strict=False))
    shown = SecretTexts(secrets).hidden(text)
    left = shown.replace(MASK, "\0")
    assert not any(secret in left for secret in secrets if "\0" not in secret)

"""A key of the API has a form that scanners and typing errors are told by, and only its hash is kept."""

import re

import pytest

from millstream_contracts import SecretApiKey, digest_of_key, id_of_key, mint_key, moment
from millstream_contracts.api_key_text import KEY_CHARS


def test_new_key_has_the_form_and_is_new() -> None:
    """Each key has the published form, its own id and secret, and the digest of its text."""
    keys = [mint_key() for _ in range(100)]
    for key in keys:
        assert re.fullmatch(r"ms_[0-9A-Za-z]{8}_[0-9A-Za-z]{49}", key.text)
        assert (len(key.text), id_of_key(key.text)) == (KEY_CHARS, key.id)
        assert key.digest == digest_of_key(key.text.encode())
    assert len({key.id for key in keys}) == len({key.text for key in keys}) == len(keys)


def test_each_changed_character_is_told_without_a_look_up() -> None:
    """A key of which one character is another, two are swapped, or one is missing has no id."""
    text = mint_key().text
    for at, char in enumerate(text):
        other = "0" if char != "0" else "1"
        assert id_of_key(text[:at] + other + text[at + 1 :]) is None
        assert id_of_key(text[:at] + text[at + 1 :]) is None
    swapped = text[:15] + text[16] + text[15] + text[17:]
    assert swapped == text or id_of_key(swapped) is None


@pytest.mark.parametrize("text", ["", "ms_", "x" * KEY_CHARS, "ms_12345678_" + "é" * 49, "ms_1234567\n_" + "0" * 49])
def test_what_is_no_key_has_no_id(text: str) -> None:
    """Text of another form has no id, whatever it is."""
    assert id_of_key(text) is None


def test_secrets_are_not_in_texts_of_values() -> None:
    """The text of a new key's value, as logs and tracebacks show it, does not have its secret."""
    minted = mint_key()
    shown = SecretApiKey(id=minted.id, name="a", created_at=moment(0), key=minted.text)
    assert minted.text not in f"{minted!r} {minted} {shown!r} {shown} {[shown]}"

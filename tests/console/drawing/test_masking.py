"""Values under keys that are named like a secret are dots, wherever a page shows JSON."""

import pytest

from millstream_console.drawing.json_tree import json_tree, one_line
from millstream_console.drawing.masking import MASK, masked, names_none, names_secret
from millstream_console.settings import MASKED

IS_SECRET = names_secret(MASKED)


@pytest.mark.parametrize(
    "key",
    ["password", "db_password", "PASSWORD", "apiKey", "stripe-api-key-2", "accessToken", "X-API-Key"],
)
def test_a_key_is_known_by_its_words(key: str) -> None:
    """A name is found in a key of any spelling, as a whole word."""
    assert IS_SECRET(key)


@pytest.mark.parametrize("key", ["max_tokens", "passwordless", "keyboard", "secretary", "api", "key", "", "пароль"])
def test_other_keys_are_not_secret(key: str) -> None:
    """A key that has a name only as a part of a word is shown."""
    assert not IS_SECRET(key)


def test_a_tree_hides_values_also_where_it_is_folded() -> None:
    """Neither a value, nor what lies below it, nor the line of a folded object has the secret; the rest is shown."""
    value = {"user": "ann", "deep": {"token": "hunter2", "n": 7}, "secret": {"a": ["hunter2"]}, "password": 12345}
    shown = json_tree(value, "Payload", IS_SECRET)
    assert "hunter2" not in shown
    assert "12345" not in shown
    assert shown.count(f'title="Hidden because of its name">{MASK}<') == 3
    assert "ann" in shown
    assert "hunter2" in json_tree(value, "Payload")


def test_that_a_secret_is_missing_is_shown() -> None:
    """Nothing, and a switch, are no secrets."""
    assert masked({"token": None, "password": True, "secret": ""}, IS_SECRET) == {
        "token": None,
        "password": True,
        "secret": MASK,
    }


def test_a_change_is_hidden_by_its_place_and_in_its_value() -> None:
    """The pointer of a change names the keys above its value."""
    assert one_line("hunter2", 100, "/db/password", IS_SECRET) == f'"{MASK}"'
    assert one_line({"a": [{"token": "hunter2"}]}, 100, "/db", IS_SECRET) == f'{{"a": [{{"token": "{MASK}"}}]}}'
    assert one_line("hunter2", 100, "/db/user", IS_SECRET) == '"hunter2"'


def test_without_names_all_is_shown() -> None:
    """An empty setting hides nothing."""
    assert not names_secret(())("password")
    assert not names_none("password")

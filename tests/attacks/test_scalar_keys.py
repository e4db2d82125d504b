"""The operator writes a text where a list is due: taken letter by letter, it would be a ring of guessable keys."""

from __future__ import annotations

import pytest
from flask import session

from hardsession import ConfigError, Key, Passphrase

KEY = Key.generate()


@pytest.mark.parametrize(
    "keys",
    [
        KEY.text,
        KEY.text.encode(),
        KEY,
        Passphrase("five random words of ours", "our salt"),
        {KEY.text: 1},
        {KEY.text},
        7,
    ],
    ids=["text", "bytes", "Key", "Passphrase", "dict", "set", "number"],
)
@pytest.mark.parametrize("setting", ["SESSION_SECRET_KEYS", "SECRET_KEY_FALLBACKS"])
def test_keys_that_are_no_list_are_refused(make_app, act, setting, keys):
    """Anything but a list is an error that names the setting and asks for a list, and no session begins."""
    config = {"SESSION_SECRET_KEYS": None, "SECRET_KEY": KEY.text} | {setting: keys}
    client = make_app(**config).test_client()

    with pytest.raises(ConfigError, match=f"{setting}: is no list. Write a list of keys") as caught:
        act(client, lambda: session.update(a=1))

    assert KEY.text not in str(caught.value)
    assert client.get_cookie("__Host-Http-session") is None


@pytest.mark.parametrize(
    "keys", [[], [""], [None], [[KEY.text]], [KEY.text[:-1]], [KEY.text, KEY.text], list(KEY.text)]
)
def test_lists_that_hold_no_good_keys_are_refused(make_app, act, keys):
    """An empty list, an empty, nested, damaged or repeated key, and a text that was split into letters are errors."""
    client = make_app(SESSION_SECRET_KEYS=keys).test_client()

    with pytest.raises(ConfigError, match="SESSION_SECRET_KEYS: "):
        act(client, lambda: session.update(a=1))


def test_one_key_in_two_spellings_is_one_key(make_app, act):
    """A key given as text and once more as the bytes in it is refused as a repetition."""
    client = make_app(SESSION_SECRET_KEYS=[KEY.text, KEY.material()]).test_client()

    with pytest.raises(ConfigError, match="stands in it twice"):
        act(client, lambda: session.update(a=1))

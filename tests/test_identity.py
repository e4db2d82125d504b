"""Who a session belongs to, as far as the application's own keys tell."""

from __future__ import annotations

from uuid import UUID

import pytest

from hardsession import SerializationError
from hardsession.identity import IDENTITY_KEYS, OWNER_KEYS, PRIVILEGE_KEYS, Change, change, owner, user_id


def compare(before, after):
    """The change between two states, by the default keys."""
    return change(before, after, identity=IDENTITY_KEYS, privilege=PRIVILEGE_KEYS)


def test_keys_are_those_of_the_design():
    """The names that are looked at are part of what applications rely on."""
    assert IDENTITY_KEYS == ("_user_id", "user_id", "username", "user", "uid", "account_id", "email", "logged_in")
    assert (
        *("role", "roles", "permissions", "scopes", "groups", "is_admin", "is_staff", "mfa", "sudo"),
    ) == PRIVILEGE_KEYS
    assert OWNER_KEYS == ("_user_id", "user_id")


class TestChange:
    """What a request did to the identity of its session, without saying so."""

    @pytest.mark.parametrize("key", IDENTITY_KEYS)
    def test_identity(self, key):
        """Each identity key counts: set, or set to somebody else."""
        assert compare({}, {key: "ada"}) is Change.IDENTITY
        assert compare({key: "ada"}, {key: "bob"}) is Change.IDENTITY
        assert compare({key: "ada"}, {key: "ada"}) is Change.NONE

    @pytest.mark.parametrize("key", PRIVILEGE_KEYS)
    def test_privilege(self, key):
        """Each privilege key counts: set, changed, or taken away."""
        assert compare({}, {key: ["editor"]}) is Change.PRIVILEGE
        assert compare({key: ["editor"]}, {key: ["editor", "admin"]}) is Change.PRIVILEGE
        assert compare({key: ["editor"]}, {}) is Change.PRIVILEGE
        assert compare({key: ["editor"]}, {key: ["editor"]}) is Change.NONE

    @pytest.mark.parametrize("key", IDENTITY_KEYS)
    @pytest.mark.parametrize("gone", [{}, None, False, ""])
    def test_logout(self, key, gone):
        """An identity key that is popped, or set to what is nobody, is a logout."""
        after = {"cart": 1} if gone == {} else {"cart": 1, key: gone}

        assert compare({key: "ada", "cart": 1}, after) is Change.LOGOUT

    @pytest.mark.parametrize("nobody", [None, False, ""])
    def test_falsy_identity_is_nobody(self, nobody):
        """Where nobody was before, anybody who comes is a new identity, and his going a logout."""
        assert compare({"user": nobody}, {"user": "ada"}) is Change.IDENTITY
        assert compare({"user": "ada"}, {"user": nobody}) is Change.LOGOUT

    @pytest.mark.parametrize("zero", [0, 0.0, "0"])
    def test_zero_is_a_user(self, zero):
        """A user's id may be zero: he logs in and out as any other."""
        assert compare({}, {"user_id": zero}) is Change.IDENTITY
        assert compare({"user_id": zero}, {}) is Change.LOGOUT

    def test_one_identity_key_of_two_is_no_logout(self):
        """Who is still somebody by another key was not logged out, but his id changes."""
        assert compare({"user_id": 7, "email": "a@b.c"}, {"user_id": 7}) is Change.IDENTITY
        assert compare({"user_id": 7, "email": "a@b.c"}, {}) is Change.LOGOUT

    def test_identity_outweighs_privilege(self):
        """Both at once are a change of identity, or a logout."""
        assert compare({"role": "guest"}, {"user": "ada", "role": "admin"}) is Change.IDENTITY
        assert compare({"user": "ada", "role": "admin"}, {"role": "guest"}) is Change.LOGOUT

    def test_other_keys_do_not_count(self):
        """What is not named changes nothing, whatever it is called."""
        assert compare({"cart": 1}, {"cart": 2, "User": "x", "roles_": "x", "user id": 1}) is Change.NONE

    def test_keys_are_the_settings(self):
        """The names are the caller's, one or many or none."""
        before, after = {"member": 1, "level": 1}, {"member": 2, "level": 1}

        assert change(before, after, identity=["member"], privilege=["level"]) is Change.IDENTITY
        assert change(before, {}, identity=["member"], privilege=[]) is Change.LOGOUT
        assert change(before, after, identity=[], privilege=["member"]) is Change.PRIVILEGE
        assert change(before, after, identity=[], privilege=[]) is Change.NONE

    def test_absent_differs_from_none(self):
        """A privilege that is set to None was set: absent and None are two things."""
        assert compare({}, {"role": None}) is Change.PRIVILEGE
        assert compare({"role": None}, {"role": None}) is Change.NONE

    def test_nested_values_are_compared(self):
        """A change inside a stored value counts."""
        assert compare({"user": {"id": 1, "admin": False}}, {"user": {"id": 1, "admin": True}}) is Change.IDENTITY


class TestOwner:
    """Whose session it is, for certain."""

    @pytest.mark.parametrize(
        ("value", "text"),
        [("7", "7"), (7, "7"), (0, "0"), ("ada", "ada"), (True, "True"), (UUID(int=1), f"{UUID(int=1)}")],
    )
    @pytest.mark.parametrize("key", OWNER_KEYS)
    def test_is_text(self, key, value, text):
        """The id is compared as text: 7 and "7" are one user, and zero is one."""
        assert owner({key: value}) == text

    @pytest.mark.parametrize("nobody", [None, False, ""])
    def test_falsy_is_nobody(self, nobody):
        """None, False and the empty text are no user, and the other key is asked."""
        assert owner({"_user_id": nobody}) is None
        assert owner({"_user_id": nobody, "user_id": nobody}) is None
        assert owner({"_user_id": nobody, "user_id": 7}) == "7"

    def test_flask_login_goes_first(self):
        """Where both keys stand, Flask-Login's counts."""
        assert owner({"user_id": 1, "_user_id": "2"}) == "2"

    @pytest.mark.parametrize("key", sorted(set(IDENTITY_KEYS) - set(OWNER_KEYS)))
    def test_other_keys_are_never_taken(self, key):
        """A name or an address is not guessed to be an id."""
        assert owner({key: "ada"}) is None

    def test_nobody(self):
        """An empty session belongs to nobody."""
        assert owner({}) is None


class TestUserId:
    """What a user's id may be."""

    @pytest.mark.parametrize("value", [0, 7, "ada", "Zoë", "x" * 1024], ids=str)
    def test_text_of_an_id(self, value):
        """Anything with a text of 1 to 1024 bytes is an id."""
        assert user_id(value) == str(value)

    @pytest.mark.parametrize(
        "value",
        ["", "x" * 1025, "é" * 513, "\ud800", 10**5000],
        ids=["empty", "too long", "too many bytes", "no Unicode", "too many digits"],
    )
    def test_what_cannot_be_an_id(self, value):
        """An id that cannot be sealed is an error in words, whoever chose it."""
        with pytest.raises(SerializationError, match="a text of 1 to 1024 bytes"):
            user_id(value)

    def test_key_with_such_a_value(self):
        """The application's own key is held to the same."""
        with pytest.raises(SerializationError):
            owner({"user_id": "\ud800"})

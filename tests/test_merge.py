"""Two requests changed one session: the merge of what both meant."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hardsession.merge import FLASHES, merge

KEYS = ("a", "b", "c", "role")
values = st.recursive(
    st.none() | st.integers(2, 9) | st.sampled_from(["", "x", "y"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xy"), inner, max_size=2),
    max_leaves=4,
)
sessions = st.dictionaries(st.sampled_from(KEYS), values, max_size=4)
messages = st.lists(st.tuples(st.just("message"), st.sampled_from("pqrst")), max_size=4)


unhurried = settings(deadline=None)


class Missing:
    """What a session has under a key that is not there."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Any = Missing()


def merged(base: Any, ours: Any, theirs: Any, **options: Any) -> Any:
    """The merge of one key's values."""
    sides = [{} if side is MISSING else {"key": side} for side in (base, ours, theirs)]
    data, contested = merge(*sides, **options)
    return data.get("key", MISSING), contested


class TestOneKey:
    """What becomes of one key: each case."""

    @pytest.mark.parametrize(
        ("base", "ours", "theirs", "result"),
        [
            (1, 1, 1, 1),
            (1, 2, 1, 2),
            (1, 1, 2, 2),
            (1, 2, 2, 2),
            (MISSING, 1, MISSING, 1),
            (MISSING, MISSING, 1, 1),
            (MISSING, 1, 1, 1),
        ],
    )
    def test_change_of_one_side_counts(self, base, ours, theirs, result):
        """What one side changed counts, and what both changed alike is no conflict."""
        assert merged(base, ours, theirs) == (result, [])

    @pytest.mark.parametrize(
        ("base", "ours", "theirs"),
        [
            (1, MISSING, 1),
            (1, 1, MISSING),
            (1, MISSING, MISSING),
            (1, MISSING, 2),
            (1, 2, MISSING),
            ([1], MISSING, [1, 2]),
            ([1], [1, 2], MISSING),
        ],
    )
    def test_removed_stays_removed(self, base, ours, theirs):
        """What either side removed is gone, even if the other changed it."""
        assert merged(base, ours, theirs) == (MISSING, [])

    @pytest.mark.parametrize(
        ("base", "ours", "theirs", "result"),
        [
            ([1], [1, 2], [1, 3], [1, 3, 2]),
            ([], [2], [3], [3, 2]),
            ([1], [1, 2], [1, 2], [1, 2, 2]),
            ([1], [1, 2, 3], [1], [1, 2, 3]),
            ([[1]], [[1], [2]], [[1], [3]], [[1], [3], [2]]),
        ],
    )
    def test_lists_that_both_appended_to_keep_both(self, base, ours, theirs, result):
        """What both appended is there: theirs, which was stored first, before ours."""
        assert merged(base, ours, theirs) == (result, [])

    @pytest.mark.parametrize(
        ("base", "ours", "theirs"),
        [
            (1, 2, 3),
            (MISSING, 1, 2),
            ([1], [2], [1, 3]),
            ([1], [1, 2], [0, 1]),
            ([1], [1, 2], "12"),
            ((1,), (1, 2), (1, 3)),
            ({"x": 1}, {"x": 2}, {"x": 1, "y": 1}),
        ],
    )
    def test_contested(self, base, ours, theirs):
        """Changed by both otherwise, ours counts, and the key is named; of a privilege, theirs."""
        assert merged(base, ours, theirs) == (ours, ["key"])
        assert merged(base, ours, theirs, stored_wins=["key"]) == (theirs, ["key"])

    @pytest.mark.parametrize(
        ("before", "after"),
        [(1, True), (0, False), (False, 0), (1, 1.0), ([1], [True]), ({"x": 0}, {"x": False})],
    )
    def test_change_of_type_is_a_change(self, before, after):
        """Python calls 1 and True equal, and what is stored is not: who wrote the one has changed the other."""
        ours, contested = merged(before, after, before)
        theirs, _ = merged(before, before, after)

        assert repr(ours) == repr(after)
        assert repr(theirs) == repr(after)
        assert contested == []

    def test_number_that_is_none(self):
        """A value that does not even equal itself is no conflict while nobody touched it."""
        value, contested = merged(float("nan"), float("nan"), float("nan"))

        assert repr(value) == "nan"
        assert contested == []


class TestFlashes:
    """Messages: shown ones go, new ones come."""

    @pytest.mark.parametrize(
        ("base", "ours", "theirs", "result"),
        [
            (["p"], ["p", "q"], ["p", "r"], ["p", "r", "q"]),
            (["p"], MISSING, ["p", "r"], ["r"]),
            (["p"], ["p", "q"], MISSING, ["q"]),
            (["p"], MISSING, MISSING, MISSING),
            (["p"], ["q"], ["p", "r"], ["r", "q"]),
            (["p"], ["q"], ["r"], ["r", "q"]),
            (MISSING, ["q"], ["r"], ["r", "q"]),
            (["p"], MISSING, ["p"], MISSING),
            (["p"], ["p", "p"], ["p", "p"], ["p", "p", "p"]),
            (MISSING, ["p"], ["p"], ["p", "p"]),
        ],
    )
    def test_cases(self, base, ours, theirs, result):
        """Shown by either side is gone, flashed by either side is there, and twice the same is two messages."""
        sides = [{} if side is MISSING else {FLASHES: side} for side in (base, ours, theirs)]

        data, contested = merge(*sides)

        assert data.get(FLASHES, MISSING) == result
        assert contested == []

    @pytest.mark.parametrize("odd", [None, 7, "text", {"x": 1}])
    def test_that_are_no_list(self, odd):
        """An application that keeps something else under Flask's key gets a merge of it as of any other, no error."""
        data, contested = merge({FLASHES: ["p"]}, {FLASHES: odd}, {FLASHES: ["p", "q"]})

        assert data == {FLASHES: odd}
        assert contested == [FLASHES]

    @unhurried
    @given(messages, messages, messages, st.data())
    def test_none_is_lost_and_none_comes_back(self, base, our_new, their_new, data):
        """Of distinct messages exactly those are left that were flashed and that nobody showed."""
        base = list(dict.fromkeys(base))
        ours_kept = data.draw(st.lists(st.sampled_from(base), unique=True)) if base else []
        theirs_kept = data.draw(st.lists(st.sampled_from(base), unique=True)) if base else []
        our_new = [("ours", text) for _, text in our_new]
        their_new = [("theirs", text) for _, text in their_new]
        ours = [message for message in base if message in ours_kept] + our_new
        theirs = [message for message in base if message in theirs_kept] + their_new

        result, contested = merge(*({FLASHES: side} if side else {} for side in (base, ours, theirs)))

        kept = [message for message in base if message in ours_kept and message in theirs_kept]
        assert result.get(FLASHES, []) == kept + their_new + our_new
        assert contested == []


def three(test: Any) -> Any:
    """Give a test any three sessions."""
    return unhurried(given(sessions, sessions, sessions)(test))


class TestProperties:
    """What holds for any three sessions."""

    @three
    def test_change_that_one_side_made_is_there(self, base, ours, theirs):
        """Nobody's independent change is lost: a key that one side left alone is as the other one made it."""
        result, contested = merge(base, ours, theirs)

        for key in KEYS:
            before, our, their = (side.get(key, MISSING) for side in (base, ours, theirs))
            if our == before:
                assert result.get(key, MISSING) == their
                assert key not in contested
            elif their == before:
                assert result.get(key, MISSING) == our
                assert key not in contested

    @three
    def test_removal_wins(self, base, ours, theirs):
        """A key that was there and that either side removed is not there."""
        result, _ = merge(base, ours, theirs)

        assert result.keys().isdisjoint(base.keys() - (ours.keys() & theirs.keys()))

    @three
    def test_nothing_is_invented(self, base, ours, theirs):
        """Each value is one of the three, or a list that both appended to."""
        result, _ = merge(base, ours, theirs)

        assert result.keys() <= ours.keys() | theirs.keys()
        for key, value in result.items():
            sides = [side.get(key, MISSING) for side in (base, ours, theirs)]
            assert value in sides or all(side is MISSING or isinstance(side, list) for side in sides)

    @three
    def test_contested_keys_follow_the_rule(self, base, ours, theirs):
        """Of contested keys ours counts, but of a privilege what is stored."""
        result, contested = merge(base, ours, theirs, stored_wins=["role"])

        for key in contested:
            winner = theirs if key == "role" else ours
            assert result.get(key, MISSING) == winner.get(key, MISSING)

    @three
    def test_result_is_merged_already(self, base, ours, theirs):
        """A merge that is made again on top of its own result changes nothing: a retry appends nothing twice."""
        result, _ = merge(base, ours, theirs)

        assert merge(theirs, result, theirs) == (result, [])
        assert merge(result, result, result) == (result, [])

    @three
    def test_is_the_same_each_time(self, base, ours, theirs):
        """The same three sessions give the same result, down to the order of the keys."""
        first, second = merge(base, ours, theirs), merge(*deepcopy((base, ours, theirs)))

        assert first == second
        assert list(first[0]) == list(second[0])

    @three
    def test_changes_none_of_its_arguments(self, base, ours, theirs):
        """The three sessions stay as they are, and no list of theirs is shared."""
        before = deepcopy((base, ours, theirs))

        merge(base, ours, theirs)

        assert (base, ours, theirs) == before

    @three
    def test_who_changed_nothing_gets_what_is_stored(self, base, ours, theirs):
        """A request that changed nothing leaves all as the other one made it."""
        assert merge(base, deepcopy(base), theirs) == (theirs, [])

    @three
    def test_who_was_alone_stores_what_he_meant(self, base, ours, theirs):
        """Where the other changed nothing, the result is what this request made."""
        assert merge(base, ours, deepcopy(base)) == (ours, [])


@unhurried
@given(st.lists(values, max_size=3), st.lists(values, max_size=3), st.lists(values, max_size=3))
@example([], [1], [1])
def test_appended_by_both(base, our_new, their_new):
    """A list that both only appended to has what was there, then theirs, then ours."""
    result, contested = merge({"a": base}, {"a": base + our_new}, {"a": base + their_new})

    assert result["a"] == base + their_new + our_new
    assert contested == []


@unhurried
@given(st.lists(st.tuples(st.sampled_from(KEYS), st.integers()), min_size=1, max_size=8))
def test_many_writers(writes):
    """Writers who all read the same session, and each change a key of their own, one after the other: all are there."""
    base: dict[str, Any] = {"start": 1}
    stored = dict(base)
    for number, (key, value) in enumerate(writes):
        stored, contested = merge(base, base | {f"{key}{number}": value}, stored)
        assert contested == []

    assert stored == base | {f"{key}{number}": value for number, (key, value) in enumerate(writes)}

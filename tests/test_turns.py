"""Nothing is left out for ever: the shares of some weeks are the whole."""

import pytest

from tests import turns


@pytest.mark.parametrize("weeks", [range(1, 13), range(46, 53)])
def test_a_share_of_each_week_is_the_whole_after_some(weeks, monkeypatch):
    monkeypatch.setattr(turns, "ALL", False)
    items, met, kinds = list(range(7)), set(), "abcde"
    for week in weeks:
        monkeypatch.setattr(turns, "WEEK", week)
        met |= set(turns.share(items, 3))
        assert 0 < len(turns.share(items, 3)) < len(items)
    assert met == set(items)
    paired = set()
    for week in weeks:
        monkeypatch.setattr(turns, "WEEK", week)
        (one,) = turns.each_in_turn(items, kinds)
        assert list(one) == items
        paired |= set(one.items())
    assert paired == {(item, kind) for item in items for kind in kinds}


def test_all_of_it_is_taken_where_that_is_asked_for(monkeypatch):
    monkeypatch.setattr(turns, "ALL", True)
    assert turns.share("abc", 3) == ["a", "b", "c"]
    found = [pair for one in turns.each_in_turn("xyz", "ab") for pair in one.items()]
    assert sorted(found) == [(row, kind) for row in "xyz" for kind in "ab"]

"""The packed form of counters."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickai_providers_core.stores.sqlite.packed_counters import add_up_counters, pack_counters, unpack_counters

IDS = st.one_of(st.integers(1, 20), st.integers(1, 70_000))
COUNTS = st.one_of(st.integers(0, 300), st.integers(0, 2**33), st.integers(0, 2**80))


@given(st.dictionaries(IDS, COUNTS, max_size=300))
def test_counters_are_unpacked_as_they_were(counts):
    """Whatever their number and size is."""
    assert unpack_counters(pack_counters(counts)) == counts


@pytest.mark.parametrize("at", range(5))
def test_the_size_follows_from_the_largest_count(at):
    """A bound belongs to the larger size; beyond the largest, they are varints."""
    letters = "BHIQV"
    for count, letter in ((2 ** (8 * 2**at) - 1, letters[at]), (2 ** (8 * 2**at), letters[min(at + 1, 4)])):
        data = pack_counters({7: count})
        assert chr(data[0]) == letter
        assert unpack_counters(data) == {7: count}


@pytest.mark.parametrize(
    "data", [b"", b"B", b"x\x00", b"B\x01\x07", b"H\x01\x07\x01", b"V\x07", b"V\x87", b"B\x00\x01"]
)
def test_damaged_counters(data):
    """They are an error, not wrong numbers."""
    with pytest.raises(ValueError, match=r"counters|zip|incomplete"):
        unpack_counters(data)
    with pytest.raises(ValueError, match=r"counters|zip|incomplete"):
        add_up_counters([pack_counters({7: 3}), data])


@given(st.lists(st.dictionaries(IDS, COUNTS, max_size=20), max_size=12))
def test_packed_counters_add_up_exactly(parts):
    """Cells with the same counters and with others, in whatever form."""
    expected = Counter()
    for each in parts:
        expected.update(each)
    assert add_up_counters(map(pack_counters, [*parts, *parts])) == {each: 2 * n for each, n in expected.items()}

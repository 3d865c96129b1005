"""Histograms and their packed form."""

from __future__ import annotations

from collections import Counter

import pytest
from ddsketch import DDSketch
from hypothesis import given
from hypothesis import strategies as st

from kickai_providers_core.values.histogram import ACCURACY, find_bucket, find_quantile, get_value, pack, unpack
from kickai_providers_core.values.varint import decode_varints, encode_varints

HISTOGRAMS = st.dictionaries(st.integers(-10_000, 10_000), st.integers(1, 2**70), max_size=20)


@given(HISTOGRAMS)
def test_a_packed_histogram_is_unpacked_as_it_was(counts):
    """Whatever its buckets are; counts of zero are left out."""
    assert unpack(pack(counts)) == counts
    assert unpack(pack({**dict.fromkeys(range(20_000, 20_003), 0), **counts})) == counts


def test_a_packed_histogram_is_small():
    """Two bytes for most buckets: a minute has about twenty of them."""
    assert len(pack(dict.fromkeys(range(200, 300), 1))) <= 204


@given(st.lists(st.integers(0, 2**120)))
def test_integers_are_decoded_as_they_were(numbers):
    """Small and large ones."""
    assert decode_varints(encode_varints(numbers)) == numbers


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x81", "the last integer is incomplete"),
        (b"\xff" * 30 + b"\x00", "an integer must take at most 19 bytes"),
    ],
)
def test_damaged_integers(data, message):
    """They are an error, not a wrong number."""
    with pytest.raises(ValueError, match=message):
        decode_varints(data)


def test_a_damaged_histogram():
    """A bucket without a count is an error."""
    with pytest.raises(ValueError, match="a count for each bucket"):
        unpack(b"\x02\x00\x00\x00" + encode_varints([1, 4]))


DURATIONS = st.lists(st.floats(1e-5, 1e5), min_size=1, max_size=200)


@given(DURATIONS, st.floats(0, 1))
def test_a_quantile_is_that_of_ddsketch(durations, quantile):
    """The reference implementation of the scheme gives the same answer."""
    reference = DDSketch(ACCURACY)
    for duration in durations:
        reference.add(duration)
    own = find_quantile(Counter(map(find_bucket, durations)), quantile)
    assert own == pytest.approx(reference.get_quantile_value(quantile), rel=1e-6)


@given(st.floats(1e-6, 1e6))
def test_a_bucket_stands_for_its_values_within_one_per_cent(duration):
    """Whatever the duration is."""
    assert get_value(find_bucket(duration)) == pytest.approx(duration, rel=ACCURACY * 1.0001)


@given(DURATIONS, DURATIONS)
def test_two_histograms_add_up(first, second):
    """The sum of two is the histogram of all their durations."""
    assert Counter(map(find_bucket, first)) + Counter(map(find_bucket, second)) == Counter(
        map(find_bucket, [*first, *second])
    )


def test_an_empty_histogram_has_no_quantile():
    """And a duration of zero counts as the shortest one."""
    assert find_quantile({}, 0.5) is None
    assert find_bucket(0.0) == find_bucket(1e-6)

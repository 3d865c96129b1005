"""Histograms and their packed form."""

from __future__ import annotations

from collections import Counter

import pytest
from ddsketch import DDSketch
from hypothesis import given
from hypothesis import strategies as st

from kickai_providers_core.values.histogram import (
    ACCURACY,
    add_up_packed,
    find_bucket,
    find_quantile,
    get_value,
    pack,
    unpack,
)
from kickai_providers_core.values.varint import decode_varints, encode_varints

HISTOGRAMS = st.dictionaries(st.integers(-10_000, 10_000), st.integers(1, 2**70), max_size=20)


@given(HISTOGRAMS)
def test_a_packed_histogram_is_unpacked_as_it_was(counts):
    """Whatever its buckets are; counts of zero are left out."""
    assert unpack(pack(counts)) == counts
    assert unpack(pack({**dict.fromkeys(range(20_000, 20_003), 0), **counts})) == counts


NARROW = st.dictionaries(
    st.integers(-70, 150), st.one_of(st.integers(1, 3), st.integers(200, 300), st.integers(65_500, 65_600)), max_size=90
)


@given(st.lists(st.one_of(HISTOGRAMS, NARROW), max_size=12))
def test_packed_histograms_add_up_exactly(histograms):
    """Whatever their forms are: few durations, many, and wide or large ones."""
    expected = Counter()
    for each in histograms:
        assert unpack(pack(each)) == each
        expected.update(each)
    assert add_up_packed(map(pack, histograms)) == expected


@pytest.mark.parametrize(
    ("counts", "size"),
    [
        (dict.fromkeys(range(200, 300), 1), 106),
        (dict.fromkeys(range(-20, 180, 15), 1), 20),
        (dict.fromkeys(range(0, 200, 2), 1), 106),
        (dict.fromkeys(range(200, 300), 200), 106),
        (dict.fromkeys(range(200, 300), 20_000), 206),
        ({-600: 1, 600: 10**9}, 12),
    ],
)
def test_a_packed_histogram_is_small(counts, size):
    """A byte for each duration or each bucket, or as many as the counts need."""
    packed = pack(counts)
    assert (len(packed), unpack(packed)) == (size, counts)


@pytest.mark.parametrize("number", [1, 65_536, 65_537])
def test_many_rows_add_up_exactly(number):
    """Also when their sum needs more than four bytes."""
    counts = dict.fromkeys(range(40), 65_535)
    assert add_up_packed([pack(counts)] * number) == dict.fromkeys(range(40), 65_535 * number)


@pytest.mark.parametrize(
    "data", [b"\x02", b"\x02\0\0\0", b"\x02\0\0\0\0\x09ab", b"\x02\0\0\0\0\x03abc", b"\x02\0\0\0\0"]
)
def test_a_damaged_form_of_a_histogram(data):
    """It is an error, whether the histogram is read alone or added up with others."""
    with pytest.raises(ValueError, match="histogram"):
        unpack(data)
    with pytest.raises(ValueError, match="histogram"):
        add_up_packed([data])


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

"""Histograms and their packed form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickai_providers_core.values.histogram import pack, unpack
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

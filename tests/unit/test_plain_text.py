"""Text that is safe to show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickai_providers_core.plain_text import clean_line, count, replace_surrogates

ANY_TEXT = st.text(st.characters(exclude_categories=()))


@given(ANY_TEXT, st.integers(1, 40))
def test_a_clean_line_is_bounded_and_encodes(text: str, limit: int) -> None:
    """Whatever the text, the line has no control character, encodes as UTF-8 and keeps its limit."""
    line = clean_line(text, limit)
    assert len(line) <= limit
    line.encode()
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in line)


def test_a_printable_line_is_kept() -> None:
    """Arrows, accents and emoji are ordinary text; what is no text is shown as its str."""
    assert clean_line("Zoë → 😀", 100) == "Zoë → 😀"
    assert clean_line(ValueError("x"), 100) == "x"


@pytest.mark.parametrize(("number", "expected"), [(0, "0 tokens"), (1, "1 token"), (2, "2 tokens")])
def test_a_noun_agrees_with_its_number(number: int, expected: str) -> None:
    """Only 1 takes the singular."""
    assert count(number, "token") == expected


@given(ANY_TEXT)
def test_replaced_text_always_encodes(text: str) -> None:
    """Lone surrogates become U+FFFD, and nothing else changes."""
    replaced = replace_surrogates(text)
    replaced.encode()
    assert len(replaced) == len(text)
    assert all(after in {before, "\ufffd"} for before, after in zip(text, replaced, strict=True))

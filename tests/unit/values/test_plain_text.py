"""Text that is safe to show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickai_providers_core.values.plain_text import clean_line, clean_text, format_count

ANY_TEXT = st.text(st.characters(exclude_categories=()))


@given(ANY_TEXT, st.integers(1, 40))
def test_a_clean_line_is_bounded_and_encodes(text: str, limit: int) -> None:
    """Whatever the text, the line has no control character, encodes as UTF-8 and keeps its limit."""
    line = clean_line(text, limit)
    assert len(line) <= limit
    line.encode()
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in line)


def test_a_printable_line_is_kept() -> None:
    """Arrows, accents and emoji are ordinary text; other objects are shown as their str."""
    assert clean_line("Zoë → 😀", 100) == "Zoë → 😀"
    assert clean_line(ValueError("x"), 100) == "x"


@pytest.mark.parametrize(("number", "expected"), [(0, "0 tokens"), (1, "1 token"), (2, "2 tokens")])
def test_a_noun_agrees_with_its_number(number: int, expected: str) -> None:
    """Only 1 takes the singular."""
    assert format_count(number, "token") == expected


@given(ANY_TEXT)
def test_clean_text_always_encodes(text: str) -> None:
    """Clean text encodes as UTF-8, and text that did so before is the same."""
    cleaned = clean_text(text)
    cleaned.encode()
    assert clean_text(cleaned) == cleaned
    if not any("\ud800" <= character <= "\udfff" for character in text):
        assert cleaned == text


def test_halves_of_one_character_are_joined() -> None:
    """Two UTF-16 halves become the character; a half alone becomes U+FFFD."""
    assert clean_text("Goal \ud83d\ude00!") == "Goal \U0001f600!"
    assert clean_text("a\ud83db\ude00c") == "a\ufffdb\ufffdc"

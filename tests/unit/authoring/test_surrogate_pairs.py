"""Surrogate pairs that a service splits between two pieces of its text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickai_providers_core.authoring import SurrogateJoiner, clean_text

HIGH, LOW = "\ud83c", "\udfc9"

CASES = {
    "": "",
    "plain": "plain",
    "東京": "東京",
    HIGH + LOW: "🏉",
    f"a{HIGH}{LOW}b": "a🏉b",
    HIGH: "\ufffd",
    LOW: "\ufffd",
    LOW + HIGH: "\ufffd\ufffd",
    f"{HIGH}{HIGH}{LOW}": "\ufffd🏉",
    f"{HIGH}x{LOW}": "\ufffdx\ufffd",
    f"🏉{LOW}": "🏉\ufffd",
    "\ud800\udc00": "\U00010000",
    "\udbff\udfff": "\U0010ffff",  # noqa: F601  ruff reads all surrogates as the same character
}


@pytest.mark.parametrize("text", CASES)
@pytest.mark.parametrize("step", [1, 2, 10])
def test_halves_are_joined(text: str, step: int) -> None:
    """Pairs are joined and lone halves replaced, in a whole text and in any split of it."""
    joiner = SurrogateJoiner()
    parts = [joiner.feed(text[start : start + step]) for start in range(0, len(text), step)]
    assert "".join(parts) + joiner.finish() == CASES[text] == clean_text(text)
    assert joiner.finish() == ""


@given(st.lists(st.text(st.characters() | st.sampled_from([HIGH, LOW]))))
def test_every_piece_can_be_encoded(parts: list[str]) -> None:
    """No piece contains a surrogate, and all together are the clean text."""
    joiner = SurrogateJoiner()
    found = [joiner.feed(part) for part in parts] + [joiner.finish()]
    for piece in found:
        piece.encode("utf-8")
    assert "".join(found) == clean_text("".join(parts))


def test_an_empty_piece_keeps_what_is_held() -> None:
    """An empty piece between two halves does not separate them."""
    joiner = SurrogateJoiner()
    assert [joiner.feed(HIGH), joiner.feed(""), joiner.feed(LOW)] == ["", "", "🏉"]

"""JSON lines in any split, with limits and byte-order marks."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickai_providers_core.authoring import ajson_lines, json_lines
from kickai_providers_core.values.errors import InvalidReplyError

CASES = {
    "LF": (b'{"a":1}\n{"a":2}\n', [{"a": 1}, {"a": 2}]),
    "CRLF": (b'{"a":1}\r\n{"a":2}\r\n', [{"a": 1}, {"a": 2}]),
    "no end of the last line": (b'{"a":1}\n{"a":2}', [{"a": 1}, {"a": 2}]),
    "blank lines": (b'\n \n\r\n\t\n{"a":1}\n\n\n', [{"a": 1}]),
    "a byte-order mark": (b'\xef\xbb\xbf{"a":1}\n{"a":2}\n', [{"a": 1}, {"a": 2}]),
    "a byte-order mark and a blank line": (b'\xef\xbb\xbf\n{"a":1}\n', [{"a": 1}]),
    "characters of several bytes": ('{"a":"東京🏉"}\n'.encode(), [{"a": "東京🏉"}]),
    "separators inside a string": ('{"a":"x\u2028y\x85z"}\n'.encode(), [{"a": "x\u2028y\x85z"}]),
    "values other than objects": (b"1\nnull\n[]\n", [1, None, []]),
    "nothing": (b"", []),
    "blank": (b" \n", []),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("step", [1, 2, 3, 10**6])
def test_lines(case: str, step: int) -> None:
    """Each form of a line is read, however the bytes are split."""
    stream, expected = CASES[case]
    assert list(json_lines(stream[start : start + step] for start in range(0, len(stream), step))) == expected


@given(
    st.lists(st.none() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])).map(lambda text: [text])),
    st.data(),
)
def test_any_split_gives_the_same_values(values: list[object], data: st.DataObject) -> None:
    """The split of the bytes does not matter."""
    stream = "\n".join(json.dumps(value, ensure_ascii=False) for value in values).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    parts = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert list(json_lines(parts)) == values


@pytest.mark.parametrize(
    "stream",
    [b'{"a":1}\n{"a":', b"{'a':1}\n", b'{"a":1}{"b":2}\n', b"oops\n", b'{"a":"\xff"}\n', b'{"a":NaN}\n', b"\x00\n"],
)
async def test_a_line_that_is_not_json(stream: bytes) -> None:
    """A line that is cut or not JSON is an invalid reply, in both forms of the iterator; none is skipped."""

    async def chunks():
        yield stream

    with pytest.raises(InvalidReplyError):
        list(json_lines([stream]))
    with pytest.raises(InvalidReplyError):
        [value async for value in ajson_lines(chunks())]


@pytest.mark.parametrize("step", [1, 7, 10**6])
def test_the_length_of_a_line_is_limited(step: int) -> None:
    """A line is an invalid reply once it is longer than the limit."""
    stream = b'"' + b"x" * 200
    chunks = [stream[start : start + step] for start in range(0, len(stream), step)]
    with pytest.raises(InvalidReplyError, match="longer than 100 bytes"):
        list(json_lines(chunks, max_line_bytes=100))


async def test_the_asynchronous_iterator_closes_its_source() -> None:
    """The asynchronous iterator yields all values, and closes its source when it is closed early."""
    closed = []

    async def chunks():
        try:
            yield b"1\n2"
            yield b"\n3"
        finally:
            closed.append(True)

    assert [value async for value in ajson_lines(chunks())] == [1, 2, 3]
    values = ajson_lines(chunks())
    await anext(values)
    await values.aclose()
    assert closed == [True, True]

"""The event-stream decoder against the rules and examples of the WHATWG specification, section 9.2.6."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickai_providers_core.authoring import EventStreamDecoder, ServerSentEvent, asse_events, sse_events
from kickai_providers_core.values.errors import InvalidReplyError


def event(data: str = "", *, kind: str = "message", id: str = "", retry_ms: int | None = None) -> ServerSentEvent:  # noqa: A002
    """Return an event as the decoder makes it."""
    return ServerSentEvent(event=kind, data=data, id=id, retry_ms=retry_ms)


CASES = {
    "several data lines are joined with a line feed": (
        b"data: YHOO\ndata: +2\ndata: 10\n\n",
        [event("YHOO\n+2\n10")],
    ),
    "comments, ids, and an id that is reset; the last block has no blank line": (
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event",
        [event("first event", id="1"), event("second event")],
    ),
    "data without a colon is empty data; two of them are one line feed; no blank line, no event": (
        b"data\n\ndata\ndata\n\ndata:",
        [event(""), event("\n")],
    ),
    "one space after the colon does not belong to the value": (b"data:test\n\ndata: test\n\n", [event("test")] * 2),
    "only one space is removed": (b"data:  x \n\n", [event(" x ")]),
    "a tab is part of the value": (b"data:\tx\n\n", [event("\tx")]),
    "a colon in the value is part of it": (b"data:a:b: c\n\n", [event("a:b: c")]),
    "an event type holds for one event only": (
        b"event: add\ndata: 1\n\ndata: 2\n\n",
        [event("1", kind="add"), event("2")],
    ),
    "an event type without data makes no event and is forgotten": (b"event: add\n\ndata: 2\n\n", [event("2")]),
    "an empty event type is message": (b"event: x\nevent:\ndata: 1\n\n", [event("1")]),
    "an id lasts until it changes": (b"id: 7\ndata: 1\n\ndata: 2\n\n", [event("1", id="7"), event("2", id="7")]),
    "an id without data is kept for later events": (b"id: 7\n\ndata: 2\n\n", [event("2", id="7")]),
    "an id with NUL is ignored": (b"id: 7\ndata: 1\n\nid: 8\0\ndata: 2\n\n", [event("1", id="7"), event("2", id="7")]),
    "retry of digits is a time": (b"retry: 1500\ndata: 1\n\ndata: 2\n\n", [event("1", retry_ms=1500), event("2")]),
    "retry of anything else is ignored": (
        b"retry: 1.5\nretry: -1\nretry: 1s\nretry:\nretry:  5\nretry: \xd9\xa1\ndata: 1\n\n",
        [event("1")],
    ),
    "fields nobody knows are ignored": (b"Data: x\ndat: x\ndata : x\n data: x\nfoo\ndata: 1\n\n", [event("1")]),
    "a comment in an event does not end it": (b"data: 1\n:\n: ping\ndata: 2\n\n", [event("1\n2")]),
    "blank lines alone give no events": (b"\n\n\ndata: 1\n\n\n\n", [event("1")]),
    "CR is a line end": (b"data: 1\rdata: 2\r\rdata: 3\r\r", [event("1\n2"), event("3")]),
    "CRLF is one line end": (b"data: 1\r\ndata: 2\r\n\r\ndata: 3\r\n\r\n", [event("1\n2"), event("3")]),
    "line ends may be mixed": (b"data: 1\rdata: 2\r\ndata: 3\n\r\ndata: 4\r\n\r", [event("1\n2\n3"), event("4")]),
    "LF CR is two line ends": (b"data: 1\n\rdata: 2\n\r", [event("1"), event("2")]),
    "other separators of lines are text": (
        "data: a\u2028b\x0bc\x0cd\x85e\n\n".encode(),
        [event("a\u2028b\x0bc\x0cd\x85e")],
    ),
    "one byte-order mark at the start is skipped": (b"\xef\xbb\xbfdata: 1\n\n", [event("1")]),
    "a second byte-order mark makes another field": (b"\xef\xbb\xbf\xef\xbb\xbfdata: 1\n\ndata: 2\n\n", [event("2")]),
    "a byte-order mark later is text": (b"data: 1\n\ndata: \xef\xbb\xbf2\n\n", [event("1"), event("\ufeff2")]),
    "a byte-order mark before a comment": (b"\xef\xbb\xbf: hi\ndata: 1\n\n", [event("1")]),
    "characters of several bytes": ("data: 東京 🏉\n\n".encode(), [event("東京 🏉")]),
    "a comment that is not UTF-8": (b": \xff\ndata: 1\n\n", [event("1")]),
    "nothing": (b"", []),
    "a cut event is discarded": (b"data: 1\n\ndata: 2\n", [event("1")]),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("step", [1, 2, 3, 10**6])
def test_the_rules_of_the_specification(case: str, step: int) -> None:
    """Each rule and example of the specification holds, however the bytes are split."""
    stream, expected = CASES[case]
    decoder = EventStreamDecoder()
    found = [each for start in range(0, len(stream), step) for each in decoder.feed(stream[start : start + step])]
    assert found == expected


PIECES = st.sampled_from(
    [
        b"data",
        b"id",
        b"event",
        b"retry",
        b":",
        b" ",
        b"\n",
        b"\r",
        b"\r\n",
        b"\xef\xbb\xbf",
        "é東🏉".encode(),
        b"1",
        b"\0",
        b"",
    ]
)


@given(st.lists(PIECES).map(b"".join), st.data())
def test_any_split_gives_the_same_events(stream: bytes, data: st.DataObject) -> None:
    """The split of the bytes between reads does not matter, and neither do empty reads."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    parts = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    whole, split = EventStreamDecoder(), EventStreamDecoder()
    assert [each for part in parts for each in split.feed(part)] == whole.feed(stream)
    assert split.retry_ms == whole.retry_ms
    assert split.is_unfinished == whole.is_unfinished


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))), st.sampled_from(["\n", "\r", "\r\n"]))
def test_what_is_written_is_read(texts: list[str], end: str) -> None:
    """Data that a server writes by the rules comes out as it was."""
    lines = ["\n".join(text.splitlines()) if "\r" in text else text for text in texts]
    lines = [line.replace("\r", "") for line in lines]
    stream = "".join("".join(f"data: {part}{end}" for part in line.split("\n")) + end for line in lines)
    assert [each.data for each in EventStreamDecoder().feed(stream.encode())] == lines


def test_an_unfinished_event_is_noticed() -> None:
    """`is_unfinished` is true when the bytes end inside an event, and finishing discards it."""
    decoder = EventStreamDecoder()
    decoder.feed(b"data: 1\n\n")
    assert not decoder.is_unfinished
    for more in (b"da", b"ta: 2", b"\n"):
        assert decoder.feed(more) == []
        assert decoder.is_unfinished
    decoder.finish()
    assert not decoder.is_unfinished


def test_the_reconnection_time_lasts() -> None:
    """The stream's reconnection time is kept from block to block, with or without data."""
    decoder = EventStreamDecoder()
    decoder.feed(b"retry: 20\n\ndata: 1\n\n")
    assert decoder.retry_ms == 20


@pytest.mark.parametrize("stream", [b"data: \xff\n\n", b"data: \xe6\x9d\n\n", b"event: \xff\n", b"id: \xed\xa0\x80\n"])
def test_damaged_utf8_is_refused(stream: bytes) -> None:
    """Damaged text is an invalid reply by default."""
    with pytest.raises(InvalidReplyError, match="UTF-8"):
        EventStreamDecoder().feed(stream)
    EventStreamDecoder(errors="replace").feed(stream)


def test_damaged_utf8_can_be_replaced() -> None:
    """With ``errors="replace"`` it becomes U+FFFD, as in a browser."""
    assert EventStreamDecoder(errors="replace").feed(b"data: a\xffb\n\n") == [event("a\ufffdb")]


@pytest.mark.parametrize("step", [1, 7, 10**6])
@pytest.mark.parametrize(
    "stream", [b"x" * 200, b"data: " + b"x" * 200, b"data: xxxxxxxxxx\n" * 20, b"data\n" * 100, b":" * 200]
)
def test_the_size_of_an_event_is_limited(stream: bytes, step: int) -> None:
    """An event is an invalid reply once it is larger than the limit, in one line or in many."""
    chunks = [stream[start : start + step] for start in range(0, len(stream), step)]
    with pytest.raises(InvalidReplyError, match="larger than 100 bytes"):
        list(sse_events(chunks, max_event_bytes=100))


def test_the_number_of_events_is_not_limited() -> None:
    """The limit is for each event, not for the stream."""
    decoder = EventStreamDecoder(max_event_bytes=100)
    assert len(decoder.feed(b"data: x\n: comment\n\n" * 1000)) == 1000


def test_the_data_is_not_in_the_repr() -> None:
    """Logs of local variables do not show it."""
    assert "secret" not in repr(event("secret"))


class Source:
    """Chunks, and how often they were closed."""

    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = iter(chunks)
        self.closed = 0

    def __iter__(self):
        return self.chunks

    def close(self) -> None:
        self.closed += 1

    def __aiter__(self):
        return self

    async def __anext__(self) -> bytes:
        for chunk in self.chunks:
            return chunk
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed += 1


STREAM = [b"data: 1\n", b"\ndata: 2\n\n", b"data: 3"]


def test_the_iterator_closes_its_source() -> None:
    """At the end, or when it is closed early."""
    source = Source(STREAM)
    assert [each.data for each in sse_events(source)] == ["1", "2"]
    assert source.closed == 1
    source = Source(STREAM)
    events = sse_events(source)
    next(events)
    events.close()
    assert source.closed == 1
    assert [each.data for each in sse_events(STREAM)] == ["1", "2"]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_lines_with_unknown_fields_are_kept(size: int) -> None:
    """Lines that are neither fields nor comments do not make an event, but 64 KiB of them can be read."""
    stream = b': hi\nid: 1\n{\n "error": 503\r\n}\rretry: x\nid\n\ndata: 1\n\n'
    decoder = EventStreamDecoder()
    events = [event for start in range(0, len(stream), size) for event in decoder.feed(stream[start : start + size])]
    assert [event.data for event in events] == ["1"]
    assert decoder.unknown_lines == [b"{", b' "error": 503', b"}"]
    decoder.feed((b"x" * 1000 + b"\n") * 1000)
    assert sum(map(len, decoder.unknown_lines)) == 64 * 1024


async def test_the_asynchronous_iterator_closes_its_source() -> None:
    """At the end, or when it is closed early."""
    source = Source(STREAM)
    assert [each.data async for each in asse_events(source)] == ["1", "2"]
    assert source.closed == 1
    source = Source(STREAM)
    events = asse_events(source)
    await anext(events)
    await events.aclose()
    assert source.closed == 1


async def _never_waits(count: int):
    for _ in range(count):
        yield b"data: x\n\n" * 10


@pytest.mark.parametrize("huge", [False, True])
async def test_a_source_that_never_waits_does_not_block_the_loop(huge: bool) -> None:
    """Other tasks run while a source yields bytes without waiting, in small pieces or in one huge one."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def one():
        yield b"data: x\n\n" * 100_000

    task = asyncio.create_task(other())
    count = sum([1 async for _ in asse_events(one() if huge else _never_waits(10_000))])
    task.cancel()
    assert count == 100_000
    assert turns > 5

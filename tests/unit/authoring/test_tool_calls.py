"""Tool calls in pieces: none are merged or lost, and each has a unique id."""

import itertools
import json
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickai_providers_core.authoring import ToolCallAssembler, new_call_id
from kickai_providers_core.values.errors import InvalidReplyError

CITY, TIME = '{"city":"Bern"}', '{"zone":"CET"}'


def assemble(pieces: list[dict[str, object]]) -> list[tuple[str, str, str]]:
    """Return the calls that pieces make, with generated ids ``new0``, ``new1`` and so on."""
    numbers = itertools.count()
    assembler = ToolCallAssembler(new_id=lambda: f"new{next(numbers)}")
    for piece in pieces:
        assembler.add(**piece)
    return [(call.id, call.name, call.arguments) for call in assembler.finish()]


CASES = {
    "an index, the id first": (
        [
            {"index": 0, "id": "a", "name": "f", "arguments": ""},
            {"index": 0, "arguments": '{"city"'},
            {"index": 0, "arguments": ':"Bern"}'},
        ],
        [("a", "f", CITY)],
    ),
    "two calls, interleaved by index": (
        [
            {"index": 0, "id": "a", "name": "f", "arguments": '{"city":'},
            {"index": 1, "id": "b", "name": "g", "arguments": '{"zone":'},
            {"index": 0, "arguments": '"Bern"}'},
            {"index": 1, "arguments": '"CET"}'},
        ],
        [("a", "f", CITY), ("b", "g", TIME)],
    ),
    "two ids under one index": (
        [
            {"index": 0, "id": "a", "name": "f", "arguments": CITY},
            {"index": 0, "id": "b", "name": "f", "arguments": TIME},
        ],
        [("a", "f", CITY), ("b", "f", TIME)],
    ),
    "two ids under one index, the first still open": (
        [
            {"index": 0, "id": "a", "name": "f", "arguments": '{"city"'},
            {"index": 0, "id": "b", "name": "f", "arguments": '{"zone":'},
            {"index": 0, "arguments": '"CET"}'},
        ],
        [("a", "f", '{"city"'), ("b", "f", TIME)],
    ),
    "two ids and no index": (
        [{"id": "a", "name": "f", "arguments": CITY}, {"id": "b", "name": "g", "arguments": TIME}],
        [("a", "f", CITY), ("b", "g", TIME)],
    ),
    "the id in each piece, interleaved": (
        [
            {"id": "a", "name": "f", "arguments": '{"city":'},
            {"id": "b", "name": "g", "arguments": '{"zone":'},
            {"id": "a", "arguments": '"Bern"}'},
            {"id": "b", "arguments": '"CET"}'},
        ],
        [("a", "f", CITY), ("b", "g", TIME)],
    ),
    "id and name in each piece": (
        [
            {"index": 0, "id": "a", "name": "f", "arguments": '{"city":'},
            {"index": 0, "id": "a", "name": "f", "arguments": '"Bern"}'},
        ],
        [("a", "f", CITY)],
    ),
    "neither id nor index, two names": (
        [{"name": "f", "arguments": CITY}, {"name": "g", "arguments": TIME}],
        [("new0", "f", CITY), ("new1", "g", TIME)],
    ),
    "neither id nor index, one name twice": (
        [{"name": "f", "arguments": CITY}, {"name": "f", "arguments": TIME}],
        [("new0", "f", CITY), ("new1", "f", TIME)],
    ),
    "one index without ids, two names": (
        [{"index": 0, "name": "f", "arguments": CITY}, {"index": 0, "name": "g", "arguments": TIME}],
        [("new0", "f", CITY), ("new1", "g", TIME)],
    ),
    "neither id nor index, in pieces": (
        [{"name": "f", "arguments": '{"city"'}, {"arguments": ':"Bern"}'}, {"name": "g"}, {"arguments": TIME}],
        [("new0", "f", CITY), ("new1", "g", TIME)],
    ),
    "objects instead of text": (
        [{"name": "f", "arguments": {"city": "Bern"}}, {"name": "f", "arguments": MappingProxyType({"zone": "CET"})}],
        [("new0", "f", CITY), ("new1", "f", TIME)],
    ),
    "objects under one index": (
        [
            {"index": 0, "name": "f", "arguments": {"city": "Bern"}},
            {"index": 0, "name": "f", "arguments": {"zone": "CET"}},
        ],
        [("new0", "f", CITY), ("new1", "f", TIME)],
    ),
    "one id for two indices": (
        [
            {"index": 0, "id": "a", "name": "f", "arguments": CITY},
            {"index": 1, "id": "a", "name": "g", "arguments": TIME},
        ],
        [("a", "f", CITY), ("new0", "g", TIME)],
    ),
    "one id for two whole calls": (
        [{"id": "a", "name": "f", "arguments": CITY}, {"id": "a", "name": "f", "arguments": TIME}],
        [("a", "f", CITY), ("new0", "f", TIME)],
    ),
    "empty ids": (
        [
            {"index": 0, "id": "", "name": "f", "arguments": CITY},
            {"index": 1, "id": "", "name": "g", "arguments": TIME},
        ],
        [("new0", "f", CITY), ("new1", "g", TIME)],
    ),
    "empty ids and names in later pieces": (
        [
            {"index": 0, "id": "a", "name": "f", "arguments": '{"city":'},
            {"index": 0, "id": "", "name": "", "arguments": '"Bern"}'},
        ],
        [("a", "f", CITY)],
    ),
    "an id that comes late": (
        [{"index": 0, "name": "f", "arguments": '{"city":'}, {"index": 0, "id": "a", "arguments": '"Bern"}'}],
        [("a", "f", CITY)],
    ),
    "a name that comes late": (
        [{"index": 0, "id": "a"}, {"index": 0, "name": "f", "arguments": CITY}],
        [("a", "f", CITY)],
    ),
    "arguments that only look complete": (
        [{"name": "f", "arguments": '{"x":"}'}, {"name": "f", "arguments": '"}'}],
        [("new0", "f", '{"x":"}"}')],
    ),
    "an id that is a number": ([{"id": 7, "name": "f", "arguments": CITY}], [("7", "f", CITY)]),
    "no arguments": ([{"id": "a", "name": "f"}], [("a", "f", "{}")]),
    "arguments cut off": ([{"id": "a", "name": "f", "arguments": '{"ci'}], [("a", "f", '{"ci')]),
    "a character in two pieces": (
        [{"id": "a", "name": "f", "arguments": '{"x":"\ud83c'}, {"arguments": '\udfc9"}'}],
        [("a", "f", '{"x":"🏉"}')],
    ),
    "nothing": ([], []),
}


@pytest.mark.parametrize("case", CASES)
def test_calls(case: str) -> None:
    """Every form in which services send calls gives the right calls."""
    pieces, expected = CASES[case]
    assert assemble(pieces) == expected


IDS = st.sampled_from([None, "", "a", "b", "new0"])


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "index": st.sampled_from([None, 0, 1]),
                "id": IDS,
                "name": st.sampled_from(["f", "g"]),
                "arguments": st.sampled_from([CITY, TIME, {"a": 1}]),
            }
        )
    )
)
def test_whole_calls_are_never_merged(pieces: list[dict[str, object]]) -> None:
    """Each whole call is one call, in order, with a unique id."""
    calls = assemble(pieces)
    assert [name for _, name, _ in calls] == [piece["name"] for piece in pieces]
    assert all(isinstance(json.loads(arguments), dict) for _, _, arguments in calls)
    ids = [call_id for call_id, _, _ in calls]
    assert all(ids)
    assert len(set(ids)) == len(ids)


@given(
    st.lists(st.tuples(st.sampled_from("fg"), st.sampled_from([CITY, TIME, "{}"])), min_size=1),
    st.sampled_from(["index", "id", "both"]),
    st.data(),
)
def test_any_split_gives_the_same_calls(whole: list[tuple[str, str]], by: str, data: st.DataObject) -> None:
    """The split of the arguments, and the order in which pieces of several calls alternate, do not matter."""
    queues = []
    for number, (name, arguments) in enumerate(whole):
        mark = {key: value for key, value in (("index", number), ("id", f"c{number}")) if by in {key, "both"}}
        cuts = sorted(data.draw(st.lists(st.integers(0, len(arguments)), max_size=3)))
        parts = [arguments[a:b] for a, b in zip([0, *cuts], [*cuts, len(arguments)], strict=True)]
        queues.append([{**mark, "name": name, "arguments": ""}, *({**mark, "arguments": part} for part in parts)])
    pieces = [queue.pop(0) for queue in queues]  # all begin in order
    while any(queues):
        pieces.append(data.draw(st.sampled_from([queue for queue in queues if queue])).pop(0))
    assert [(name, arguments) for _, name, arguments in assemble(pieces)] == whole


@pytest.mark.parametrize(
    "piece",
    [
        {"arguments": "{}"},
        {"id": "a", "arguments": "{}"},
        {"id": "a", "name": ""},
        {"name": 3},
        {"id": ["a"], "name": "f"},
        {"id": True, "name": "f"},
        {"index": "0", "name": "f"},
        {"index": 0.0, "name": "f"},
        {"name": "f", "arguments": ["secret"]},
        {"name": "f", "arguments": 1},
        {"name": "f", "arguments": {"secret": float("nan")}},
    ],
)
def test_malformed_calls(piece: dict[str, object]) -> None:
    """A call without a name, or with a part of the wrong type, is an invalid reply; the message quotes nothing."""
    with pytest.raises(InvalidReplyError) as caught:
        assemble([piece])
    assert "secret" not in str(caught.value)


def test_the_number_of_calls_is_limited() -> None:
    """Too many calls are an invalid reply."""
    with pytest.raises(InvalidReplyError, match="more than 1000"):
        assemble([{"name": "f", "arguments": "{}"}] * 1001)


def test_generated_ids_differ() -> None:
    """Generated ids are unique, and an assembler without calls is false."""
    assert len({new_call_id() for _ in range(1000)}) == 1000
    assembler = ToolCallAssembler()
    assert not assembler
    assembler.add(name="f")
    assert assembler
    assert assembler.finish()[0].id.startswith("call_")

"""Documents, their versions and their history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kickai_providers_core.stores.api import Document, HistoryEntry
from kickai_providers_core.testing.store_contract.spec import StoreSpec

if TYPE_CHECKING:
    from kickai_providers_core.stores.api import Store

__all__ = ["DocumentTests"]

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)


def make_entry(what: str) -> HistoryEntry:
    """Return an entry of a history."""
    return HistoryEntry(at_s=12.5, who="me@host", what=what, why="because", evidence={"n": [1, 2.5]})


class DocumentTests(StoreSpec):
    """Documents change only if nobody else has changed them."""

    def test_an_unknown_document_is_empty(self, store: Store) -> None:
        """It has version 0 and no history, and it can be deleted."""
        store.documents.delete("unknown")
        assert store.documents.read("unknown") == Document()
        assert list(store.documents.read_history("unknown")) == []

    def test_a_value_is_returned_as_it_was(self, store: Store) -> None:
        """Whatever JSON can represent, with the types of its numbers."""

        @settings(max_examples=40, deadline=None, database=None)
        @given(st.dictionaries(TEXTS, VALUES, max_size=4))
        def check(value: dict[str, Any]) -> None:
            version = store.documents.read("rollout").version
            assert store.documents.write("rollout", value, expected_version=version)
            found = store.documents.read("rollout")
            assert found.version > version
            assert repr(found.value) == repr(value)

        check()

    def test_tuples_become_lists(self, store: Store) -> None:
        """As in JSON; the caller's value is copied."""
        value: dict[str, Any] = {"steps": (1, 2)}
        store.documents.write("rollout", value, expected_version=0)
        value["steps"] = (3,)
        assert store.documents.read("rollout").value == {"steps": [1, 2]}

    @pytest.mark.parametrize(
        "value", [{"x": float("nan")}, {"x": float("inf")}, {1: "x"}, {"x": {2}}, {"x": b"y"}, [1]], ids=repr
    )
    def test_what_json_cannot_represent_is_refused(self, store: Store, value: Any) -> None:
        """As a value and as evidence, and nothing is written."""
        with pytest.raises((TypeError, ValueError)):
            store.documents.write("rollout", value, expected_version=0)
        entry = HistoryEntry(at_s=0.0, who="me", what="x", evidence=value)
        with pytest.raises((TypeError, ValueError)):
            store.documents.write("rollout", {}, expected_version=0, entry=entry)
        assert store.documents.read("rollout").version == 0

    def test_a_change_needs_the_current_version(self, store: Store) -> None:
        """A change that is based on another version is refused, with its entry of the history."""
        assert store.documents.write("rollout", {"n": 1}, expected_version=0, entry=make_entry("first"))
        first = store.documents.read("rollout")
        for wrong in (0, first.version + 1):
            assert not store.documents.write("rollout", {"n": 9}, expected_version=wrong, entry=make_entry("wrong"))
        assert store.documents.write("rollout", {"n": 2}, expected_version=first.version)
        assert not store.documents.write("rollout", {"n": 9}, expected_version=first.version)
        assert store.documents.read("rollout").value == {"n": 2}
        assert [entry.what for entry in store.documents.read_history("rollout")] == ["first"]

    def test_the_history_has_the_newest_entries_first(self, store: Store) -> None:
        """Each has the version that it led to, and everything that was written."""
        versions = []
        for what in ("a", "b", "c"):
            version = store.documents.read("rollout").version
            assert store.documents.write("rollout", {}, expected_version=version, entry=make_entry(what))
            versions.append(store.documents.read("rollout").version)
        history = store.documents.read_history("rollout")
        assert [(entry.what, entry.version) for entry in history] == [*zip("cba", reversed(versions), strict=True)]
        newest = history[0]
        assert (newest.at_s, newest.who, newest.why, newest.evidence) == (12.5, "me@host", "because", {"n": [1, 2.5]})
        assert [entry.what for entry in store.documents.read_history("rollout", 2)] == ["c", "b"]
        assert list(store.documents.read_history("rollout", 0)) == []

    def test_documents_are_deleted_by_their_prefix(self, store: Store) -> None:
        """The prefix is plain text, and the history goes too."""
        names = ("a/1", "a/2", "a%", "a_b", "A/1", "b", "é/1")
        for name in names:
            store.documents.write(name, {}, expected_version=0, entry=make_entry(name))
        for prefix, left in (
            ("a/", ["a%", "a_b", "A/1", "b", "é/1"]),
            ("a%", ["a_b", "A/1", "b", "é/1"]),
            ("a_", ["A/1", "b", "é/1"]),
            ("é", ["A/1", "b"]),
            ("", []),
        ):
            store.documents.delete(prefix)
            assert [name for name in names if store.documents.read(name).version] == left
            assert [name for name in names if store.documents.read_history(name)] == left

    def test_a_deleted_document_never_gets_an_old_version_again(self, store: Store) -> None:
        """A change that is based on the deleted one is refused."""
        store.documents.write("rollout", {"n": 1}, expected_version=0)
        old = store.documents.read("rollout").version
        store.documents.delete("roll")
        assert not store.documents.write("rollout", {"n": 2}, expected_version=old)
        assert store.documents.write("rollout", {"n": 3}, expected_version=0)
        assert store.documents.read("rollout").version > old
        assert not store.documents.write("rollout", {"n": 4}, expected_version=old)

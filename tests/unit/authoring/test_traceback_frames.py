"""Frames are removed from an exception and from all exceptions behind it."""

from __future__ import annotations

from kickai_providers_core.authoring import without_frames


def _with_frames(exc):
    try:
        raise exc
    except BaseException as raised:  # noqa: BLE001
        return raised


def _raised():
    group = ExceptionGroup("group", [_with_frames(ValueError("one")), _with_frames(OSError("two"))])
    group.__cause__ = _with_frames(KeyError("inner"))
    try:
        try:
            raise group
        finally:
            raise RuntimeError("outer")
    except RuntimeError as outer:
        return outer


def test_no_exception_keeps_its_frames():
    """Cause, context and members of groups are there, without tracebacks."""
    outer = _raised()
    assert outer.__traceback__ is not None
    assert without_frames(outer) is outer
    group = outer.__context__
    for each in (outer, group, group.__cause__, *group.exceptions):
        assert each.__traceback__ is None
    assert [str(each) for each in group.exceptions] == ["one", "two"]


def test_a_circle_of_causes_is_allowed():
    """Some libraries make an exception its own context."""
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__context__ = second, first
    assert without_frames(first).__cause__ is second

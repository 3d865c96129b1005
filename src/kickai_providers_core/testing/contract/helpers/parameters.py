"""Parameters that many tests share, and their ids."""

from __future__ import annotations

import pytest
from attrs import fields

from kickai_providers_core.testing.contract.helpers.constants import MODES, STREAMS
from kickai_providers_core.testing.faults import Fault, Status

__all__ = ["format_id", "in_each_mode", "in_each_stream"]

in_each_mode = pytest.mark.parametrize("mode", MODES)
in_each_stream = pytest.mark.parametrize("mode", STREAMS)


def format_id(value: object) -> str:
    """Return the id of a test's parameter: a fault's class and the values of its fields."""
    if isinstance(value, Status):
        return str(value.code)
    if not isinstance(value, Fault):
        return str(value)
    values = (getattr(value, field.name) for field in fields(type(value)))
    return "-".join([type(value).__name__, *(str(each) for each in values if isinstance(each, (int, float, str)))])

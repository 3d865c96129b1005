"""A provider that answers and fails exactly as configured, for tests and drills."""

from kickai_mock.call_record import Call
from kickai_mock.client import MockProvider
from kickai_mock.faults import KINDS, Fault
from kickai_mock.settings import Behaviour, MockInCode, MockSettings

__all__ = ["KINDS", "Behaviour", "Call", "Fault", "MockInCode", "MockProvider", "MockSettings"]

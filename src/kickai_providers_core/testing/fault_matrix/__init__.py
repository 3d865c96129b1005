"""A fault matrix: what a provider raises for each fault of its service, tested in all four modes and documented.

Each plugin lists its faults as `FaultRow` values and subclasses `FaultMatrix`; pytest then runs every row. The same
rows render the Markdown page that documents them, so the page cannot disagree with the tests.
"""

import pytest

# Before the modules are imported, so that each assertion of theirs shows its values.
pytest.register_assert_rewrite(f"{__name__}.matrix", f"{__name__}.checks")

from kickai_providers_core.testing.fault_matrix.matrix import FaultMatrix  # noqa: E402
from kickai_providers_core.testing.fault_matrix.rows import ALL_MODES, STREAMS, WHOLE_ANSWERS, FaultRow  # noqa: E402

__all__ = ["ALL_MODES", "STREAMS", "WHOLE_ANSWERS", "FaultMatrix", "FaultRow"]

"""A fault matrix: what a provider raises for each fault of its service, tested in all four modes and documented.

Each plugin lists its faults as `FaultRow` values and subclasses `FaultMatrix`; pytest then runs every row. The same
rows render the Markdown page that documents them, so the page cannot disagree with the tests.
"""

from kickai_providers_core.testing.fault_matrix.matrix import FaultMatrix
from kickai_providers_core.testing.fault_matrix.rows import ALL_MODES, STREAMS, WHOLE_ANSWERS, FaultRow

__all__ = ["ALL_MODES", "STREAMS", "WHOLE_ANSWERS", "FaultMatrix", "FaultRow"]

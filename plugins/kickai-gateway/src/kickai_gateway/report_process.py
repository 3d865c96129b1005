"""Builds the report in a process of its own: ``python -m kickai_gateway.report_process CONFIG``.

Prices take much memory, which a worker must not hold. It prints one JSON object with the page and the rollouts.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from kickai_providers_core import KickaiError
from kickai_providers_core.cli.common_options import Session
from kickai_providers_core.cli.console import Console
from kickai_providers_core.operations.html_page import render_page
from kickai_providers_core.operations.prices import load_price_list
from kickai_providers_core.operations.report_reading import ReportReader
from kickai_providers_core.operations.rollout_control import RolloutControl

__all__ = ["build_report"]

PERIOD_S = 24 * 3600
"""The time that the report covers."""


def build_report(session: Session) -> dict[str, Any]:
    """Return the page of the report, and the state of each rollout; an ``error`` when there is no report."""
    try:
        with session.store() as (store, settings):
            if store is None:
                return {"error": "there is no report without [store]"}
            now_s = time.time()
            reader = ReportReader(store=store, settings=settings, price_list=load_price_list())
            page = render_page(reader.read(now_s - PERIOD_S, now_s))
            control = RolloutControl(store, settings.rollout, who="gateway", wall=time.time)
            rollouts = [status.as_dict() for status in control.read_status()[0]]
            return {"page": page, "rollouts": rollouts}
    except KickaiError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    own = Session(Console(), config=Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    own.console.write_json(build_report(own))

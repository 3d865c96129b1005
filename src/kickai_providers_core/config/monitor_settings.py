"""The table ``[monitor]``."""

from __future__ import annotations

from attrs import frozen

from kickai_providers_core.values.base_value import Value

__all__ = ["MonitorSettings"]


@frozen(kw_only=True, eq=False, repr=False)
class MonitorSettings(Value):
    """The table ``[monitor]``.

    Attributes:
        on_alert: A command and its arguments, run without a shell when the guard changes a rollout. It gets the change
            as JSON on its standard input, and has 10 seconds. Empty for none.
    """

    on_alert: tuple[str, ...] = ()

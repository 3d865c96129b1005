"""The manager of hooks finds what pluggy finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy
import pytest

from kickai_providers_core import hookimpl
from kickai_providers_core.plugin_api import hookspecs
from kickai_providers_core.plugin_api.hook_manager import HookManager

if TYPE_CHECKING:
    from collections.abc import Callable


class Plugin:
    """Hooks under their own names, under another name, in a wrapper, and other attributes."""

    @hookimpl
    def kickai_provider_info(self) -> None:
        """Implement a hook."""

    @hookimpl(specname="kickai_create_provider", tryfirst=True)
    def make(self) -> None:
        """Implement a hook under another name."""

    @hookimpl(wrapper=True)
    def kickai_observe(self) -> Any:
        """Wrap a hook."""
        return (yield)

    def kickai_invoke_provider(self) -> None:
        """Carry no marker."""


def implementations(manager: pluggy.PluginManager) -> set[tuple[str, Callable[..., object], bool, bool]]:
    """Return the implementations of each specification."""
    manager.register(Plugin())
    manager.check_pending()
    return {
        (name, found.function.__qualname__, found.wrapper, found.tryfirst)
        for name in vars(hookspecs)
        if name.startswith("kickai_")
        for found in getattr(manager.hook, name).get_hookimpls()
    }


def test_it_finds_what_pluggy_finds() -> None:
    """All specifications are known, and the same implementations are found."""
    plain = pluggy.PluginManager(hookspecs.PROJECT_NAME)
    plain.add_hookspecs(hookspecs)
    found = implementations(HookManager())
    assert found == implementations(plain)
    assert {name for name, *_ in found} == {"kickai_provider_info", "kickai_create_provider", "kickai_observe"}


def test_a_parameter_that_no_specification_has_is_rejected() -> None:
    """The check of a plugin's parameters is pluggy's."""

    class Strange:
        @hookimpl
        def kickai_observe(self, sky: object) -> None:
            """Ask for an unknown parameter."""

    with pytest.raises(pluggy.PluginValidationError, match="sky"):
        HookManager().register(Strange())

"""The installed providers that the default chain does not call, and how to call them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from kickai_providers_core.resolver import Resolver

__all__ = ["describe_uncalled"]


def describe_uncalled(resolver: Resolver, called: Collection[str]) -> Iterator[str]:
    """Yield a line for each instance that is not among the called ones: what it lacks, or how to call it."""
    for instance in resolver.registry:
        if instance.name in called:
            continue
        errors = [problem for problem in instance.validation.problems() if problem.severity == "error"]
        if errors:
            yield f"{instance.name}: not configured ({', '.join(each.missing or each.message for each in errors)})"
        else:
            yield f"{instance.name}: not called by default; KICKAI_PRIMARY={instance.name} calls it"

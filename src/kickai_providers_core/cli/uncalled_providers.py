"""The installed providers and services that the default chain does not call, and how to call them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.config.environment import PREFIX
from kickai_providers_core.config.name_index import to_variable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from kickai_providers_core.plugin_api.instance import Instance
    from kickai_providers_core.resolver import Resolver

__all__ = ["describe_uncalled", "describe_unused_presets"]


def describe_uncalled(resolver: Resolver, called: Collection[str]) -> Iterator[str]:
    """Yield a line for each instance that is not among the called ones: what it lacks, or how to call it."""
    for instance in resolver.registry:
        if instance.name in called:
            continue
        errors = [problem for problem in instance.validation.find_problems() if problem.severity == "error"]
        if errors:
            yield f"{instance.name}: not configured ({', '.join(each.missing or each.message for each in errors)})"
        else:
            yield f"{instance.name}: not called by default; KICKAI_PRIMARY={instance.name} calls it"


def describe_unused_presets(instances: Iterable[Instance], environment: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each preset whose key is in the environment, and that no instance has: how to call its service.

    Variables that a provider reads without a preset do not count.
    """
    instances = tuple(instances)
    used = {getattr(instance.settings, "preset", None) for instance in instances}
    infos = {instance.info.name: instance.info for instance in instances}.values()
    taken = {variable for info in infos for variable in info.environment}
    for info in infos:
        table = f"{PREFIX}{to_variable(info.name)}__"
        for name, preset in info.presets.items():
            keys = [variable for variable in preset.environment if variable not in taken and environment.get(variable)]
            if keys and name not in used:
                choice = f"{table}PRESET={name} and {table}MODEL choose it"
                yield f"{keys[0]} is set, but no instance has the preset {name}; {choice}"

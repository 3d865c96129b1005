"""From a role to the targets that are asked for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.config.roles import KICKAI, Catalogue, Group, Role
from kickai_providers_core.values.targets import Target

if TYPE_CHECKING:
    from kickai_providers_core.config.settings import Settings

__all__ = ["KICKAI", "Catalogue", "Group", "Role", "targets_for"]


def targets_for(role: Role, settings: Settings) -> tuple[Target, ...]:
    """Return the targets to ask for a role, in order and each once.

    They are the role's own chain, or else the primary instance with the role's model and its backups there, and each
    fallback instance with the role's model there. What the role prefers, and before that what the settings prefer
    (``AI_PROVIDER``), comes first; the latter also where the chain did not have it.
    """
    if role.chain is not None:
        targets = [_alive(target, settings) for target in role.chain]
    else:
        primary, *fallback = settings.kickai.order
        targets = _targets_at(primary, role, settings)
        for instance in fallback:
            targets += _targets_at(instance, role, settings)[:1]
        targets = _moved_up(targets, role.prefers, settings)
    preferred = settings.kickai.preferred
    if preferred is not None:
        if all(target.provider != preferred for target in targets):
            targets = [*_targets_at(preferred, role, settings), *targets]
        targets = _moved_up(targets, preferred, settings)
    return tuple(dict.fromkeys(targets))


def _targets_at(instance: str, role: Role, settings: Settings) -> list[Target]:
    models = _models_at(instance, role, settings)
    return [Target(instance, settings.living(model)) for model in models] or [Target(instance)]


def _models_at(instance: str, role: Role, settings: Settings) -> tuple[str, ...]:
    kind = settings.kind_of(instance)
    if instance in role.models:
        return role.models[instance]
    # An instance with a name and a model of its own is an endpoint of its own: it may well serve no other model.
    if instance != kind and settings.providers[instance].model is not None:
        return ()
    return role.models.get(kind, ())


def _alive(target: Target, settings: Settings) -> Target:
    return target if target.model is None else Target(target.provider, settings.living(target.model))


def _moved_up(targets: list[Target], first: str | None, settings: Settings) -> list[Target]:
    def comes_first(target: Target) -> bool:
        return first in (target.provider, settings.kind_of(target.provider))

    return sorted(targets, key=lambda target: not comes_first(target))

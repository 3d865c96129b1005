"""The settings of a resolver: immutable values, built in code or read from a file by `kickai_providers_core.config`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import Factory, field, frozen

from kickai_providers_core.config.gateway_settings import GatewaySettings
from kickai_providers_core.config.monitor_settings import MonitorSettings
from kickai_providers_core.config.price_settings import PriceSettings
from kickai_providers_core.config.roles import (
    BUILT_IN,
    Group,
    LazyMapping,
    Role,
    find_successor,
    load_current_catalogue,
)
from kickai_providers_core.config.store_settings import StoreSettings
from kickai_providers_core.plugin_api.settings import LONGEST_S
from kickai_providers_core.resilience.breaker import BreakerSettings
from kickai_providers_core.resilience.hedging import Hedging
from kickai_providers_core.resilience.policy import Policy
from kickai_providers_core.resilience.rollout_settings import RolloutSettings
from kickai_providers_core.resilience.routing import Routing
from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.targets import Target
from kickai_providers_core.values.validation import Number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core.plugin_api.settings import ProviderSettings
    from kickai_providers_core.values.errors import Problem

__all__ = ["KickaiSettings", "Settings"]


@frozen(kw_only=True, eq=False, repr=False)
class KickaiSettings(Value):
    """The table ``[kickai]``.

    Attributes:
        primary: The instance that is called first.
        fallback: The instances that are called after it, in order. When a file or the environment sets neither this nor
            ``primary``, it also contains, before ``local``, every other plugin that has a key, by name.
        deadline_s: The time limit of a whole request, in seconds, above 0.
        plugins: The entry-point names of the plugins that may be loaded; None for all, an empty tuple for none.
        catalogue: The name of the role catalogue.
        preferred: An instance that every role calls first, even with its own chain; None for none.
        expose_service_messages: The default of all instances: whether errors contain the service's own message.
    """

    primary: str = "huggingface"
    fallback: tuple[str, ...] = ("gemini", "local")
    deadline_s: float = field(default=30.0, validator=Number(above=0))
    plugins: tuple[str, ...] | None = None
    catalogue: str = BUILT_IN
    preferred: str | None = None
    expose_service_messages: bool = False

    def __attrs_post_init__(self) -> None:
        if not self.deadline_s <= LONGEST_S:
            message = f"deadline_s must be at most {LONGEST_S}, got {self.deadline_s!r}"
            raise ValueError(message)

    @property
    def order(self) -> tuple[str, ...]:
        """The primary and the fallback instances, each once."""
        return tuple(dict.fromkeys((self.primary, *self.fallback)))


@frozen(kw_only=True, eq=False, repr=False)
class Settings(Value):
    """All settings of one resolver.

    Attributes:
        kickai: Which providers are called, in which order, and for how long.
        providers: The settings of each instance, by its name; each of its plugin's own settings class.
        roles: The roles by name. The default is the built-in catalogue, which is loaded when it is first used.
        default_role: The role of every agent that has none; by default that of the built-in catalogue.
        groups: The groups of roles, by name.
        successors: From the name of a retired model to the one that is called instead.
        policy: What follows from each class of errors.
        breaker: When a circuit breaker opens, and for how long.
        hedging: When a second target is called next to a slow one.
        routing: Which requests go to a stronger provider first.
        rollout: The rollout that begins while the store has none, and the limits of its guard.
        monitor: What follows from alerts.
        store: Where metrics and the state that processes share are kept.
        prices: Prices that the price list does not have, for ``kickai report``.
        gateway: What ``kickai serve`` listens on, and its limits.
        explicit: The names in ``kickai.primary``, ``fallback`` and ``preferred`` that were chosen. A default name is
            skipped when its plugin is not installed; a chosen one is an error then. In code: the names that differ
            from the defaults, and the preferred one.
        sources: From the dotted path of a value to its source: ``kickai.toml``, ``environment GOOGLE_API_KEY``,
            ``catalogue kickai``, ``code``. Read it with `source_of`.
        unusable: By instance, the problems that make it unusable, such as an invalid variable of its plugin.
        warnings: Problems that do not keep the settings from being used.
    """

    kickai: KickaiSettings = field(factory=KickaiSettings)
    providers: Mapping[str, ProviderSettings] = field(factory=dict)
    roles: Mapping[str, Role] = field(factory=lambda: LazyMapping(lambda: load_current_catalogue().roles))
    _default_role: Role | None = field(default=None, alias="default_role", repr=False)
    groups: Mapping[str, Group] = field(factory=lambda: LazyMapping(lambda: load_current_catalogue().groups))
    successors: Mapping[str, str] = field(factory=lambda: LazyMapping(lambda: load_current_catalogue().successors))
    policy: Policy = field(factory=Policy)
    breaker: BreakerSettings = field(factory=BreakerSettings)
    hedging: Hedging = field(factory=Hedging)
    routing: Routing = field(factory=Routing)
    rollout: RolloutSettings = field(factory=RolloutSettings)
    monitor: MonitorSettings = field(factory=MonitorSettings)
    store: StoreSettings = field(factory=StoreSettings)
    prices: PriceSettings = field(factory=PriceSettings)
    gateway: GatewaySettings = field(factory=GatewaySettings)
    explicit: frozenset[str] = field(
        # Not the decorator ``@explicit.default``: type checkers would take the field for a mandatory one.
        default=Factory(lambda settings: settings.explicit_in_code(), takes_self=True)
    )
    sources: Mapping[str, str] = field(factory=dict, repr=False)
    unusable: Mapping[str, tuple[Problem, ...]] = field(factory=dict)
    warnings: tuple[Problem, ...] = ()

    @property
    def default_role(self) -> Role:
        """The role of every agent that has none."""
        return self._default_role if self._default_role is not None else load_current_catalogue().default

    def explicit_in_code(self) -> frozenset[str]:
        """Return the names that differ from the defaults, and the preferred one."""
        preferred = {self.kickai.preferred} if self.kickai.preferred is not None else set()
        return frozenset(self.kickai.order) - frozenset(KickaiSettings().order) | preferred

    def role(self, name: str) -> Role:
        """Return the role of that name, or the default role when there is none."""
        return self.roles.get(name, self.default_role)

    def kind_of(self, instance: str) -> str:
        """Return the name of the plugin that an instance belongs to."""
        settings = self.providers.get(instance)
        return (settings.kind if settings is not None else None) or instance

    def split_for_rollout(self, role: Role, candidate: str) -> tuple[tuple[Target, ...], tuple[Target, ...]]:
        """Return the role's targets at the candidate of a rollout, and its other targets.

        A role without a target there gets the candidate's target for the role.

        Args:
            role: The role.
            candidate: An instance, or the name of a plugin for all its instances.
        """
        targets = self.targets_for(role)
        rolled_out = tuple(each for each in targets if candidate in (each.provider, self.kind_of(each.provider)))
        others = tuple(each for each in targets if each not in rolled_out)
        return rolled_out or tuple(_list_instance_targets(candidate, role, self)), others

    def find_successor(self, model: str) -> str:
        """Return the model to call for a model that may be retired."""
        return find_successor(self.successors, model)

    def source_of(self, path: str) -> str:
        """Return the source of the value at a dotted path; ``default`` when nothing set it."""
        return self.sources.get(path, "default")

    def targets_for(self, role: Role) -> tuple[Target, ...]:
        """Return the targets to call for a role, in order and each once.

        They are the role's own chain; or else the primary instance with the role's model and its backups there, and
        each fallback instance with the role's model there. The instance that the role prefers comes first, and before
        it the one that the settings prefer (``AI_PROVIDER``), even when the chain does not have that one.
        """
        if role.chain is not None:
            targets = [_replace_retired(target, self) for target in role.chain]
        else:
            primary, *fallback = self.kickai.order
            targets = _list_instance_targets(primary, role, self)
            for instance in fallback:
                targets += _list_instance_targets(instance, role, self)[:1]
            targets = _move_first(role.prefers, targets, self)
        preferred = self.kickai.preferred
        if preferred is not None:
            if all(target.provider != preferred for target in targets):
                targets = [*_list_instance_targets(preferred, role, self), *targets]
            targets = _move_first(preferred, targets, self)
        return tuple(dict.fromkeys(targets))


def _list_instance_targets(instance: str, role: Role, settings: Settings) -> list[Target]:
    models = _list_instance_models(instance, role, settings)
    return [Target(instance, settings.find_successor(model)) for model in models] or [Target(instance)]


def _list_instance_models(instance: str, role: Role, settings: Settings) -> tuple[str, ...]:
    kind = settings.kind_of(instance)
    if instance in role.models:
        return role.models[instance]
    # A named instance with its own model is a separate endpoint, which may serve no other model.
    if instance != kind and settings.providers[instance].model is not None:
        return ()
    return role.models.get(kind, ())


def _replace_retired(target: Target, settings: Settings) -> Target:
    return target if target.model is None else Target(target.provider, settings.find_successor(target.model))


def _move_first(name: str | None, targets: list[Target], settings: Settings) -> list[Target]:
    """Return the targets with those at an instance, or at the instances of a plugin, first."""

    def matches(target: Target) -> bool:
        return name in (target.provider, settings.kind_of(target.provider))

    return sorted(targets, key=lambda target: not matches(target))

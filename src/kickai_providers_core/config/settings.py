"""What a resolver is told: frozen values, built in code or read from a file by `kickai_providers_core.config`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import Factory, field, frozen
from attrs.validators import gt

from kickai_providers_core.config.roles import KICKAI, Group, Role, living, revived
from kickai_providers_core.plugin_api.settings import LONGEST_S
from kickai_providers_core.resilience.breaker import BreakerSettings
from kickai_providers_core.resilience.hedging import Hedging
from kickai_providers_core.resilience.policy import Policy
from kickai_providers_core.resilience.routing import Routing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core.plugin_api.settings import ProviderSettings
    from kickai_providers_core.values.errors import Problem

__all__ = ["KickaiSettings", "Settings"]


@frozen(kw_only=True)
class KickaiSettings:
    """The table ``[kickai]``.

    Attributes:
        primary: The instance that is asked first.
        fallback: The instances that are asked after it, in order.
        deadline_s: How long a whole request may take, above 0.
        plugins: The entry-point names of the plugins that may be loaded; None for all, an empty tuple for none.
        catalogue: The name of the role catalogue.
        preferred: An instance that every role asks first, whatever its chain; None for no such wish.
        expose_service_messages: The default of all instances: whether errors carry the service's own words.
    """

    primary: str = "huggingface"
    fallback: tuple[str, ...] = ("gemini", "local")
    deadline_s: float = field(default=30.0, validator=gt(0))
    plugins: tuple[str, ...] | None = None
    catalogue: str = KICKAI.name
    preferred: str | None = None
    expose_service_messages: bool = False

    def __attrs_post_init__(self) -> None:
        if not self.deadline_s <= LONGEST_S:
            message = f"deadline_s must be at most {LONGEST_S} seconds, got {self.deadline_s!r}"
            raise ValueError(message)

    @property
    def order(self) -> tuple[str, ...]:
        """The primary and the fallback instances, each once."""
        return tuple(dict.fromkeys((self.primary, *self.fallback)))


def _shipped_roles() -> dict[str, Role]:
    return {name: revived(role, KICKAI.successors) for name, role in KICKAI.roles.items()}


def _shipped_default() -> Role:
    return revived(KICKAI.default, KICKAI.successors)


@frozen(kw_only=True)
class Settings:
    """All settings of one resolver.

    Attributes:
        kickai: Which providers are asked, in which order, for how long.
        providers: The settings of each instance, by its name; each of its plugin's own settings class.
        roles: The roles by name, their models all alive.
        default_role: The role of everyone who has none.
        groups: The groups that roles belong to, by name.
        successors: From the name of a retired model to the one to call instead.
        policy: What follows from each class of errors.
        breaker: When a circuit breaker opens, and for how long.
        hedging: When a second target is asked beside one that takes long.
        routing: Which requests go to a stronger provider first.
        explicit: The names in ``kickai.primary``, ``fallback`` and ``preferred`` that somebody chose. A name that only
            stands there by default is skipped when its plugin is not installed; a chosen one is an error. In code:
            those that differ from the defaults, and the preferred one.
        sources: From the dotted path of a value to where it comes from: ``kickai.toml``,
            ``environment GOOGLE_API_KEY``, ``catalogue kickai``, ``code``. Read it with `source_of`.
        unusable: By instance, what keeps it from being used: an environment variable of its plugin that is not valid.
        warnings: What is worth telling of these settings, although they can be used.
    """

    kickai: KickaiSettings = field(factory=KickaiSettings)
    providers: Mapping[str, ProviderSettings] = field(factory=dict)
    roles: Mapping[str, Role] = field(factory=_shipped_roles)
    default_role: Role = field(factory=_shipped_default)
    groups: Mapping[str, Group] = field(factory=lambda: KICKAI.groups)
    successors: Mapping[str, str] = field(factory=lambda: KICKAI.successors)
    policy: Policy = field(factory=Policy)
    breaker: BreakerSettings = field(factory=BreakerSettings)
    hedging: Hedging = field(factory=Hedging)
    routing: Routing = field(factory=Routing)
    explicit: frozenset[str] = field(
        # Not the decorator ``@explicit.default``: type checkers would take the field for a mandatory one.
        default=Factory(lambda settings: settings.chosen_in_code(), takes_self=True)
    )
    sources: Mapping[str, str] = field(factory=dict, repr=False)
    unusable: Mapping[str, tuple[Problem, ...]] = field(factory=dict)
    warnings: tuple[Problem, ...] = ()

    def chosen_in_code(self) -> frozenset[str]:
        """Return the names that differ from the defaults, and the preferred one."""
        chosen = {self.kickai.preferred} if self.kickai.preferred is not None else set()
        return frozenset(self.kickai.order) - frozenset(KickaiSettings().order) | chosen

    def role(self, name: str) -> Role:
        """Return the role of that name, or the default role when there is none."""
        return self.roles.get(name, self.default_role)

    def kind_of(self, instance: str) -> str:
        """Return the name of the plugin that an instance belongs to."""
        settings = self.providers.get(instance)
        return (settings.kind if settings is not None else None) or instance

    def living(self, model: str) -> str:
        """Return the model to call for a name that may be retired."""
        return living(self.successors, model)

    def source_of(self, path: str) -> str:
        """Return where the value at a dotted path comes from; ``default`` when nobody set it."""
        return self.sources.get(path, "default")

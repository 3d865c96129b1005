"""The findings of the doctor."""

from __future__ import annotations

from attrs import evolve

from kickai_providers_core import KickaiSettings, Problem, ProviderSettings, Settings, Target
from kickai_providers_core.cli.doctor_findings import CheckResults, Finding, diagnose
from kickai_providers_core.config.roles import Role
from kickai_providers_core.plugin_api.discovery import Discovery, Plugin
from kickai_providers_core.values.errors import PluginLoadError

NO_KEY = Problem(path="api_key", message="there is no key", missing="ACME_KEY")
ODD = Problem(path="url", message="odd", severity="warning")
NOBODY = Discovery(())

SETTINGS = Settings(
    kickai=KickaiSettings(primary="acme", fallback=("mock",)),
    providers={"acme": ProviderSettings(), "mock": ProviderSettings()},
    roles={"scout": Role(name="scout", models={"acme": ("big",)})},
    explicit=frozenset(),
)


def format_findings(findings: list[Finding]) -> list[str]:
    """Return findings as lines."""
    return [f"{finding.severity} {finding.problem}" for finding in findings]


def test_a_usable_instance_is_ok() -> None:
    """Each instance without a problem has one line."""
    answers = CheckResults(of_instances={"acme": (), "mock": ()})
    assert format_findings(diagnose(SETTINGS, NOBODY, answers)) == [
        "ok providers.acme: configured",
        "ok providers.mock: configured",
        "ok kickai ask calls acme, then mock",
    ]


def test_an_instance_whose_service_responded_is_reachable() -> None:
    """The others are configured."""
    answers = CheckResults(of_instances={"acme": (), "mock": ()}, reached=frozenset({"acme"}))
    assert format_findings(diagnose(SETTINGS, NOBODY, answers)) == [
        "ok providers.acme: reachable",
        "ok providers.mock: configured",
        "ok kickai ask calls acme, then mock",
    ]


def test_a_missing_key_of_an_installed_provider_is_a_note() -> None:
    """The provider is skipped."""
    lines = format_findings(diagnose(SETTINGS, NOBODY, CheckResults(of_instances={"acme": (NO_KEY,), "mock": ()})))
    assert lines == [
        "note providers.acme: not configured (ACME_KEY), so it is skipped",
        "ok providers.mock: configured",
        "ok kickai ask calls mock",
    ]


def test_a_missing_key_of_a_chosen_provider_is_an_error() -> None:
    """It is chosen by a table, a name in [kickai], or a role's chain."""
    in_chain = {"scout": Role(name="scout", chain=(Target("acme"), Target("mock")))}
    for settings in (
        evolve(SETTINGS, explicit=frozenset({"acme"})),
        evolve(SETTINGS, sources={"providers.acme.timeout_s": "kickai.toml"}),
        evolve(SETTINGS, roles=in_chain),
    ):
        lines = format_findings(diagnose(settings, NOBODY, CheckResults(of_instances={"acme": (NO_KEY,), "mock": ()})))
        assert lines == [
            "error providers.acme.api_key: there is no key",
            "ok providers.mock: configured",
            "ok kickai ask calls mock",
        ]


def test_a_warning_of_a_provider_is_a_warning() -> None:
    """The provider can be used."""
    lines = format_findings(diagnose(SETTINGS, NOBODY, CheckResults(of_instances={"acme": (ODD,), "mock": ()})))
    assert lines == [
        "warning providers.acme.url: odd",
        "ok providers.acme: configured",
        "ok providers.mock: configured",
        "ok kickai ask calls acme, then mock",
    ]


def test_an_error_without_a_usable_provider_has_all_remedies() -> None:
    """There is one error."""
    settings = evolve(SETTINGS, kickai=KickaiSettings(primary="acme", fallback=("local",)))
    findings = diagnose(settings, NOBODY, CheckResults(of_instances={"acme": (NO_KEY,)}))
    assert findings[0].severity == "error"
    assert findings[0].problem.message == "no provider can answer"
    assert (
        findings[0].problem.hint == "Do one of the following: for acme: provide ACME_KEY; "
        "install kickai-local (kickai providers --available shows how)"
    )


def test_a_usable_provider_that_no_chain_calls_is_named_with_the_variable_that_calls_it() -> None:
    """In its own line, and among the remedies when no other provider is usable."""
    results = CheckResults(of_instances={"acme": (NO_KEY,), "mock": (), "spare": ()})
    lines = format_findings(diagnose(SETTINGS, NOBODY, results))
    uncalled = "but no chain calls it; KICKAI_PRIMARY=spare lets kickai ask call it"
    assert f"ok providers.spare: configured, {uncalled}" in lines
    settings = evolve(SETTINGS, kickai=KickaiSettings(primary="acme", fallback=()))
    findings = diagnose(settings, NOBODY, CheckResults(of_instances={"acme": (NO_KEY,), "spare": ()}))
    hint = "Do one of the following: for acme: provide ACME_KEY; set KICKAI_PRIMARY=spare"
    assert findings[0].problem.hint == hint


def test_a_role_without_a_usable_target_is_an_error() -> None:
    """Other roles are not reported."""
    roles = {**SETTINGS.roles, "lonely": Role(name="lonely", chain=(Target("acme", "big"),))}
    lines = format_findings(
        diagnose(evolve(SETTINGS, roles=roles), NOBODY, CheckResults(of_instances={"acme": (NO_KEY,), "mock": ()}))
    )
    assert "error roles.lonely: none of its targets can answer: acme:big" in lines
    assert not any("roles.scout" in line for line in lines)


def test_a_model_that_is_not_served_is_a_warning_with_the_roles_that_use_it() -> None:
    """It is an error if a role's own chain has it."""
    gone = Problem(path="model", message="it is not served")
    answers = CheckResults(of_instances={"acme": (), "mock": ()}, of_models={Target("acme", "big"): (gone,)})
    assert "warning acme:big: it is not served (used by scout)" in format_findings(diagnose(SETTINGS, NOBODY, answers))
    insisted = evolve(SETTINGS, roles={"scout": Role(name="scout", chain=(Target("acme", "big"), Target("mock")))})
    assert "error acme:big: it is not served (used by scout)" in format_findings(diagnose(insisted, NOBODY, answers))


def test_plugins_that_cannot_be_used_are_reported() -> None:
    """A broken plugin is an error, one that is not allowed is a note."""
    broken = Plugin(
        name="bad", distribution="d", status="broken", error=PluginLoadError("no", plugin="bad", distribution="d")
    )
    not_allowed = Plugin(name="other", distribution="e", status="not allowed")
    findings = diagnose(SETTINGS, Discovery((broken, not_allowed)), CheckResults(of_instances={"acme": (), "mock": ()}))
    assert format_findings(findings)[:2] == [
        "error plugin bad (from d): no. Upgrade it, uninstall it, or remove it from kickai.plugins",
        "note plugin other (from e) is not in kickai.plugins, so it was not loaded",
    ]


def test_a_retired_model_of_a_catalogue_is_a_note() -> None:
    """Users cannot change it; other warnings of the settings stay warnings."""
    planned = Problem(path="roles.x", message="retired", source="catalogue kickai", severity="warning")
    literal = Problem(path="providers.x.key", message="literal", source="kickai.toml", severity="warning")
    answers = CheckResults(of_instances={"acme": (), "mock": ()})
    findings = diagnose(evolve(SETTINGS, warnings=(planned, literal)), NOBODY, answers)
    assert [finding.severity for finding in findings] == ["warning", "note", "ok", "ok", "ok"]

"""The fields of a request that control the answer: zeros, several values, all at once, a vendor's own options."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from kickai_providers_core.testing.contract.helpers.json_search import count_numbers, find_leaves, show
from kickai_providers_core.testing.contract.helpers.parameters import in_each_mode
from kickai_providers_core.testing.contract.helpers.sending import exchange, get_last_request, send, try_to_send
from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
from kickai_providers_core.values.errors import UnsupportedRequestError

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.helpers.harness import ProviderHarness

__all__ = ["FIELDS", "SamplingTests"]

STOPS = ("HALT", "CEASE", "ENDE")
FIELDS: dict[str, Any] = {"temperature": 0.375, "max_tokens": 137, "top_p": 0.625, "stop": STOPS, "seed": 4242}
WORDS = {
    "temperature": re.compile("temp", re.IGNORECASE),
    "max_tokens": re.compile("max.*tok|predict|max_new|max_?output", re.IGNORECASE),
    "top_p": re.compile("top_?p|nucleus", re.IGNORECASE),
    "stop": re.compile("stop", re.IGNORECASE),
    "seed": re.compile("seed", re.IGNORECASE),
}
"""How services usually name a field. A value under the usual name of another field was mixed up."""

LARGE: dict[str, Any] = {"temperature": 1.75, "max_tokens": 123457}
"""Values that a plugin may be tempted to replace by its own limit, since some services refuse them."""

OPTION_VALUES: dict[str, Any] = {"integer": 7, "number": 0.8125, "string": "canary-option", "boolean": True}


class SamplingTests(ProviderSpec):
    """Each field that controls the answer is sent as it is, or named in ``omitted``."""

    @in_each_mode
    @pytest.mark.parametrize("field", ["temperature", "seed"])
    def test_a_zero_is_sent(self, harness: ProviderHarness, mode: Mode, field: str) -> None:
        """Temperature 0 and seed 0 are values, not the absence of one."""
        changes: dict[str, Any] = {"temperature": None, "seed": None}
        without = send(harness, mode, **changes)
        sent, reply = exchange(harness, mode, **{**changes, field: 0})
        body = sent.json()
        assert field in reply.omitted or count_numbers(body, 0) > count_numbers(without, 0), (
            f"{field}=0 was not sent: test for None, not for truth; the service received {show(body)}"
        )

    @in_each_mode
    @pytest.mark.parametrize("field", LARGE)
    def test_a_large_value_is_sent_or_named(self, harness: ProviderHarness, mode: Mode, field: str) -> None:
        """A large value is sent as it is, named in ``omitted``, or refused; never replaced silently."""
        outcome = try_to_send(harness, mode, **{field: LARGE[field]})
        if isinstance(outcome.raised, UnsupportedRequestError):
            return
        reply, body = outcome.reply, get_last_request(harness).json()
        assert field in reply.omitted or count_numbers(body, LARGE[field]), (
            f"{field}={LARGE[field]} was replaced: send it, or name it in Reply.omitted; "
            f"the service received {show(body)}"
        )

    @in_each_mode
    @pytest.mark.parametrize("field", ["temperature", "top_p", "seed"])
    def test_an_unset_field_is_not_sent(self, harness: ProviderHarness, mode: Mode, field: str) -> None:
        """A field that is None is left to the service: no default is sent."""
        changes: dict[str, Any] = {"temperature": 0.375, "max_tokens": 137, field: None}
        body = send(harness, mode, **changes)
        wrong = [leaf for leaf in find_leaves(body) if WORDS[field].search(leaf.key) and leaf.value is not None]
        assert not wrong, f"{field} is None, but {wrong[0].key!r}: {wrong[0].value!r} was sent: leave it out"

    @in_each_mode
    def test_several_stop_texts_are_sent(self, harness: ProviderHarness, mode: Mode) -> None:
        """Each of several stop texts is sent, in their order."""
        sent, reply = exchange(harness, mode, stop=STOPS)
        found = [leaf.value for leaf in find_leaves(sent.json()) if leaf.value in STOPS]
        assert found == list(STOPS) or "stop" in reply.omitted, (
            f"expected the stop texts {list(STOPS)}, the service received {found}: {show(sent.json())}"
        )

    @in_each_mode
    def test_every_field_at_once_is_sent(self, harness: ProviderHarness, mode: Mode) -> None:
        """With all fields set, each one has the value and the place that it has alone."""
        sent, reply = exchange(harness, mode, **FIELDS)
        body = sent.json()
        leaves = find_leaves(body)
        for field, value in FIELDS.items():
            if field in reply.omitted:
                continue
            found = [leaf for leaf in leaves if leaf.value == (value[0] if field == "stop" else value)]
            assert found, f"{field} was not sent together with all other fields; the service received {show(body)}"
            others = [name for name, word in WORDS.items() if name != field and word.search(found[0].key)]
            assert not others or WORDS[field].search(found[0].key), (
                f"{field}={value!r} was sent as {found[0].key!r}, the name of {others[0]}"
            )

    @in_each_mode
    def test_the_vendors_own_options_are_sent(self, harness: ProviderHarness, mode: Mode) -> None:
        """Each option that the plugin declares changes what is sent."""
        kinds = {name: shape.schema.get("type") for name, shape in harness.info.options.items()}
        known = {name: OPTION_VALUES[kind] for name, kind in kinds.items() if kind in OPTION_VALUES}
        if not known:
            pytest.skip("not applicable: ProviderInfo.options has no option that is a number, a text or a boolean")
        plain = send(harness, mode)
        for name, value in known.items():
            outcome = try_to_send(harness, mode, options={harness.info.name: {name: value}})
            if isinstance(outcome.raised, UnsupportedRequestError):
                continue  # the value, or the option with this client
            outcome.reply  # noqa: B018
            body = get_last_request(harness).json()
            assert json.dumps(body) != json.dumps(plain), (
                f"the option {name}={value!r} was not sent; the service received {show(body)}"
            )

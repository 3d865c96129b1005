"""Virtual keys: their form, who may name which model, and their limits."""

from __future__ import annotations

import asyncio
import re
import time

import httpx
import live
import pytest
from attrs import evolve
from kickai_providers_core.config.gateway_settings import GatewayKey
from kickai_providers_core.stores.api import StoreError
from kickai_providers_core.stores.memory import MemoryStore
from kickai_providers_core.values.secrets import Secret
from wire import CHAT, body

from kickai_gateway.guards import Caller
from kickai_gateway.key_guards import KeyGuards
from kickai_gateway.keys import KeyRing, create_key

WEB, OTHER = create_key(), create_key()


def key(made=WEB, **fields):
    """Return the settings of a key."""
    return GatewayKey(hash=Secret(made.hash), **fields)


def guard(keys, store=None, *, is_shared=False, log=None, prices=None):
    """Return guards over a store in memory."""
    return KeyGuards(
        keys,
        open_store=lambda: MemoryStore() if store is None else store,
        is_shared=is_shared,
        holder="test",
        clock=time.monotonic,
        log=(lambda _line: None) if log is None else log.append,
        prices=prices,
    )


def with_key(made=WEB):
    """Return the header of a key."""
    return {"authorization": f"Bearer {made.text}"}


async def ask_at_once(http, rounds):
    """Send 40 requests for up to 50 tokens at once, as many times as there are rounds; all are answered or refused."""
    asked = body(model="kickai", max_tokens=50)
    for _ in range(rounds):
        replies = await asyncio.gather(*(http.post(CHAT, json=asked, headers=with_key()) for _ in range(40)))
        assert {reply.status_code for reply in replies} <= {200, 429}


def test_a_key_has_256_random_bits_and_the_settings_only_its_hash():
    """Nothing of the secret is in the hash, nor in a repr."""
    made = create_key()
    id_, secret = re.fullmatch(r"kickai-([0-9a-f]{16})\.([A-Za-z0-9_-]{43})", made.text).groups()
    assert made.hash.startswith(f"{id_}$")
    assert secret not in made.hash
    assert secret not in repr(made)
    assert KeyRing({"web": GatewayKey(hash=Secret(made.hash))}).find(made.text) == "web"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "kickai-",
        ".",
        WEB.text[:-1],
        f"{WEB.text}x",
        WEB.text.replace("kickai-", "kickai-0", 1),
        OTHER.text,
        f"{WEB.text.partition('.')[0]}.{OTHER.text.partition('.')[2]}",
        WEB.hash,
        "x" * 100_000,
        "\x00\udcff",
    ],
    ids=range(11),
)
def test_any_other_text_is_no_key(text):
    """A part of a key, the key of someone else, and what the settings keep."""
    assert KeyRing({"web": key()}).find(text) is None


@pytest.mark.parametrize(
    ("allowed", "model", "may"),
    [
        (("kickai", "kickai:*"), "kickai", True),
        (("kickai", "kickai:*"), "kickai:scout", True),
        (("kickai", "kickai:*"), "kickai:scout,one", False),
        (("kickai", "kickai:*"), "kickai,one", False),
        (("kickai", "kickai:*"), "one", False),
        (("kickai", "kickai:*"), "scout", False),
        (("kickai", "kickai:*"), "KICKAI", False),
        (("kickai:scout",), "kickai", False),
        (("kickai:scout",), "kickai:scout2", False),
        (("one:*",), "one:large", True),
        (("one:*",), "one", False),
        (("one:*",), "one:large,two", False),
        (("*",), "one,two:large", True),
        ((), "kickai", False),
    ],
)
def test_a_key_may_name_the_models_that_it_lists(allowed, model, may):
    """A pattern does not cover a chain, whose other targets it does not name."""
    assert Caller(name="web", models=allowed).may_use(model) is may


HEADERS = {
    "none": None,
    "empty": "",
    "only a scheme": "Bearer",
    "another text": "Bearer nonsense",
    "another scheme": f"Basic {WEB.text}",
    "no scheme": WEB.text,
    "an unknown key": f"Bearer {OTHER.text}",
}
"""Text that is not a key."""


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize(
    "path", [CHAT, "/v1/models", "/v1/models/kickai", "/metrics", "/status.json", "/report.json", "/v1/nothing"]
)
async def test_every_path_with_data_needs_a_key(script, header, path):
    """The answer does not say what is served there."""
    async with (
        live.serve(script, guards=guard({"web": key()})) as running,
        httpx.AsyncClient(base_url=running.url) as http,
    ):
        headers = {} if header is None else {"authorization": header}
        response = await (
            http.post(path, json=body(), headers=headers) if path == CHAT else http.get(path, headers=headers)
        )
    assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key")
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert script.requests == []


async def test_a_key_opens_what_it_lists(script):
    """Another model is answered as one that does not exist, whether or not it does."""
    guards = guard({"web": key(models=("kickai",)), "all": key(OTHER, models=("*",))})
    async with live.serve(script, guards=guards) as running, httpx.AsyncClient(base_url=running.url) as http:
        assert (await http.post(CHAT, json=body(model="kickai"), headers=with_key())).status_code == 200
        messages = []
        for model in ("one", "missing"):
            refused = await http.post(CHAT, json=body(model=model), headers=with_key())
            assert refused.status_code == 404
            messages.append(refused.json()["error"]["message"].replace(model, "MODEL"))
        assert messages[0] == messages[1]
        assert (await http.post(CHAT, json=body(model="one"), headers=with_key(OTHER))).status_code == 200
        listed = (await http.get("/v1/models", headers=with_key())).json()["data"]
        assert [model["id"] for model in listed] == ["kickai"]
        assert (await http.get("/metrics", headers=with_key())).status_code == 200


async def test_a_page_needs_no_key_and_says_nothing(script):
    """The files of the status page and the health checks do not depend on the settings."""
    async with (
        live.serve(script, guards=guard({"web": key()})) as running,
        httpx.AsyncClient(base_url=running.url) as http,
    ):
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        assert (await http.get("/readyz")).status_code == 200
        page = await http.get("/")
        assert page.status_code == 200
        assert "one" not in re.findall(r"[\w.-]+", page.text.partition("<main")[2])


async def test_a_request_rate_is_held(script):
    """The headers say how many are left, and when to try again."""
    guards = guard({"web": key(requests_per_minute=3)})
    async with live.serve(script, guards=guards) as running, httpx.AsyncClient(base_url=running.url) as http:
        replies = [await http.post(CHAT, json=body(model="kickai"), headers=with_key()) for _ in range(5)]
    assert [reply.status_code for reply in replies] == [200, 200, 200, 429, 429]
    assert [reply.headers["x-ratelimit-remaining-requests"] for reply in replies] == ["2", "1", "0", "0", "0"]
    assert replies[0].headers["x-ratelimit-limit-requests"] == "3"
    assert 0 < int(replies[3].headers["retry-after"]) <= 60
    assert replies[3].json()["error"]["code"] == "rate_limit_exceeded"
    assert len(script.requests) == 3


async def test_a_token_budget_is_never_exceeded_by_requests_at_once(script):
    """What is set aside before a call is the most that it can use; what it did not use is free afterwards."""
    budget = 500
    guards = guard({"web": key(tokens_per_day=budget)})
    async with (
        live.serve(script, guards=guards) as running,
        httpx.AsyncClient(base_url=running.url, timeout=60) as http,
    ):
        await ask_at_once(http, rounds=4)
    used = 19 * len(script.requests)  # each scripted answer reports 12 + 7 tokens
    assert used <= budget
    assert used > budget - 2 * (50 + 100)  # and little of it is left unused


async def test_an_answer_without_a_limit_gets_one_when_tokens_are_counted(script):
    """Otherwise nobody could say how many tokens it may use."""
    guards = guard({"web": key(tokens_per_day=1_000_000, models=("*",)), "free": key(OTHER, models=("*",))})
    async with live.serve(script, guards=guards) as running, httpx.AsyncClient(base_url=running.url) as http:
        for made in (WEB, OTHER):
            assert (await http.post(CHAT, json=body(model="one"), headers=with_key(made))).status_code == 200
    assert [request.max_tokens for request in script.requests] == [4096, None]


async def test_a_request_beyond_the_whole_budget_says_so(script):
    """Waiting would not help."""
    guards = guard({"web": key(tokens_per_day=100)})
    async with live.serve(script, guards=guards) as running, httpx.AsyncClient(base_url=running.url) as http:
        reply = await http.post(CHAT, json=body(model="kickai", max_tokens=1000), headers=with_key())
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "max_tokens")
    assert script.requests == []


@pytest.mark.parametrize(("model", "left"), [("one:busy,two:busy", 1000), ("one:strict", 1000), ("one", 1000 - 19)])
async def test_a_request_that_nobody_bills_uses_no_tokens(script, model, left):
    """A refused request costs nothing; an answer costs what it reports."""
    guards = guard({"web": key(tokens_per_day=1000, models=("*",))})
    async with live.serve(script, guards=guards) as running, httpx.AsyncClient(base_url=running.url) as http:
        await http.post(CHAT, json=body(model=model, max_tokens=10), headers=with_key())
        await live.wait_for(lambda: guards._allowances["web"]["tokens"].held == left)


async def test_processes_that_share_a_store_hold_one_limit(script):
    """Each takes blocks of a tenth, and the rest is refused."""
    store = MemoryStore()
    keys = {"web": key(requests_per_minute=20)}
    guards = [guard(keys, store, is_shared=True) for _ in range(3)]
    statuses = []
    for own in guards:
        async with live.serve(script, guards=own) as running, httpx.AsyncClient(base_url=running.url) as http:
            replies = [await http.post(CHAT, json=body(model="kickai"), headers=with_key()) for _ in range(20)]
        statuses += [reply.status_code for reply in replies]
    assert statuses.count(200) == len(script.requests) == 20


class BrokenStore:
    """A store that can be switched off."""

    def __init__(self):
        self.is_down, self._inner = False, MemoryStore()

    @property
    def leases(self):
        """Fail when it is off."""
        if self.is_down:
            raise StoreError("the store is away")
        return self._inner.leases

    def close(self):
        """Close it."""
        self._inner.close()


async def test_a_key_with_limits_is_refused_when_the_store_is_lost(script):
    """What was taken before is used up; other keys do not notice. It is logged once, and again when it is over."""
    store, log = BrokenStore(), []
    keys = {"web": key(requests_per_minute=20), "free": key(OTHER)}
    guards = guard(keys, store, is_shared=True, log=log)
    async with live.serve(script, guards=guards) as running, httpx.AsyncClient(base_url=running.url) as http:

        async def call(made=WEB):
            return (await http.post(CHAT, json=body(model="kickai"), headers=with_key(made))).status_code

        assert await call() == 200
        store.is_down = True
        assert [await call() for _ in range(4)].count(429) >= 1
        assert await call(OTHER) == 200
        store.is_down = False
        await live.wait_for(lambda: any("again" in line for line in log))
        assert await call() == 200
    assert len([line for line in log if "the store is away" in line]) == 1


def test_settings_never_show_what_was_put_in_place_of_a_hash():
    """It may be the key itself."""
    with pytest.raises(ValueError, match="--new-key") as caught:
        evolve(key(), hash=Secret(WEB.text))
    assert WEB.text not in str(caught.value)

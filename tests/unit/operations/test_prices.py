"""Prices: those of the price list, those of the settings, and unknown ones."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from attrs import evolve, frozen

from kickai_providers_core import ProviderSettings, Settings
from kickai_providers_core.config.price_settings import ModelPrice, PriceSettings
from kickai_providers_core.operations.costs import choose_class_size
from kickai_providers_core.operations.prices import ListedTarget, PriceBook, load_price_list
from kickai_providers_core.operations.rates import Rates, TokenCounts, to_nano_usd
from kickai_providers_core.values.metrics import SIZE_BOUNDS, find_size_class

genai_prices = pytest.importorskip("genai_prices")

NOVEMBER_S = int(datetime(2026, 11, 20, tzinfo=UTC).timestamp())
JANUARY_S = int(datetime(2027, 1, 20, tzinfo=UTC).timestamp())


@frozen(kw_only=True)
class Server(ProviderSettings):
    """Settings of an instance with an address, as those of the plugins for Hugging Face and OpenAI."""

    base_url: str | None = None
    inference_provider: str = "auto"


@pytest.fixture(scope="module")
def price_list():
    """Return the price list."""
    return load_price_list()


@pytest.fixture
def book(price_list):
    """Return the prices with default settings."""
    return PriceBook(settings=Settings(), prices=price_list)


def price(book, instance, model, *, at_s=NOVEMBER_S, attempts=1, **tokens):
    """Return the price of one class of requests in nano-USD."""
    size_class = find_size_class(tokens.get("input", 0) // attempts)
    rates = book.find_rates(instance, model, at_s, choose_class_size(size_class))
    return None if rates is None else rates.price(TokenCounts(attempts=attempts, **tokens))


def ask_directly(model, provider, at_s=NOVEMBER_S, **usage):
    """Return what genai-prices itself says, in nano-USD."""
    at = datetime.fromtimestamp(at_s, UTC)
    calculation = genai_prices.calc_price(
        genai_prices.Usage(**usage), model, provider_id=provider, genai_request_timestamp=at
    )
    return to_nano_usd(calculation.total_price)


def list_prices(provider):
    """Yield the models of a provider with each of their price tables."""
    for model in provider.models:
        tables = [each.prices for each in model.prices] if isinstance(model.prices, list) else [model.prices]
        tables += [variant.prices for variant in model.price_variants or ()]
        yield from ((model, table) for table in tables)


def test_every_tier_of_the_price_list_begins_at_the_end_of_a_size_class():
    """Otherwise a class would have two prices, and its sum none."""
    from genai_prices.data_snapshot import get_snapshot
    from genai_prices.types import TieredPrices

    starts = {
        tier.start
        for provider in get_snapshot().providers
        for _, table in list_prices(provider)
        for value in vars(table).values()
        if isinstance(value, TieredPrices)
        for tier in value.tiers
    }
    assert starts - set(SIZE_BOUNDS) == set()


def test_the_price_of_a_request_is_that_of_the_price_list(book):
    """Input and output at their own rates."""
    assert price(book, "gemini", "gemini-3.5-flash-lite", input=1000, output=500) == 1_550_000
    assert price(book, "gemini", "models/gemini-3.5-flash-lite", input=1000, output=500) == 1_550_000


def test_cached_tokens_have_their_own_price(book):
    """A tenth of the others, for this model."""
    usage = {"input_tokens": 1000, "output_tokens": 500, "cache_read_tokens": 400}
    expected = ask_directly("gemini-3.5-flash-lite", "google", **usage)
    assert expected == 1_442_000
    assert price(book, "gemini", "gemini-3.5-flash-lite", input=1000, output=500, cached=400) == expected


def test_thinking_tokens_are_paid_as_output(book):
    """They are part of the output, and not paid twice."""
    plain = price(book, "gemini", "gemini-3.5-flash-lite", input=1000, output=500)
    assert price(book, "gemini", "gemini-3.5-flash-lite", input=1000, output=500, reasoning=300) == plain


@pytest.mark.parametrize("size", [1000, 127_999, 128_000, 128_001, 400_000])
def test_tiered_prices_are_those_of_each_request(book, size):
    """A thousand requests cost a thousand times the price of one, and not the price of their sum."""
    single = ask_directly("gemini-1.5-flash", "google", input_tokens=size, output_tokens=500)
    total = price(book, "gemini", "gemini-1.5-flash", attempts=1000, input=size * 1000, output=500_000)
    assert total == 1000 * single


def test_a_price_that_changes_is_that_of_the_time(book):
    """A change that the price list knows in advance applies from its day on."""
    tokens = {"input": 1_000_000, "output": 1_000_000}
    now = price(book, "gemini", "gemini-3.8-flash", **tokens)
    later = price(book, "gemini", "gemini-3.8-flash", at_s=JANUARY_S, **tokens)
    assert (now, later) == (4_500_000_000, 9_000_000_000)


def test_rates_are_linear_for_every_model_of_the_default_catalogue(book):
    """The rates give the price list's own answer for any mix of tokens."""
    for model, provider, name in [
        ("gemini-3.5-flash-lite", "google", "gemini"),
        ("gemini-3.8-flash", "google", "gemini"),
        ("Qwen/Qwen2.5-7B-Instruct", "huggingface_together", "huggingface"),
        ("meta-llama/Llama-3.1-8B-Instruct", "huggingface_novita", "huggingface"),
        ("openai/gpt-oss-20b", "huggingface_groq", "huggingface"),
    ]:
        suffix = f":{provider.removeprefix('huggingface_')}" if name == "huggingface" else ""
        expected = ask_directly(model, provider, input_tokens=777, output_tokens=333, cache_read_tokens=111)
        assert price(book, name, f"{model}{suffix}", input=777, output=333, cached=111) == expected


@pytest.mark.parametrize("model", ["Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-7B-Instruct:cheapest", "no/such:together"])
def test_a_hugging_face_model_without_a_known_provider_has_no_price(book, model):
    """The router's price depends on who runs the model."""
    assert price(book, "huggingface", model, input=1000) is None


def test_the_setting_names_the_inference_provider(price_list):
    """It counts as a suffix would, unless the model has one."""
    settings = Settings(providers={"huggingface": Server(inference_provider="together")})
    book = PriceBook(settings=settings, prices=price_list)
    assert book.identify("huggingface", "a/b") == ListedTarget(model="a/b", service="huggingface_together")
    assert book.identify("huggingface", "a/b:novita") == ListedTarget(model="a/b", service="huggingface_novita")


def test_a_server_of_ones_own_has_no_price_by_the_token(price_list):
    """An address takes the place of the router; that of an OpenAI-compatible service identifies it."""
    providers = {
        "mine": Server(kind="huggingface", base_url="http://127.0.0.1:8080", inference_provider="together"),
        "fast": Server(kind="openai", base_url="https://api.groq.com/openai/v1"),
        "odd": Server(kind="openai", base_url="http://127.0.0.1:1/v1"),
    }
    book = PriceBook(settings=Settings(providers=providers), prices=price_list)
    assert price(book, "mine", "Qwen/Qwen2.5-7B-Instruct", input=1000) is None
    assert price(book, "fast", "llama-3.1-8b-instant", input=1_000_000) == 50_000_000
    assert price(book, "odd", "llama-3.1-8b-instant", input=1_000_000) is None


@pytest.mark.parametrize("instance", ["local", "ollama", "mock"])
def test_a_local_model_is_free(instance):
    """Also without a price list."""
    assert PriceBook(settings=Settings()).find_rates(instance, "any", NOVEMBER_S, 1000) == Rates()


def test_without_a_price_list_only_the_settings_have_prices():
    """A model, or a model at one instance, which is more specific."""
    models = {
        "a/b": ModelPrice(input_usd_per_million=0.02, output_usd_per_million=0.06),
        "other:a/b": ModelPrice(input_usd_per_million=1, output_usd_per_million=2, cached_usd_per_million=0.5),
    }
    book = PriceBook(settings=Settings(prices=PriceSettings(models=models)))
    assert price(book, "huggingface", "a/b:novita", input=1_000_000, output=1_000_000, cached=5) == 80_000_000
    assert price(book, "other", "a/b", input=1_000_000, cached=1_000_000) == 500_000_000
    assert price(book, "gemini", "gemini-3.5-flash-lite", input=1) is None


def test_a_price_of_the_settings_replaces_that_of_the_list(book):
    """A contract may have other prices."""
    models = {"gemini-3.5-flash-lite": ModelPrice(input_usd_per_million=0, output_usd_per_million=1)}
    own = evolve(book, settings=Settings(prices=PriceSettings(models=models)))
    assert price(own, "gemini", "models/gemini-3.5-flash-lite", input=1000, output=1000) == 1_000_000


def test_counts_that_cannot_be_are_priced_without_negative_amounts():
    """A service may count cached tokens apart from input."""
    rates = Rates(input=10_000, cached=1000, output=20_000, reasoning=20_000)
    assert rates.price(TokenCounts(input=10, cached=50)) == 10
    assert rates.price(TokenCounts(output=10, reasoning=50)) == 200


def test_amounts_are_rounded_to_the_nearest():
    """Half a nano-USD is rounded up for tokens, and to even for amounts in settings."""
    assert Rates(input=500).price(TokenCounts(input=1)) == 1
    assert Rates(input=499).price(TokenCounts(input=1)) == 0
    assert to_nano_usd(Decimal("0.0000000015")) == 2
    assert to_nano_usd(0.1) == 100_000_000


def test_a_missing_package_gives_no_price_list(monkeypatch):
    """The report works without costs then."""
    monkeypatch.setitem(__import__("sys").modules, "genai_prices", None)
    assert load_price_list() is None

"""What the gateway counts, over all of its workers, in the text format of Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core import Usage
    from kickai_providers_core.resilience.health_report import HealthReport

    from kickai_gateway.shared_memory import SharedMemory

__all__ = ["METRICS_BYTES", "ROUTES", "WorkerMetrics"]

ROUTES = ("chat", "stream", "models", "feedback", "status", "health", "other")
"""What requests are for: whole answers, streamed ones, and the rest."""

STATUSES = (200, 202, 400, 401, 403, 404, 405, 408, 411, 413, 415, 429, 431, 499, 500, 502, 503, 504)
"""The statuses that are counted; 499 is a client that disconnected."""

OTHER = "other"
"""The label of all further statuses."""

BOUNDS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""The upper bounds of the buckets of response times, in seconds."""

ANSWERS = ("chat", "stream")
SINGLE = ("running", "input_tokens", "output_tokens", "fallbacks", "restarts")


def _place_counters() -> dict[tuple[str, ...], int]:
    keys: list[tuple[str, ...]] = [
        ("requests", route, str(status)) for route in ROUTES for status in (*STATUSES, OTHER)
    ]
    for route in ANSWERS:
        keys += [("bucket", route, str(place)) for place in range(len(BOUNDS_S) + 1)]
        keys.append(("seconds", route))
    keys += [(name,) for name in SINGLE]
    return {key: place for place, key in enumerate(keys)}


PLACES = _place_counters()
METRICS_BYTES = 8 * len(PLACES)
"""The size of one worker's counters."""


@define(eq=False)
class WorkerMetrics:
    """The counters of one worker, and the sums over all. For one event loop.

    Attributes:
        memory: The memory that holds them.
        offset: Where they begin in each part.
    """

    memory: SharedMemory
    offset: int = 0
    _own: memoryview[float] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._own = self._get_view(self.memory.own)
        if self._own[PLACES["running",]]:
            self._own[PLACES["running",]] = 0.0  # those of a worker that was killed
            self._own[PLACES["restarts",]] += 1

    def begin(self) -> None:
        """Count a request for an answer that begins; `end` counts its end."""
        self._own[PLACES["running",]] += 1

    def end(self, route: str, status: int, elapsed_s: float) -> None:
        """Count a request that has ended.

        Args:
            route: One of `ROUTES`.
            status: The status of the response; 499 when the client has disconnected.
            elapsed_s: Seconds from its head to the end of its response.
        """
        own = self._own
        own[PLACES["requests", route, str(status) if status in STATUSES else OTHER]] += 1
        if route in ANSWERS:
            own[PLACES["bucket", route, str(bisect_left(BOUNDS_S, elapsed_s))]] += 1
            own[PLACES["seconds", route]] += elapsed_s
            own[PLACES["running",]] -= 1

    def count_answer(self, usage: Usage | None, *, fell_back: bool) -> None:
        """Count what an answer used."""
        if usage is not None:
            self._own[PLACES["input_tokens",]] += usage.input_tokens
            self._own[PLACES["output_tokens",]] += usage.output_tokens
        self._own[PLACES["fallbacks",]] += fell_back

    def sum_counters(self) -> dict[tuple[str, ...], float]:
        """Return the sum of each counter over all workers."""
        views = [self._get_view(number) for number in range(self.memory.parts)]
        return {key: sum(view[place] for view in views) for key, place in PLACES.items()}

    def render(self, health: HealthReport) -> str:
        """Return the metrics as text.

        Args:
            health: The health of the targets, as this worker sees it.
        """
        return "\n".join((*_render_sums(self.sum_counters()), *_render_health(health), ""))

    def _get_view(self, number: int) -> memoryview[float]:
        return self.memory.get_part(number)[self.offset : self.offset + METRICS_BYTES].cast("d")


def _render_sums(sums: dict[tuple[str, ...], float]) -> Iterator[str]:
    yield from _format_head(
        "kickai_gateway_requests_total", "counter", "Requests that have ended, by route and status."
    )
    for key, value in sums.items():
        if key[0] == "requests" and value:
            yield f'kickai_gateway_requests_total{{route="{key[1]}",status="{key[2]}"}} {value:.0f}'
    name = "kickai_gateway_answer_seconds"
    yield from _format_head(name, "histogram", "Seconds from the head of a request to the end of its response.")
    for route in ANSWERS:
        total = 0.0
        for place, bound in enumerate((*map(str, BOUNDS_S), "+Inf")):
            total += sums["bucket", route, str(place)]
            yield f'{name}_bucket{{route="{route}",le="{bound}"}} {total:.0f}'
        yield f'{name}_sum{{route="{route}"}} {sums["seconds", route]:.6f}'
        yield f'{name}_count{{route="{route}"}} {total:.0f}'
    yield from _format_head("kickai_gateway_running_requests", "gauge", "Requests for answers that are being served.")
    yield f"kickai_gateway_running_requests {sums['running',]:.0f}"
    yield from _format_head(
        "kickai_gateway_tokens_total", "counter", "Tokens of the answers, as providers report them."
    )
    for kind in ("input", "output"):
        yield f'kickai_gateway_tokens_total{{kind="{kind}"}} {sums[f"{kind}_tokens",]:.0f}'
    yield from _format_head(
        "kickai_gateway_fallbacks_total", "counter", "Answers of another target than the first one."
    )
    yield f"kickai_gateway_fallbacks_total {sums['fallbacks',]:.0f}"
    yield from _format_head(
        "kickai_gateway_worker_restarts_total", "counter", "Workers that died while they served requests."
    )
    yield f"kickai_gateway_worker_restarts_total {sums['restarts',]:.0f}"


def _render_health(health: HealthReport) -> Iterator[str]:
    name = "kickai_gateway_target_available"
    yield from _format_head(name, "gauge", "Whether a target may be called, as the worker that answers this sees it.")
    for each in health.targets:
        labels = f'provider="{_escape(each.provider)}",model="{_escape(each.model or "")}"'
        yield f"{name}{{{labels}}} {int(each.available)}"


def _format_head(name: str, kind: str, text: str) -> tuple[str, str]:
    return f"# HELP {name} {text}", f"# TYPE {name} {kind}"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

"""One request's walk down a chain, sans I/O: it decides, a driver acts.

A driver asks `Walk.next` what to do, does it, and tells the walk how it went::

    Try     call the target for at most ``timeout_s``; then `succeeded`, `failed` or `cancelled`
    Pause   wait ``wait_s``; then `next`
    Queue   wait until ``turn`` wakes you, or for ``wait_s``; then `next`
    Validate  have the target's settings validated, for at most ``timeout_s``; then `next`
    Await   wait for the other attempt that is under way
    GiveUp  raise ``error``

Beside an attempt that takes long it may want another: a driver that can have two under way asks `Walk.hedge_in_s`
when, and then `Walk.hedge` for it.

The time is an argument of every call and is never read. The same class serves the sync driver, the asyncio
driver, both streaming drivers and the simulations of the tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from kickai_providers_core.resilience.actions import TICK_S, Await, GiveUp, Pause, Queue, Try, Validate
from kickai_providers_core.resilience.candidates import UNVALIDATED
from kickai_providers_core.resilience.failure_effects import mark, without_frames
from kickai_providers_core.resilience.last_resort import Comeback, due_first, refused_by_all
from kickai_providers_core.resilience.policy import backoff_s
from kickai_providers_core.resilience.rate_limiter import NOBODY_KNOWS
from kickai_providers_core.resilience.recorder import Story
from kickai_providers_core.values.attempts import Outcome, SkipReason
from kickai_providers_core.values.errors import ChainExhaustedError, DeadlineExceededError, RejectedRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kickai_providers_core.resilience.actions import Step
    from kickai_providers_core.resilience.candidates import Brief, Errand, Link
    from kickai_providers_core.resilience.health import Leave
    from kickai_providers_core.resilience.rate_limiter import Turn
    from kickai_providers_core.values.attempts import Attempt
    from kickai_providers_core.values.errors import KickaiError, ProviderError
    from kickai_providers_core.values.messages import Usage
    from kickai_providers_core.values.replies import Reply

__all__ = ["Walk"]


class Walk:
    """One request's walk: where it stands, and what its story is so far.

    It belongs to one request and is not to be shared; the health of its links is shared with all other walks.
    """

    # Where a walk stands that has not come far; most never set any of these.
    _again: tuple[float, Link] | None = None  # a link to come back to, and when
    _place: _Place | None = None  # where it stands in line
    _busy: dict[int, float] | None = None  # links whose line was left, and when to come back at the soonest
    _beside: Try | None = None  # a second attempt under way
    _hedged: Try | None = None  # the last one beside which another was wanted
    _validated: frozenset[int] = frozenset()  # links whose validation was waited for
    _forced = False

    def __init__(self, links: Sequence[Link], brief: Brief, errand: Errand, started: float) -> None:
        self._links = links
        self._brief = brief
        self._errand = errand
        deadline_s, least_s = errand.deadline_s, brief.policy.min_attempt_s
        self._ends = started + deadline_s
        # The time without which no attempt is started; a very short deadline gets one all the same.
        self._least_s = least_s if least_s < deadline_s / 2 else deadline_s / 2
        self._story = Story(brief, errand, len(links), started)
        self._position = 0  # of the link to come by next
        self._under_way: Try | None = None
        brief.retries.came(errand.number, started)
        if brief.hedges is not None:
            brief.hedges.budget.came(errand.number, started)

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every attempt that has ended, in order."""
        return tuple(self._story.attempts)

    # What a driver calls

    def next(self, now: float) -> Step:
        """Return what to do now."""
        if self._place is not None:
            step = self._stand(self._place, now)
            if step is not None:
                return step
        if self._again is not None:
            due, link = self._again
            if due - now > TICK_S:
                self._story.waits(link, due - now)
                return Pause(due - now)
            self._again = None
            step = self._approach(link, max(now, due))
            if step is not None:
                return step
        while self._position < len(self._links):
            link = self._links[self._position]
            self._position += 1
            step = self._approach(link, now)
            if step is not None:
                return step
        return self._come_back(now)

    def hedge_in_s(self, now: float) -> float | None:
        """Return the seconds until a second attempt may be wanted beside the one under way; None for never."""
        step, hedges = self._under_way, self._brief.hedges
        if hedges is None or step is None or step is self._hedged or self._beside is not None:
            return None
        if self._position >= len(self._links):
            return None
        after_s = hedges.after_s(step.link)
        return None if after_s is None else max(0.0, step.began + after_s - now)

    def hedge(self, now: float) -> Try | None:
        """Return the attempt to start beside the one under way, or None when there is to be none.

        Each target that it comes by without asking is passed over, as `next` would.
        """
        step, hedges = self._under_way, self._brief.hedges
        if step is None or hedges is None:
            return None
        self._hedged = step  # asked once, whatever comes of it
        if self._ends - now < self._least_s:
            return None
        if not hedges.budget.spend(self._errand.number, now):
            return None
        while self._position < len(self._links):
            link = self._links[self._position]
            self._position += 1
            beside = self._approach(link, now, patient=False)
            if isinstance(beside, Try):
                self._under_way, self._beside = step, beside
                self._story.hedges(step.link, now - step.began)
                return beside
        hedges.budget.refund(now)  # only calls that are made cost something
        return None

    def succeeded(self, reply: Reply, now: float, *, of: Try | None = None) -> Reply:
        """Take the answer of the attempt under way; return it with the story of the request.

        Args:
            reply: What it answered.
            now: The time.
            of: Which attempt it was, where two may be under way. The other counts as cancelled.
        """
        step = self._take(now, reply.usage, of)
        if self._under_way is not None:
            self._abandon(now)
        link, story = step.link, self._story
        if self._brief.hedges is not None:
            self._brief.hedges.answered(link, now - step.began)
        if story.attempts:
            story.attempts[:] = map(without_frames, story.attempts)
        story.ends(step, now, Outcome.SUCCESS, usage=reply.usage)
        before = link.route.states() if step.leave.found is not None else None
        link.route.succeeded(step.leave)
        if before is not None:
            story.changes(link, before, now)
        whole = reply.completed(
            link.provider,
            reply.model or link.model or "",
            tuple(story.attempts),
            story.skipped,
            link is not self._links[0],
            self._forced,
            now - story.started,
            self._errand.deadline_s,
        )
        story.succeeds(now, whole)
        return whole

    def failed(self, error: ProviderError, now: float, *, final: bool = False, of: Try | None = None) -> Step:
        """Take the error of the attempt under way; return what to do now.

        Args:
            error: What the attempt raised.
            now: The time.
            final: Whether a part of the answer is in the caller's hands, so that nothing else may be tried.
            of: Which attempt it was, where two may be under way. The other goes on.
        """
        step = self._take(now, of=of)
        rule = self._brief.policy.rule_for(error)
        before = step.link.route.states()
        mark(step, self._brief.policy, error, now)
        rests_s = step.link.route.due_at(now) - now
        self._story.ends(step, now, Outcome.ERROR, error=error, rests_s=rests_s)
        self._story.changes(step.link, before, now)
        if final:
            return self._raise(error, now)
        if rule.fall_back == "larger_window":
            known = getattr(error, "limit_tokens", None) or step.link.context_window or 0
            self._errand.floor = max(self._errand.floor or 0, known)
        # While another is asked, a second try of this one would be a third call.
        alone = self._under_way is None
        if alone and rule.retry == "backoff" and self._plan_retry(step, error, now):
            return self.next(now)
        if rule.fall_back == "never":
            return self._raise(error, now)
        return self.next(now) if alone else Await()

    def cancelled(self, now: float) -> None:
        """Take it that the request was cancelled, if it was not over; give back what an attempt under way held."""
        self._abandon(now)
        if self._place is not None:
            self._place.turn.leave(now, used=False)
        self._story.over(now)

    def _abandon(self, now: float) -> None:
        """Write down as cancelled what is under way, and give back what it held."""
        while self._under_way is not None:
            step = self._take(now)
            self._story.ends(step, now, Outcome.CANCELLED)
            before = step.link.route.states()
            step.link.route.give_back(step.leave)
            self._story.changes(step.link, before, now)

    # Coming by a target

    def _approach(self, link: Link, now: float, *, patient: bool = True) -> Step | None:
        """Return what to do at a target, or None when it is passed over; who is not patient stands in no line."""
        if self._ends - now < self._least_s:
            return self._give_up(now)
        obstacle = self._errand.obstacle(link)
        if obstacle is not None:
            if obstacle is UNVALIDATED and patient and link.position not in self._validated:
                return self._validate(link, now)
            self._story.passes(link, *obstacle, now)
            return None
        # Before a target that would not be called anyway there is no line worth standing in.
        if link.gate is not None and link.route.due_at(now) <= now:
            return self._line_up(link, link.gate.enter(self._errand.tokens, now), now, patient=patient)
        return self._enter(link, None, now)

    def _validate(self, link: Link, now: float) -> Validate:
        """Have a target validated, and come back to it; in time for the targets behind, if there are any."""
        self._validated |= {link.position}
        self._again = (now, link)
        left_s = self._ends - now
        if self._position < len(self._links):
            left_s /= 2
        return Validate(link, min(left_s, link.timeout_s))

    def _line_up(self, link: Link, turn: Turn, now: float, *, patient: bool) -> Step | None:
        """Take a place in the line before a target; it is left in time for the targets behind, if there are any."""
        until = self._ends - self._least_s
        if not patient:
            until = now
        elif self._position < len(self._links):
            until = min(until, now + (self._ends - now) / 2)
        if turn.refused:
            self._busy = {**(self._busy or {}), link.position: NOBODY_KNOWS}
            self._story.passes(link, SkipReason.BUSY, f"its queue is full: {turn.ahead} are in line", now)
            return None
        if patient and self._is_in_vain(link, turn, until, now):
            turn.leave(now, used=False)
            return None
        self._place = _Place(link, turn, until)
        if patient and not turn.inside:
            self._story.lines_up(link, turn.ahead, until - now)
        return self._stand(self._place, now)

    def _is_in_vain(self, link: Link, turn: Turn, until: float, now: float) -> bool:
        """Return whether waiting in a line would take longer than there is time, and write down that it is skipped."""
        if turn.inside or link.gate is None:
            return False
        wait_s = link.gate.expected_wait_s(turn, now)
        if now + wait_s <= until:
            return False
        # With all other targets down it may be worth waiting after all.
        back = now if now + wait_s <= self._ends - self._least_s else NOBODY_KNOWS
        self._busy = {**(self._busy or {}), link.position: back}
        told = f"{turn.ahead} are in line before it, and the wait is expected to take {wait_s:.1f} s"
        self._story.passes(link, SkipReason.BUSY, told, now, now + wait_s)
        return True

    def _stand(self, place: _Place, now: float) -> Step | None:
        """Return what to do while a request stands in line, or None when it has left the line for other targets."""
        wait_s = place.turn.wait_s(now)
        if wait_s <= 0 and self._ends - now >= self._least_s:
            self._place = None
            return self._enter(place.link, place.turn, now)
        if now + TICK_S < place.until and (wait_s == NOBODY_KNOWS or now + wait_s <= place.until):
            # The first in line waits for nobody: only time keeps it out.
            return Queue(place.turn, place.until - now) if wait_s == NOBODY_KNOWS else Pause(wait_s)
        self._place = None
        place.turn.leave(now, used=False)
        due = None if wait_s == NOBODY_KNOWS else now + wait_s
        self._busy = {**(self._busy or {}), place.link.position: due or now}
        self._story.passes(place.link, SkipReason.BUSY, f"{place.turn.ahead} were in line before it", now, due)
        return None

    def _enter(self, link: Link, turn: Turn | None, now: float) -> Step | None:
        """Return the try of a target whose limits allow it, or None when its health does not."""
        leave = link.route.admit(now)
        if leave is None:
            if turn is not None:
                turn.leave(now, used=False)
            due = link.route.due_at(now)
            self._story.passes(link, *link.resting(due, now), now, due)
            return None
        if leave.found is not None:
            self._story.changes(link, leave.found, now)
        return self._try(link, leave, turn, now)

    def _try(self, link: Link, leave: Leave, turn: Turn | None, now: float) -> Try:
        number = self._story.tries(link) + 1
        left_s = self._ends - now
        timeout_s = left_s if left_s < link.timeout_s or self._errand.streams else link.timeout_s
        self._under_way = step = Try(link, number, timeout_s, leave, now, turn)
        self._story.begins(link, number, timeout_s)
        return step

    # After an attempt

    def _take(self, now: float, usage: Usage | None = None, of: Try | None = None) -> Try:
        step: Try | None
        if of is not None and of is self._beside:
            step, self._beside = self._beside, None
        else:
            step, self._under_way, self._beside = self._under_way, self._beside, None
        if step is None:
            message = "no attempt is under way"
            raise RuntimeError(message)
        if step.turn is not None:
            step.turn.leave(now, tokens=usage.total_tokens if usage is not None else None)
        return step

    def _plan_retry(self, step: Try, error: ProviderError, now: float) -> bool:
        """Plan the next try of the same target before any other; return False when it would be in vain."""
        if step.number > step.link.retries:
            return False
        policy = self._brief.policy
        wait_s = max(backoff_s(policy, step.number, self._brief.random), policy.stated_delay_s(error) or 0.0)
        due = step.link.route.due_at(now)
        if wait_s > policy.backoff_max_s or due > now + wait_s:
            return False
        if now + wait_s + self._least_s > self._ends or not self._affords(step.link, now):
            return False
        self._again = (now + wait_s, step.link)
        return True

    def _affords(self, link: Link, now: float) -> bool:
        """Return whether a target may be tried now as far as the budget for retries goes; take it from there."""
        if not self._story.tries(link) or self._brief.retries.spend(self._errand.number, now):
            return True
        self._story.withholds(link)
        return False

    # At the end of the chain

    def _come_back(self, now: float) -> Step:
        """Return to the target that may be asked soonest, or give up."""
        if self._ends - now < self._least_s:
            return self._give_up(now)
        latest = self._ends - self._least_s
        comeback = Comeback(self._errand, self._story, self._brief.policy, self._busy or {}, latest=latest)
        chances = comeback.chances(self._links, now)
        if not self._story.attempts and self._brief.policy.last_resort:
            forced = self._last_resort(chances[0] if chances else None, now)
            if forced is not None:
                return forced
        for due, place in chances:
            link = self._links[place]
            if self._affords(link, now):
                self._again = (due, link)
                return self.next(now)
        return self._give_up(now)

    def _last_resort(self, chance: tuple[float, int] | None, now: float) -> Try | None:
        """Return the try of the resting target that is due first, unless the one to wait for is due before it."""
        for first in due_first(self._links, self._errand, now):
            if chance is not None and chance <= first:
                return None
            forced = self._force(self._links[first[1]], now)
            if forced is not None:
                return forced
        return None

    def _force(self, link: Link, now: float) -> Try | None:
        """Return the try of a target although it rests; None when that must not be, or its limits are reached."""
        turn = link.gate.enter(self._errand.tokens, now) if link.gate is not None else None
        leave = link.route.force(now) if turn is None or turn.inside else None
        if leave is None:
            if turn is not None:
                turn.leave(now, used=False)
            return None
        if leave.found is not None:
            self._story.changes(link, leave.found, now)
        self._forced = True
        return self._try(link, leave, turn, now)

    def _give_up(self, now: float) -> GiveUp:
        story = self._story
        last = story.attempts[-1].error if story.attempts else None
        if isinstance(last, RejectedRequestError):
            return self._raise(last, now)
        refusal = refused_by_all(story.attempts, story.skipped, len(self._links))
        if refusal is not None:
            return self._raise(refusal, now)
        deadline_s, elapsed_s = self._errand.deadline_s, now - story.started
        error: KickaiError
        if self._ends - now < self._least_s:
            error = DeadlineExceededError(
                deadline_s=deadline_s, elapsed_s=elapsed_s, attempts=story.attempts, skipped=story.skipped
            )
        else:
            error = ChainExhaustedError.of(story.attempts, story.skipped, deadline_s=deadline_s, elapsed_s=elapsed_s)
        story.over(now, error)
        return GiveUp(error)

    def _raise(self, error: ProviderError, now: float) -> GiveUp:
        self._abandon(now)
        error.attempts, error.skipped = self.attempts, self._story.skipped
        error.deadline_s, error.elapsed_s = self._errand.deadline_s, now - self._story.started
        self._story.over(now, error)
        return GiveUp(error)


@frozen(eq=False, repr=False)
class _Place:
    """A place in the line before a target, to be left at the latest when ``until`` has come."""

    link: Link
    turn: Turn
    until: float

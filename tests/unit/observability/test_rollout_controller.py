"""The rollout in a running process: it follows the store, counts evidence, and carries out verdicts."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, evolve, field

from kickai_providers_core.concurrency.clock import Clockwork
from kickai_providers_core.observability.rollout_controller import EVIDENCE, PLAN, RolloutController, read_evidence
from kickai_providers_core.resilience.arm_counts import ArmCounts
from kickai_providers_core.resilience.rollout import Ramp, Rollout, RolloutPlan
from kickai_providers_core.resilience.rollout_settings import RolloutSettings
from kickai_providers_core.resilience.rollout_shares import ALL_ROLES, BUCKETS
from kickai_providers_core.resilience.rollout_transitions import remove, set_share, start_ramp
from kickai_providers_core.resilience.step_evidence import StepEvidence
from kickai_providers_core.stores.api import HistoryEntry, StoreError
from kickai_providers_core.stores.memory import MemoryStore
from kickai_providers_core.values.attempts import Attempt, Outcome
from kickai_providers_core.values.errors import ProviderTimeoutError
from kickai_providers_core.values.events import AttemptEnded, RequestStarted
from kickai_providers_core.values.feedback_events import FeedbackGiven
from kickai_providers_core.values.rollout_events import RolloutChanged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HALF = BUCKETS // 2
SETTINGS = RolloutSettings(candidate="new", share="50%")
ANSWERED = Attempt(
    position=0, provider="new", model="m", number=1, started_s=0.0, latency_s=0.1, outcome=Outcome.SUCCESS
)
FAILED = evolve(ANSWERED, outcome=Outcome.ERROR, error=ProviderTimeoutError("slow"))


@define
class Process:
    """One process: a controller, its clock, and the events that it emits."""

    store: MemoryStore
    settings: RolloutSettings = SETTINGS
    on_alert: tuple[str, ...] = ()
    now: float = 1000.0
    events: list[Any] = field(factory=list)
    controller: RolloutController = field(init=False)

    def __attrs_post_init__(self) -> None:
        clock = Clockwork(clock=lambda: self.now, sleep=time.sleep, asleep=None, wall=lambda: self.now + 1e9)  # type: ignore[arg-type]
        self.controller = RolloutController(self.settings, self.on_alert, self.events.append, clock)

    def run(self) -> None:
        """Let the store's thread run once, after a second."""
        self.now += 1.0
        self.controller.run(self.store)

    def serve(self, arm: str, *, good: int = 0, bad: int = 0, role: str | None = None) -> None:
        """Serve requests in an arm."""
        self.now += 0.2
        for attempt in [ANSWERED] * good + [FAILED] * bad:
            self.controller.observe(AttemptEnded(1, role, attempt, finish_reason="stop", is_primary=True, arm=arm))

    @property
    def rollout(self) -> Rollout:
        """The rollout of all roles that is current."""
        return self.controller.plan.rollouts[ALL_ROLES]


def change(store: MemoryStore, make: Callable[[RolloutPlan], RolloutPlan]) -> None:
    """Change the stored plan as an operator does."""
    document = store.documents.read(PLAN)
    plan = make(RolloutPlan.from_dict(document.value))
    entry = HistoryEntry(at_s=1e9, who="ann@host", what="a change")
    assert store.documents.write(PLAN, plan.as_dict(), expected_version=document.version, entry=entry)


def test_a_configured_rollout_begins_on_the_control_arm() -> None:
    """Until the store has been read, nobody gets the candidate."""
    process = Process(MemoryStore())
    assert process.rollout.share == 0
    process.run()
    assert process.rollout.share == HALF


def test_without_a_configured_rollout_nothing_is_written() -> None:
    """An empty store stays empty."""
    store = MemoryStore()
    process = Process(store, settings=RolloutSettings())
    process.run()
    assert process.controller.plan == RolloutPlan()
    assert store.documents.read(PLAN).version == 0


def test_the_settings_seed_only_an_empty_store() -> None:
    """A process with other settings follows what the store has."""
    store = MemoryStore()
    Process(store).run()
    later = Process(store, settings=evolve(SETTINGS, share="90%"))
    later.run()
    assert later.rollout.share == HALF
    assert [entry.who for entry in store.documents.read_history(PLAN)] == ["settings"]


def test_processes_follow_an_operators_change() -> None:
    """Each emits one event for it, and none for the plan that it begins with."""
    store = MemoryStore()
    processes = [Process(store), Process(store)]
    for process in processes:
        process.run()
    change(store, lambda plan: set_share(plan, ALL_ROLES, "new", BUCKETS // 4, 5.0).plan)
    for process in processes:
        process.run()
        process.run()
        assert process.rollout.share == BUCKETS // 4
        (event,) = process.events
        assert event == RolloutChanged(0, None, scope="*", candidate="new", share_before=0.5, share_after=0.25)
        assert event.failed
        assert str(event) == "rollout of new (*): 50.0000% -> 25.0000%"


def test_evidence_of_processes_adds_up() -> None:
    """Every judged attempt counts once."""
    store = MemoryStore()
    processes = [Process(store), Process(store)]
    for process in processes:
        process.run()
        process.serve("candidate", good=3)
        process.serve("control", good=5, bad=1)
        process.controller.observe(RequestStarted(1, None, targets=2, deadline_s=1.0))
    for process in [*processes, *processes]:
        process.run()
    evidence = read_evidence(store.documents.read(f"{EVIDENCE}{ALL_ROLES}"), processes[0].rollout)
    assert (evidence.candidate.n, evidence.control.n, evidence.control.failures) == (6, 12, 2)


def test_the_evidence_of_a_process_that_ends_is_kept() -> None:
    """What was counted since the last second is written at the end, and the next process judges it."""
    store = MemoryStore()
    for requests in (2, 3):
        process = Process(store)
        process.run()
        process.serve("candidate", bad=requests)
        process.controller.finish(store)
        process.controller.finish(store)
    evidence = read_evidence(store.documents.read(f"{EVIDENCE}{ALL_ROLES}"), process.rollout)
    assert evidence.candidate == ArmCounts(n=5, failures=5)
    last = Process(store)
    last.run()
    assert last.rollout.suspended_share == HALF


def test_the_evidence_at_the_end_belongs_to_the_present_step() -> None:
    """When an operator has changed the share meanwhile, the last counts are dropped, and nothing else is lost."""
    store = MemoryStore()
    process, other = Process(store), Process(store)
    process.run()
    process.serve("candidate", good=3)
    change(store, lambda plan: set_share(plan, ALL_ROLES, "new", BUCKETS // 4, 5.0).plan)
    other.run()
    other.serve("candidate", good=4)
    other.run()
    process.controller.finish(store)
    evidence = read_evidence(store.documents.read(f"{EVIDENCE}{ALL_ROLES}"), other.rollout)
    assert evidence.candidate.n == 4


def test_processes_that_end_together_lose_no_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process whose counts come second adds them again, more often than while it runs."""
    store = MemoryStore()
    process = Process(store)
    process.run()
    process.serve("candidate", good=3)
    write, refusals = store.documents.write, [False] * 7

    def come_second(*args: Any, **kwargs: Any) -> bool:
        return refusals.pop() if refusals else write(*args, **kwargs)

    monkeypatch.setattr(store.documents, "write", come_second)
    process.controller.finish(store)
    assert not refusals
    evidence = read_evidence(store.documents.read(f"{EVIDENCE}{ALL_ROLES}"), process.rollout)
    assert evidence.candidate.n == 3


def test_evidence_is_written_once_a_second() -> None:
    """The plan is read more often."""
    store = MemoryStore()
    process = Process(store)
    process.run()
    process.serve("candidate", good=1)
    process.controller.run(store)
    assert store.documents.read(f"{EVIDENCE}{ALL_ROLES}").version == 0
    process.run()
    assert store.documents.read(f"{EVIDENCE}{ALL_ROLES}").version == 1


def test_a_dead_candidate_is_suspended_tried_again_and_then_rolled_back() -> None:
    """For good once the control arm proves to be good a second time. The history has the evidence."""
    store = MemoryStore()
    process = Process(store)
    process.run()
    for share in (HALF, 0):
        for _ in range(10):
            process.serve("candidate", bad=1)
            process.run()
        assert (process.rollout.share, process.rollout.suspended_share) == (0, HALF)
        for _ in range(20):
            process.serve("control", good=10)
            process.run()
        assert (process.rollout.share, process.rollout.suspended_share) == (share, None)
    final, _, restored, suspension, _ = store.documents.read_history(PLAN)
    assert (final.who, final.what) == ("guard", "new rolled back to 0%")
    assert restored.what == "new restored to 50%"
    assert "tried again" in restored.why
    assert suspension.what == "new suspended: from 50% to 0%, provisionally"
    assert suspension.evidence["candidate_bad"] == suspension.evidence["candidate_total"]
    assert [event.is_suspended for event in process.events] == [True, False, True, False]


def test_a_shared_outage_restores_the_share() -> None:
    """When the control arm fails too, the candidate is not to blame."""
    process = Process(MemoryStore())
    process.run()
    for _ in range(5):
        process.serve("candidate", bad=1)
        process.run()
    assert process.rollout.suspended_share == HALF
    for _ in range(20):
        process.serve("control", bad=1)
        process.run()
    assert (process.rollout.share, process.rollout.suspended_share) == (HALF, None)


def test_a_ramp_advances_when_the_candidate_is_good() -> None:
    """After its time, not before."""
    store = MemoryStore()
    process = Process(store)
    process.run()
    ramp = Ramp(shares=(HALF, BUCKETS), hold_s=600.0)
    change(store, lambda plan: start_ramp(plan, ALL_ROLES, "new", ramp, process.now + 1e9).plan)
    process.run()
    for _ in range(100):
        process.serve("candidate", good=20)
        process.serve("control", good=20)
        process.run()
    assert process.rollout.share == HALF
    process.now += 600.0
    process.run()
    assert process.rollout.share == BUCKETS


def test_only_one_process_makes_a_change() -> None:
    """All reach the same verdict, and the history has it once."""
    store = MemoryStore()
    processes = [Process(store) for _ in range(3)]
    for process in processes:
        process.run()
    for process in processes:
        process.serve("candidate", bad=4)
    for process in [*processes, *processes]:
        process.run()
    assert {process.rollout.suspended_share for process in processes} == {HALF}
    assert len(store.documents.read_history(PLAN)) == 2


def test_counts_of_an_earlier_step_decide_nothing() -> None:
    """A change of the share begins the evidence anew."""
    store = MemoryStore()
    process = Process(store)
    process.run()
    process.serve("candidate", bad=2)
    change(store, lambda plan: set_share(plan, ALL_ROLES, "new", BUCKETS // 4, 5.0).plan)
    process.run()
    process.serve("candidate", good=1)
    process.run()
    evidence = read_evidence(store.documents.read(f"{EVIDENCE}{ALL_ROLES}"), process.rollout)
    assert (evidence.candidate.n, evidence.candidate.failures) == (1, 0)


def test_the_evidence_of_a_removed_rollout_decides_nothing() -> None:
    """The next rollout begins with the same number of a step, and maybe with another candidate."""
    store = MemoryStore()
    process = Process(store, settings=RolloutSettings())
    change(store, lambda plan: set_share(plan, ALL_ROLES, "old", HALF, 5.0).plan)
    process.run()
    before = process.rollout
    process.serve("candidate", bad=2)
    process.run()
    process.serve("candidate", bad=20)
    change(store, lambda plan: remove(plan, ALL_ROLES).plan)
    change(store, lambda plan: set_share(plan, ALL_ROLES, "new", HALF, 6.0).plan)
    process.run()
    process.serve("candidate", good=1)
    process.run()
    assert (process.rollout.step, process.rollout.share) == (before.step, HALF)
    evidence = read_evidence(store.documents.read(f"{EVIDENCE}{ALL_ROLES}"), process.rollout)
    assert evidence.candidate == ArmCounts(n=1)


def test_a_role_with_its_own_rollout_is_judged_alone() -> None:
    """Its failures leave the rollout of all others as it is."""
    store = MemoryStore()
    process = Process(store)
    process.run()
    change(store, lambda plan: set_share(plan, "coach", "new", HALF, 5.0).plan)
    process.run()
    process.serve("candidate", bad=5, role="coach")
    process.run()
    assert process.controller.plan.rollouts["coach"].suspended_share == HALF
    assert process.rollout.share == HALF


def test_keys_are_counted_once_in_each_step() -> None:
    """By the arm that serves them."""
    store = MemoryStore()
    process = Process(store)
    process.run()
    for bucket in (1, 1, 2, HALF + 1, HALF + 1):
        process.controller.count_key(ALL_ROLES, process.rollout, bucket)
    process.run()
    evidence = read_evidence(store.documents.read(f"{EVIDENCE}{ALL_ROLES}"), process.rollout)
    assert (evidence.candidate.keys, evidence.control.keys) == (2, 1)


def test_feedback_is_evidence() -> None:
    """For the arm whose answer was judged; without a rollout it is ignored."""
    store = MemoryStore()
    process = Process(store)
    process.run()
    for role, arm, ok in ((None, "candidate", True), ("coach", "candidate", False), (None, None, False)):
        process.controller.observe(FeedbackGiven(0, role, "new", "m", "answer", ok, arm=arm))
    process.run()
    counts = read_evidence(store.documents.read(f"{EVIDENCE}{ALL_ROLES}"), process.rollout).candidate
    assert (counts.feedback, counts.bad_feedback) == (2, 1)


class FailingStore(MemoryStore):
    """A store whose documents can be made to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.works = self.documents

    def fail(self) -> None:
        """Fail from now on."""
        self.documents = self

    def recover(self) -> None:
        """Work again."""
        self.documents = self.works

    def read(self, name: str) -> Any:
        """Fail when evidence is read."""
        if name.startswith(EVIDENCE):
            raise StoreError("the disk is full")
        return self.works.read(name)


def test_the_last_plan_and_the_evidence_survive_a_failing_store() -> None:
    """Nothing is lost while it fails."""
    store = FailingStore()
    process = Process(store)
    process.run()
    process.serve("candidate", good=2)
    store.fail()
    with pytest.raises(StoreError):
        process.run()
    process.serve("candidate", good=1)
    with pytest.raises(StoreError):
        process.controller.finish(store)
    assert process.rollout.share == HALF
    store.recover()
    process.run()
    assert read_evidence(store.documents.read(f"{EVIDENCE}{ALL_ROLES}"), process.rollout).candidate.n == 3


def test_a_child_does_not_count_what_its_parent_counts() -> None:
    """Pending evidence belongs to the parent."""
    store = MemoryStore()
    process = Process(store)
    process.run()
    process.serve("candidate", good=2)
    process.controller.renew_after_fork()
    process.run()
    assert store.documents.read(f"{EVIDENCE}{ALL_ROLES}").version == 0


def test_the_alert_command_gets_the_change_as_json(tmp_path: Path) -> None:
    """It runs without a shell, in the process that made the change."""
    target = tmp_path / "alert.json"
    program = f"import sys, pathlib; pathlib.Path({str(target)!r}).write_text(sys.stdin.read())"
    process = Process(MemoryStore(), on_alert=(sys.executable, "-c", program))
    process.run()
    process.serve("candidate", bad=5)
    process.run()
    deadline = time.monotonic() + 60
    while not (target.exists() and target.read_text()) and time.monotonic() < deadline:
        time.sleep(0.01)
    message = json.loads(target.read_text())
    assert (message["action"], message["candidate"], message["share"]) == ("suspend", "new", "0%")
    assert message["evidence"]["candidate_bad"] == 5


def test_a_damaged_plan_changes_nothing() -> None:
    """The current plan stays, and the store's thread reports it."""
    store = MemoryStore()
    process = Process(store)
    process.run()
    document = store.documents.read(PLAN)
    store.documents.write(PLAN, {"format": 99}, expected_version=document.version)
    with pytest.raises(StoreError, match="the format of the rollout must be 1, got 99"):
        process.run()
    assert process.rollout.share == HALF


def test_damaged_evidence_is_reported() -> None:
    """Nothing is judged with it."""
    store = MemoryStore()
    process = Process(store)
    process.run()
    damaged = {"step": 1, "began_s": process.rollout.step_began_s, "evidence": {"phase": "x"}}
    store.documents.write(f"{EVIDENCE}{ALL_ROLES}", damaged, expected_version=0)
    process.serve("candidate", bad=9)
    with pytest.raises(StoreError, match="the evidence of the rollout cannot be read"):
        process.run()
    assert process.rollout.share == HALF


def test_an_alert_command_that_fails_changes_nothing() -> None:
    """One that cannot be started, and one that ends with an error."""
    for command in (("/nonexistent/alert",), (sys.executable, "-c", "raise SystemExit(3)")):
        process = Process(MemoryStore(), on_alert=command)
        process.run()
        process.serve("candidate", bad=5)
        process.run()
        assert process.rollout.suspended_share == HALF


def test_a_store_that_was_emptied_gets_the_plan_of_a_running_process() -> None:
    """A lost store moves nobody, and the history says where the plan comes from."""
    store = MemoryStore()
    process = Process(store, settings=RolloutSettings())
    change(store, lambda plan: set_share(plan, ALL_ROLES, "new", BUCKETS // 4, 5.0).plan)
    process.run()
    emptied = MemoryStore()
    process.store = emptied
    process.run()
    assert process.rollout.share == BUCKETS // 4
    assert RolloutPlan.from_dict(emptied.documents.read(PLAN).value) == process.controller.plan
    assert [entry.who for entry in emptied.documents.read_history(PLAN)] == ["store"]


def test_a_change_right_after_that_of_the_guard_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that carries out a verdict does not miss what a person writes at the same moment."""
    store = MemoryStore()
    process = Process(store)
    process.run()
    write = store.documents.write

    def write_and_change(name: str, *args: Any, **fields: Any) -> bool:
        written = write(name, *args, **fields)
        if written and name == PLAN:
            monkeypatch.setattr(store.documents, "write", write)
            change(store, lambda plan: set_share(plan, "team_manager", "new", HALF, 5.0).plan)
        return written

    monkeypatch.setattr(store.documents, "write", write_and_change)
    process.serve("candidate", bad=60)
    process.serve("control", good=60)
    process.run()
    assert process.rollout.share == 0
    assert "team_manager" in process.controller.plan.rollouts


def test_an_attempt_of_an_earlier_step_is_no_evidence() -> None:
    """Late failures of a candidate that was replaced do not count against the new one."""
    store = MemoryStore()
    process = Process(store)
    process.run()
    change(store, lambda plan: set_share(plan, ALL_ROLES, "newer", HALF, 5.0).plan)
    process.run()
    process.now += 5.0
    slow, quick = evolve(FAILED, latency_s=6.0), evolve(FAILED, latency_s=4.0)
    for attempt in (slow, slow, slow, slow, slow, quick):
        process.controller.observe(AttemptEnded(1, None, attempt, is_primary=True, arm="candidate"))
    process.run()
    evidence = read_evidence(store.documents.read(f"{EVIDENCE}{ALL_ROLES}"), process.rollout)
    assert (evidence.candidate.n, process.rollout.share) == (1, HALF)


def test_a_verdict_for_one_role_does_not_undo_a_change_of_another() -> None:
    """The other role's rollout, which a person changes in that moment, is judged anew by the next run."""

    class Busy(MemoryStore):
        """A store in which a person changes the second role as soon as the guard has changed the first one."""

        def __init__(self) -> None:
            super().__init__()
            self.inner, self.documents = self.documents, self

        def write(self, name: str, value: Any, **how: Any) -> bool:
            """Write, and let the person follow the guard."""
            done = self.inner.write(name, value, **how)
            if name == PLAN and getattr(how.get("entry"), "who", "") == "guard":
                self.documents = self.inner
                change(self, lambda plan: set_share(plan, "b", "other", BUCKETS, 9.0).plan)
            return done

        def read(self, name: str) -> Any:
            """Read."""
            return self.inner.read(name)

        def read_history(self, name: str, limit: int = 100) -> Any:
            """Read the history."""
            return self.inner.read_history(name, limit)

    store = Busy()
    process = Process(store, settings=RolloutSettings())
    for role in ("a", "b"):
        change(store, lambda plan, role=role: set_share(plan, role, "new", HALF, 5.0).plan)
    process.run()
    process.serve("candidate", bad=5, role="a")
    dead = StepEvidence().add({"candidate": ArmCounts(n=5, failures=5)}, process.settings.guard)  # of another process
    rollout = process.controller.plan.rollouts["b"]
    value = {"step": rollout.step, "began_s": rollout.step_began_s, "evidence": dead.as_dict()}
    store.inner.write(f"{EVIDENCE}b", value, expected_version=0)
    process.run()
    rollouts = RolloutPlan.from_dict(store.documents.read(PLAN).value).rollouts
    assert rollouts["a"].suspended_share == HALF
    assert (rollouts["b"].candidate, rollouts["b"].share) == ("other", BUCKETS)

"""Stores with one fault each, and the standard test that is meant to find it. `test_store_contract.py` runs them."""

from __future__ import annotations

from attrs import evolve

from kickai_providers_core.stores.api import Document
from kickai_providers_core.stores.cells import widen
from kickai_providers_core.stores.memory import MemoryStore
from kickai_providers_core.testing import StoreContract
from kickai_providers_core.values.metrics import Cell


def replace(part, method):
    """Return a decorator that makes its function, which gets the original method, a method of a part of each store."""

    def decorate(function):
        def break_store(store):
            target = getattr(store, part)
            original = getattr(target, method)
            setattr(target, method, lambda *args, **options: function(store, original, *args, **options))

        return break_store

    return decorate


@replace("metrics", "add")
def count_repeated_batches(store, add, batch):
    """Forget which batches were added."""
    store.metrics._content.get().writers.clear()
    add(batch)


@replace("metrics", "add")
def lose_first_tokens(store, add, batch):
    """Drop a histogram."""
    add(evolve(batch, cells={key: evolve(cell, first_token={}) for key, cell in batch.cells.items()}))


@replace("metrics", "add")
def keep_all_names(store, add, batch):
    """Have no limit for names."""
    store.metrics._content.get().names.clear()
    add(batch)


@replace("metrics", "read")
def include_the_end(store, read, since_s=0, until_s=None):
    """Count the cell at the end of a period too."""
    return read(since_s, None if until_s is None else until_s + 1)


@replace("metrics", "compact")
def overwrite_hours(store, compact, now_s, keep_days):
    """Keep one minute of each hour."""
    content = store.metrics._content.get()
    content.cells = {widen(key, 3600) if key.start_s < now_s - 9e5 else key: c for key, c in content.cells.items()}
    compact(now_s, keep_days)


@replace("metrics", "compact")
def delete_nothing(store, compact, now_s, keep_days):
    """Ignore how long cells are kept."""
    compact(now_s, 10_000)


@replace("documents", "write")
def overwrite_changes(store, write, name, value, *, expected_version, entry=None):
    """Let the last writer win."""
    return write(name, value, expected_version=store.documents.read(name).version, entry=entry)


@replace("documents", "read_history")
def begin_with_the_oldest(store, read_history, name, limit=100):
    """Turn the history round."""
    return read_history(name, limit)[::-1]


@replace("documents", "delete")
def ignore_case(store, delete, prefix):
    """Compare prefixes as SQL's LIKE does."""
    for name in list(store.documents._content.get().documents):
        if name.lower().startswith(prefix.lower()):
            delete(name)


@replace("documents", "delete")
def use_versions_again(store, delete, prefix):
    """Forget the versions of deleted documents."""
    delete(prefix)
    store.documents._content.get().deleted_version = 0


@replace("documents", "read")
def forget_types(store, read, name):
    """Return integers as floats."""
    found = read(name)
    value = {key: float(item) if isinstance(item, int) else item for key, item in found.value.items()}
    return Document(version=found.version, value=value)


@replace("health", "lift")
def lift_newer_marks(store, lift, key, generation):
    """Ignore the generation."""
    lift(key, generation + 1000)


@replace("health", "publish")
def let_the_last_mark_win(store, publish, marks):
    """Shorten suspensions."""
    for mark in marks:
        store.health.lift(mark.key, 10**9)
    publish(marks)


@replace("leases", "release")
def let_anybody_end_a_lease(store, release, name, holder):
    """Ignore who holds it."""
    store.leases._content.get().leases.pop(name, None)


@replace("leases", "take_permits")
def exceed_the_limit(store, take_permits, name, holder, *, amount, limit, window_s):
    """Give one permit too many."""
    return take_permits(name, holder, amount=amount, limit=limit + 1, window_s=window_s)


@replace("leases", "return_permits")
def return_to_any_window(store, return_permits, lease, amount):
    """Ignore the window of a permit."""
    window = store.leases._content.get().windows.get(lease.name)
    return_permits(lease if window is None else evolve(lease, window=window.number), amount)


def end_marks_by_the_wall_clock(store):
    """Measure durations with a clock that can be set."""
    store.health._clock = store.metrics._wall


def end_leases_by_the_wall_clock(store):
    """Measure durations with a clock that can be set."""
    store.leases._clock = store.metrics._wall


def lose_a_lock(store):
    """Read, wait, and write without a lock."""
    import time

    content = store.metrics._content.get()

    def add(batch):
        for key, cell in batch.cells.items():
            before = content.cells.get(key, Cell())
            time.sleep(0.001)
            counters = {name: before.counters.get(name, 0) + count for name, count in cell.counters.items()}
            content.cells[key] = evolve(cell, counters=counters)

    store.metrics.add = add


MUTANTS = {
    count_repeated_batches: "test_a_batch_is_added_once",
    lose_first_tokens: "test_cells_add_up_exactly",
    keep_all_names: "test_too_many_models_of_a_day_are_other",
    include_the_end: "test_a_period_includes_its_start_and_excludes_its_end",
    overwrite_hours: "test_compacting_changes_no_sum",
    delete_nothing: "test_old_days_are_deleted",
    overwrite_changes: "test_a_change_needs_the_current_version",
    begin_with_the_oldest: "test_the_history_has_the_newest_entries_first",
    ignore_case: "test_documents_are_deleted_by_their_prefix",
    use_versions_again: "test_a_deleted_document_never_gets_an_old_version_again",
    forget_types: "test_a_value_is_returned_as_it_was",
    lift_newer_marks: "test_a_success_lifts_only_older_marks",
    let_the_last_mark_win: "test_the_mark_that_ends_later_stays",
    let_anybody_end_a_lease: "test_one_holder_at_a_time",
    exceed_the_limit: "test_permits_end_at_the_limit",
    return_to_any_window: "test_a_window_ends_by_itself",
    end_marks_by_the_wall_clock: "test_setting_the_wall_clock_changes_no_mark",
    end_leases_by_the_wall_clock: "test_setting_the_wall_clock_changes_no_lease",
    lose_a_lock: "test_threads_share_a_store",
}


def _make_class(place, break_store):
    def break_new(self, store):
        break_store(store)
        return store

    return type(
        f"Mutant{place}",
        (StoreContract,),
        {
            "__test__": True,
            "is_shared": False,
            "create_url": lambda self, folder: "memory:",
            "open": lambda self, url: break_new(self, MemoryStore()),
            "open_with_clocks": lambda self, url, clock, wall: break_new(self, MemoryStore(clock=clock, wall=wall)),
        },
    )


CASES = [(f"Mutant{place}", test) for place, test in enumerate(MUTANTS.values())]
globals().update({f"Mutant{place}": _make_class(place, break_store) for place, break_store in enumerate(MUTANTS)})

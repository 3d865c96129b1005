"""Immutable values: requests, replies, errors, targets, events. They hold no state and import no other package of the core."""

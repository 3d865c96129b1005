"""Immutable values: requests, replies, errors, targets, events. They import no other package of the core."""

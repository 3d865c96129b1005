"""Decisions without I/O: which target is called when, and what a failure means. Time is an argument."""

"""Threads, event loops, timeouts and forks. Nothing here knows about providers."""

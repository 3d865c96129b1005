"""Stores keep metrics, the rollout, shared health and leases beyond the life of a process."""

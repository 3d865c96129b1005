"""Builds the documentation site: ``nox -s site``."""

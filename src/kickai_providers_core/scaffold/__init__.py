"""Writes new distributions of providers, from a template that copier fills in; behind ``kickai new-provider``."""

from __future__ import annotations

from kickai_providers_core.scaffold.names import check_name, find_taken_names
from kickai_providers_core.scaffold.project import KINDS, MissingCopierError, Project, write_project

__all__ = ["KINDS", "MissingCopierError", "Project", "check_name", "find_taken_names", "write_project"]

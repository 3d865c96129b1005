"""What all tests share."""

from hypothesis import settings

# An example that takes long says something about the machine, not about the code.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

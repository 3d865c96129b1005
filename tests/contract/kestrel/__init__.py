"""A correct provider for an invented service, Kestrel, and mutants of it."""

"""A good provider for an invented service, Kestrel, and the mutants that are made of it."""

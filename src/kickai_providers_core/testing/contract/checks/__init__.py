"""The standard tests of a provider, one class for each topic."""

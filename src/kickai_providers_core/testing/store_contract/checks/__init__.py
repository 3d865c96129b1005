"""The standard tests of a store, one module for each part."""

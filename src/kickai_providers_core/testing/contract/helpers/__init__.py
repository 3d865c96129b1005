"""What the standard tests share: the provider under test, calls with a time limit, and their outcomes."""

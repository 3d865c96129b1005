"""Effects: the only code that calls a provider. A walk decides, a driver here carries it out."""

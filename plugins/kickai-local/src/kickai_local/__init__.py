"""A language model on the user's own machine, through llama.cpp, as a provider for kickai-providers-core."""

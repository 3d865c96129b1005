"""Ollama as a provider: models on your own machine or network."""

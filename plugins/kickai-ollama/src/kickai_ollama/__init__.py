"""Ollama as a provider: models on one's own machine or network."""

"""Finds language-model provider plugins, and resolves each request to the provider that can answer it now."""

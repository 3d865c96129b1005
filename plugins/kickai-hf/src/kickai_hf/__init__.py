"""Hugging Face Inference as a provider of kickai-providers-core; everything is reached through its entry point."""

"""Hugging Face Inference as a provider for kickai-providers-core. The entry point is `kickai_hf.plugin.plugin`."""

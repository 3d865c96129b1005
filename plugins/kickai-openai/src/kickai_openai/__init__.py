"""Any OpenAI-compatible service as a provider for kickai-providers-core. The entry point is `kickai_openai.plugin`."""

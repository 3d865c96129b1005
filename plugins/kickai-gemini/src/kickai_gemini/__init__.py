"""Google Gemini as a provider, with either of Google's two Python clients. Importing this package imports neither."""

from loguru import logger

logger.disable(__name__)

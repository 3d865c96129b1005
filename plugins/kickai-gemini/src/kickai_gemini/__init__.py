"""Google Gemini as a provider: one plugin, either of Google's two Python clients.

Importing this package imports neither of them.
"""

from loguru import logger

logger.disable(__name__)

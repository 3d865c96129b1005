"""What all tests share."""

import signal

from hypothesis import settings

# An example that takes long says something about the machine, not about the code.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

# A shell that starts the tests in the background has them ignore Ctrl-C, which some of them send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

"""The drill: a rollout with real processes, an outage, a rollback and a killed process, checked request by request.

``python -m kickai_providers_core.operations.drill --help``. It needs kickai-mock and the command line.
"""

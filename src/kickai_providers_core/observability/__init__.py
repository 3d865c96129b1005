"""Who receives events: observers and the log."""

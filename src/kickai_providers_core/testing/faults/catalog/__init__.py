"""Ready-made faults: what the server can do with a request."""

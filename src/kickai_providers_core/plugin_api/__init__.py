"""The plugin API: hook specifications, discovery, and the adapter that calls one plugin's hooks."""

"""The server: it reads requests and plays the scripted fault for each."""

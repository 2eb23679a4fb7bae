"""One logical call: its attempts, what follows each, and how it reaches the service."""

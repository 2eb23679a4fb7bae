"""The connection to a Redis that limits and events share."""

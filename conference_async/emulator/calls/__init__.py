"""The emulated phones: how fast they are dialled, and how their calls go."""

"""Calling one target at most once, and counting who has joined."""

"""Signed reports to the application."""

"""The memory of a campaign: each target is written down before its request leaves."""

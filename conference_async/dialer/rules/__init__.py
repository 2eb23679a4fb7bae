"""The wishes of a campaign: calling hours, a quorum, repeated attempts, numbers not to call."""

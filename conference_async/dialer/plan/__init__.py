"""The targets of a campaign: read, checked and numbered before anything is sent."""

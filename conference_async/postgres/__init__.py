"""The connection to Postgres that limits and ledgers share, and the versions of their tables."""

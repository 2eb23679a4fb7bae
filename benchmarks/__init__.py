"""What the README claims about speed, measured: one file per claim, run by ``tox -e bench``."""

"""Measure each of the README's claims about speed: one file per claim, run by ``tox -e bench``."""

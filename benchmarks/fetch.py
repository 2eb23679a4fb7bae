"""Fetches of one participant, 50 in flight, typed reply."""

from benchmarks.contenders import BY_HAND, OFFICIAL
from benchmarks.duel import duel
from benchmarks.figures import Figure


def measure(base_url: str, rounds: int) -> list[Figure]:
    """Return the ratios to the official client and to aiohttp by hand."""
    goals = {OFFICIAL: 1.6, BY_HAND: 0.97}
    return duel("fetch", base_url, rounds, lambda contender: contender.fetch, goals)

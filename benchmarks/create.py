"""Creates, 50 in flight, typed request and typed reply, pace off."""

from benchmarks.contenders import BY_HAND, OFFICIAL
from benchmarks.duel import duel
from benchmarks.figures import Figure


def measure(base_url: str, rounds: int) -> list[Figure]:
    """Return the ratios to the official client and to aiohttp by hand."""
    goals = {OFFICIAL: 1.9, BY_HAND: 1.2}
    return duel("create", base_url, rounds, lambda contender: contender.create, goals)

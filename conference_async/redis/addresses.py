"""URLs of a Redis, of one behind sentinels, and of a cluster; and clients for them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import SplitResult, unquote, urlsplit

from conference_async.errors import ConfigurationError

if TYPE_CHECKING:
    from redis.asyncio import Redis

_SENTINEL, _CLUSTER = "+sentinel", "+cluster"
_LIKE = (
    "the URL of the Redis must be like redis://host:6379/0, "
    "redis+sentinel://host:26379,other:26379/service/0 or redis+cluster://host:6379,other:6379"
)


def check_url(url: str, purpose: str) -> None:
    """Refuse what is no URL of a Redis, without a word of what it holds.

    Raises:
        ConfigurationError: The extra ``redis`` is not installed, or the URL is not one.
    """
    try:
        from redis.asyncio.connection import parse_url
    except ImportError as error:
        raise ConfigurationError(
            f'{purpose} needs redis-py: pip install "conference-async[redis]"'
        ) from error
    try:
        fits = "\0" not in url and "%00" not in url
        if names_many(url):
            parts = urlsplit(url)
            fits = fits and bool(_nodes(parts)) and _path_fits(parts)
        else:
            parse_url(url)
    except (ValueError, TypeError, AttributeError):
        fits = False
    if not fits:
        raise ConfigurationError(_LIKE) from None  # the URL in it may hold a password


def client_at(url: str, options: Mapping[str, Any]) -> "tuple[Redis, list[Redis]]":
    """Return a client of a Redis, and what else is to be closed with it.

    That of a cluster is none by its type, and takes the same commands.

    Args:
        url: A URL that `check_url` lets pass.
        options: How it is to connect.
    """
    from redis.asyncio import Redis, RedisCluster
    from redis.asyncio import sentinel as sentinels
    from redis.asyncio.cluster import ClusterNode

    if not names_many(url):
        return Redis.from_url(url, **options), []  # pyright: ignore[reportUnknownMemberType] -- its **kwargs are untyped
    parts = urlsplit(url)
    login: dict[str, Any] = {
        "username": parts.username and unquote(parts.username),
        "password": parts.password and unquote(parts.password),
        "ssl": parts.scheme.startswith("rediss"),
    }
    nodes = _nodes(parts)
    if parts.scheme.endswith(_CLUSTER):
        cluster = RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in nodes], **login, **options
        )
        return cast("Redis", cluster), []
    service, _, number = parts.path.strip("/").partition("/")
    make: Any = sentinels.Sentinel  # it is untyped
    # They are asked one after the other: those that never answer shall leave time for the rest.
    shares = {
        name: options[name] / len(nodes) for name in ("socket_timeout", "socket_connect_timeout")
    }
    watchers = make(nodes, sentinel_kwargs={**options, **shares}, **options)
    return watchers.master_for(service, db=int(number or 0), **login), list(watchers.sentinels)


def has_sentinels(url: str) -> bool:
    """Return whether it is sentinels that say which Redis is meant."""
    return url.partition("://")[0].endswith(_SENTINEL)


def names_many(url: str) -> bool:
    """Return whether it is sentinels, or nodes of a cluster, that a URL names."""
    scheme = url.partition("://")[0]
    return scheme in {
        f"{each}{kind}" for each in ("redis", "rediss") for kind in (_SENTINEL, _CLUSTER)
    }


def _nodes(parts: SplitResult) -> list[tuple[str, int]]:
    """Return the hosts and ports of a URL."""
    usual = 26379 if parts.scheme.endswith(_SENTINEL) else 6379
    places = parts.netloc.rpartition("@")[2].split(",")
    found = [urlsplit(f"//{place}") for place in places]
    return [(each.hostname or "", each.port or usual) for each in found if each.hostname]


def _path_fits(parts: SplitResult) -> bool:
    service, _, number = parts.path.strip("/").partition("/")
    if parts.scheme.endswith(_CLUSTER):
        return not service
    return bool(service) and (not number or number.isdigit())

"""The service's webhook signature: made, and checked in constant time.

What is signed is the full callback URL as configured (without its fragment), then, for a form,
every name directly followed by its value: names in byte order, the values of a repeated name
without doubles and in order. A GET is signed by its URL alone. A JSON body is bound by the
``bodySHA256`` parameter of the signed URL. The keyed hash is HMAC-SHA1 with the account's auth
token, or the algorithm of a shared key that the request names in a header.
https://www.twilio.com/docs/usage/webhooks/webhooks-security

Nothing separates a name from its value in the signed text, so two forms may share one signature
if the border between them moves. A receiver therefore takes each signature only once.
"""

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, NoReturn, TypeAlias, cast
from urllib.parse import parse_qsl

import attrs

from conference_async.errors import ConfigurationError, SignatureMismatch

SIGNATURE_HEADER: Final = "X-Twilio-Signature"
"""The header that carries the signature."""

SETTINGS_HEADER: Final = "X-Twilio-Webhooks-Signature-Settings"
"""The header that names the shared key: ``key=<id>,algorithm=<algorithm>``."""

Params: TypeAlias = Mapping[str, str | Sequence[str]] | Iterable[tuple[str, str]]
"""Decoded form parameters: a mapping of names to one or several values, or pairs."""

_URL = re.compile(
    r"(?P<origin>(?P<scheme>[a-z][a-z0-9+.-]*)://(?:[^/?#]*@)?(?:\[[^/?#\]]*\]|[^/?#:@\[\]]*))"
    r"(?::(?P<port>[0-9]*))?(?P<path>[^?]*)(?P<query>.*)",
    re.IGNORECASE | re.DOTALL,
)


class Algorithm(StrEnum):
    """The keyed hashes that the service signs with."""

    HMAC_SHA1 = "HMAC_SHA1"
    HMAC_SHA256 = "HMAC_SHA256"

    @property
    def hash_name(self) -> str:
        """The hash's name in `hashlib`."""
        return self.removeprefix("HMAC_").lower()


def _algorithm(given: Algorithm) -> Algorithm:
    """Return what is named by its word too, as settings of an application have it."""
    try:
        return Algorithm(given)
    except ValueError:
        raise ConfigurationError(
            f"algorithm must be {' or '.join(Algorithm)}, not {given!r}"
        ) from None


def sign(
    url: str, params: Params | None, token: str, *, algorithm: Algorithm = Algorithm.HMAC_SHA1
) -> str:
    """Return the signature that the service would put on a request to `url`.

    Args:
        url: The full callback URL, exactly as configured; a fragment is left out.
        params: The decoded form parameters; None for a GET, or for a JSON body (then `url` must
            carry ``bodySHA256``).
        token: The auth token, or the secret of a shared key.
        algorithm: The keyed hash; anything but the default needs a shared key.
    """
    return _digest(signed_text(url, params), token, algorithm).decode("ascii")


def signed_text(url: str, params: Params | None) -> str:
    """Return the text whose keyed hash is the signature.

    Args:
        url: The full callback URL, as for `sign`.
        params: The decoded form parameters, as for `sign`.
    """
    return url.partition("#")[0] + _canonical(params)


def verify(
    url: str,
    params: Params | None,
    signature: str | None,
    tokens: str | Iterable[str],
    *,
    algorithm: Algorithm = Algorithm.HMAC_SHA1,
) -> bool:
    """Return whether `signature` is that of the request, under any of the `tokens`.

    The URL is tried with and without its port (the scheme's own where it names none) and with
    the quote in its query raw and escaped, because the service signs now one, now the other.
    Every spelling is compared with every token, in constant time and without an early exit.

    Args:
        url: The public URL that the service called, with its query as received.
        params: The decoded form parameters; None where the body is no form.
        signature: What the request claims; None where it has no such header, which is never right.
        tokens: The auth token to accept; several while a token is being replaced.
        algorithm: The keyed hash, as bound to the tokens here: never as the request asks.

    Raises:
        ConfigurationError: A token is empty, so that anybody could sign with it, or no text.
    """
    accepted = _as_tuple(tokens)
    if not all(map(_is_secret, accepted)):
        raise ConfigurationError("tokens must be text, and none may be empty")
    claimed = (signature or "").encode("utf-8", "surrogatepass")
    text = _canonical(params)
    spellings = _spellings(url)
    found = False
    for token in accepted:
        for spelling in spellings:
            found |= hmac.compare_digest(_digest(spelling + text, token, algorithm), claimed)
    return found


def _digest(text: str, token: str, algorithm: Algorithm) -> bytes:
    # Half a surrogate pair can come in by a header or a test; it must not break the check.
    message = text.encode("utf-8", "surrogatepass")
    return b64encode(hmac.digest(token.encode(), message, _algorithm(algorithm).hash_name))


def _canonical(params: Params | None) -> str:
    return "".join([name + value for name, value in sorted(set(_pairs(params)))])


def _pairs(params: Params | None) -> Iterable[tuple[str, str]]:
    if not isinstance(params, Mapping):
        return params or ()
    # The cast is for pyright: it takes a mapping of pairs for possible here.
    form = cast("Mapping[str, str | Sequence[str]]", params)
    return [
        (name, value)
        for name, given in form.items()
        for value in ((given,) if isinstance(given, str) else given)
    ]


def _spellings(url: str) -> Sequence[str]:
    bare = url.partition("#")[0]
    found = _URL.fullmatch(bare)
    if found is None:
        return [bare]
    origin, scheme, port, path, query = found.group("origin", "scheme", "port", "path", "query")
    port = port or ("443" if scheme.lower() in {"https", "wss"} else "80")
    # A dict rather than a set: no query in doubles, and the order is the same every time.
    queries = dict.fromkeys((query, query.replace("'", "%27"), query.replace("%27", "'")))
    return [base + path + query for base in (origin, f"{origin}:{port}") for query in queries]


@attrs.frozen(kw_only=True)
class SharedKey:
    """A webhook shared key of the account: a secret, and the one algorithm that it is for.

    https://www.twilio.com/docs/usage/webhooks/webhook-shared-keys
    """

    secret: str = attrs.field(repr=False)
    """The key's secret."""

    algorithm: Algorithm = attrs.field(default=Algorithm.HMAC_SHA256, converter=_algorithm)
    """The algorithm that the key signs with; a request that claims another one is refused."""

    def __reduce__(self) -> NoReturn:
        _refuse_pickling()


def _refuse_pickling() -> NoReturn:
    """Refuse to write a secret where nobody expects one.

    Raises:
        ConfigurationError: Always.
    """
    raise ConfigurationError(
        "webhook keys are not pickled; build them where they are used, "
        "for instance from the environment"
    )


def _as_tuple(tokens: str | Iterable[str]) -> tuple[str, ...]:
    several: object = tokens  # None where a variable of the environment is missing, for instance
    is_one = isinstance(several, str) or not isinstance(several, Iterable)
    return (cast("str", several),) if is_one else tuple(cast("Iterable[str]", several))


def _is_secret(secret: object) -> bool:
    return isinstance(secret, str) and secret != ""


def _is_key(key: object) -> bool:
    return isinstance(key, SharedKey) and isinstance(key.secret, str)


@attrs.frozen
class Keys:
    """The keys that webhooks may be signed with; shows none of them.

    A request that names a shared key is checked with that key's own secret and algorithm, and
    with nothing else; one that names none is checked with the auth tokens. Leave the tokens out
    to accept shared keys only.

    Raises:
        ConfigurationError: There is no key at all, or an empty one, which anybody could sign
            with.
    """

    auth_tokens: tuple[str, ...] = attrs.field(default=(), converter=_as_tuple, repr=False)
    """One auth token, or several while one replaces another or subaccounts call too. API key
    secrets do not sign webhooks."""

    shared_keys: Mapping[str, SharedKey] = attrs.field(
        factory=dict[str, SharedKey], kw_only=True, repr=False
    )
    """Shared keys by their id, as the request names it."""

    def __attrs_post_init__(self) -> None:
        keys: object = self.shared_keys
        if not isinstance(keys, Mapping) or not all(map(_is_key, keys.values())):
            raise ConfigurationError(
                "shared_keys must map the ids of keys to SharedKey(secret), whose secret is text"
            )
        secrets: list[object] = [*self.auth_tokens]
        secrets += [key.secret for key in self.shared_keys.values()]
        if not secrets or not all(map(_is_secret, secrets)):
            raise ConfigurationError(
                "webhooks need the account's auth token or a shared key, and none may be empty, or "
                "anything but text"
            )

    def __reduce__(self) -> NoReturn:
        _refuse_pickling()

    def check(
        self, url: str, *, headers: Mapping[str, str], body: Params | bytes | None = None
    ) -> None:
        """Return if the request was signed by the service, raise if not.

        Args:
            url: The public URL that the service called, with its query as received.
            headers: The request's headers; the case of the names does not matter.
            body: The decoded parameters of a form; the raw bytes of a JSON body, which then
                must match the ``bodySHA256`` of the URL; None for a GET.

        Raises:
            SignatureMismatch: The signature is missing, or not that of this request, or made
                with a key that is not held here. It never says which.
        """
        lowered = {name.lower(): value for name, value in headers.items()}
        signature = lowered.get(SIGNATURE_HEADER.lower(), "")
        tokens, algorithm = self._named_by(lowered.get(SETTINGS_HEADER.lower()))
        intact = True
        if isinstance(body, bytes):
            intact = _has_hash_of(url, body)
            body = None
        if not verify(url, body, signature, tokens, algorithm=algorithm) or not intact:
            raise SignatureMismatch("the request was not signed with a key that we hold")

    def _named_by(self, settings: str | None) -> tuple[Iterable[str], Algorithm]:
        if settings is None:
            return self.auth_tokens, Algorithm.HMAC_SHA1
        named = [part.strip().partition("=") for part in settings.split(",")]
        values = {name: value for name, _, value in named}
        key = self.shared_keys.get(values.get("key", ""))
        # The header only points at a key: what that key signs with is known here.
        if key is None or values.get("algorithm", key.algorithm) != key.algorithm:
            return (), Algorithm.HMAC_SHA256
        return (key.secret,), key.algorithm


def _has_hash_of(url: str, body: bytes) -> bool:
    query = url.partition("#")[0].partition("?")[2]
    claimed = [value for name, value in parse_qsl(query) if name == "bodySHA256"]
    actual = hashlib.sha256(body).hexdigest()
    return len(claimed) == 1 and hmac.compare_digest(
        actual.encode(), claimed[0].encode("utf-8", "surrogatepass")
    )

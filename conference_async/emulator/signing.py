"""The signature of a callback."""

import base64
import hashlib
import hmac
from collections.abc import Mapping


def sign(url: str, params: Mapping[str, str] | None, token: str) -> str:
    """Return ``X-Twilio-Signature``: HMAC-SHA1 of the URL and the sorted form parameters."""
    text = url + "".join(name + value for name, value in sorted((params or {}).items()))
    return base64.b64encode(hmac.digest(token.encode(), text.encode(), hashlib.sha1)).decode()

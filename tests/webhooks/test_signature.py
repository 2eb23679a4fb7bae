"""The signature is the service's own, and nothing that was changed passes."""

import pickle
from typing import Any, cast

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from conference_async.errors import ConfigurationError, SignatureMismatch
from conference_async.webhooks.signature import Algorithm, Keys, Params, SharedKey, sign, verify

TOKEN = "12345"
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
FORM = {
    "CallSid": "CA1234567890ABCDE",
    "Caller": "+14158675309",
    "Digits": "1234",
    "From": "+14158675309",
    "To": "+18005551212",
}
BODY = b'{"property": "value", "boolean": true}'
BODY_HASH = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
EMPTY_HASH = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def at(authority: str, *, scheme: str = "https") -> str:
    """Return the page's URL under another authority."""
    return f"{scheme}://{authority}/myapp.php?foo=1&bar=2"


VECTORS: dict[str, tuple[str, Params | None, str]] = {
    "plain": (URL, FORM, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
    "https port": (at("mycompany.com:443"), FORM, "kvajT1Ptam85bY51eRf/AJRuM3w="),
    "http port": (at("mycompany.com:80", scheme="http"), FORM, "0ZXoZLH/DfblKGATFgpif+LLRf4="),
    "odd port": (at("mycompany.com:1234", scheme="http"), FORM, "Zmvh+3yNM1Phv2jhDCwEM3q5ebU="),
    "repeated digits": (
        URL,
        {"Sid": "CA123", "SidAccount": "AC123", "Digits": ["5678", "1234", "1234"]},
        "IK+Dwps556ElfBT0I3Rgjkr1wJU=",
    ),
    "repeated address": (
        URL,
        {"MessagingBinding.Address": ["+1325xxxxxxx", "+1415xxxxxxx"]},
        "83O6e2vORAoJHUNzJjDWN1jz+BA=",
    ),
    "user and password": (at("user:pass@mycompany.com"), FORM, "CukzLTc1tT5dXEDIHm/tKBanW10="),
    "user info and port": (
        at("user:pass@mycompany.com:443"),
        FORM,
        "ZQFR1PTIZXF2MXB8ZnKCvnnA+rI=",
    ),
    "user": (at("user@mycompany.com"), FORM, "2YRLlVAflCqxaNicjMpJcSTgzSs="),
    "quote": (URL + "&Body=It%27s+amazing", FORM, "TfZzewPq8wqrGlMfyAud8+/IvJ0="),
    "json": (f"{URL}&bodySHA256={BODY_HASH}", None, "a9nBmqA0ju/hNViExpshrM61xv4="),
    "json alone": (
        f"https://mycompany.com/myapp.php?bodySHA256={BODY_HASH}",
        None,
        "y77kIzt2vzLz71DgmJGsen2scGs=",
    ),
    "json and port": (
        at("mycompany.com:443") + f"&bodySHA256={EMPTY_HASH}",
        None,
        "Ldidvp12m26NI7eqEvxnEpkd9Hc=",
    ),
}


@pytest.mark.parametrize(("url", "params", "signature"), VECTORS.values(), ids=VECTORS.keys())
def test_published_vectors(url: str, params: Params | None, signature: str) -> None:
    """Each of the service's vectors is signed as published, and accepted."""
    assert sign(url, params, TOKEN) == signature
    assert verify(url, params, signature, [TOKEN])


@pytest.mark.parametrize(
    ("received", "signed"),
    [
        (URL, at("mycompany.com:443")),
        (at("mycompany.com:443"), URL),
        (at("mycompany.com:1234"), URL),
        (at("mycompany.com", scheme="http"), at("mycompany.com:80", scheme="http")),
        (at("user:pass@mycompany.com:8443"), at("user:pass@mycompany.com")),
        (at("user:pass@mycompany.com"), at("user:pass@mycompany.com:443")),
        (at("[2001:db8::1]"), at("[2001:db8::1]:443")),
        (at("[2001:db8::1]:8443"), at("[2001:db8::1]")),
        ("wss://example.com/media", "wss://example.com:443/media"),
        ("https://example.com?a=1", "https://example.com:443?a=1"),
        (URL + "&Body=It's", URL + "&Body=It%27s"),
        (URL + "&Body=It%27s", URL + "&Body=It's"),
        (at("mycompany.com:443") + "&Body=It's", URL + "&Body=It%27s"),
        (URL, URL + "#rc=5&rp=all"),
    ],
)
def test_spellings_of_one_url(received: str, signed: str) -> None:
    """A port that comes or goes, a quote raw or escaped and a fragment do not matter."""
    assert verify(received, FORM, sign(signed, FORM, TOKEN), [TOKEN])


@pytest.mark.parametrize(
    ("received", "signed"),
    [
        (at("mycompany.com:1234"), at("mycompany.com:4321")),
        (at("other@mycompany.com"), at("user@mycompany.com")),
        ("https://example.com/it's", "https://example.com/it%27s"),
        (at("mycompany.com", scheme="http"), URL),
        ("nowhere", "somewhere"),
    ],
)
def test_other_urls(received: str, signed: str) -> None:
    """Another port, user, path or scheme is another URL."""
    assert not verify(received, FORM, sign(signed, FORM, TOKEN), [TOKEN])


def test_pairs_sign_as_mappings_do() -> None:
    """A form may be given as pairs, in any order and with doubles."""
    pairs = [("b", "2"), ("a", "9"), ("b", "1"), ("b", "2")]

    assert sign(URL, pairs, TOKEN) == sign(URL, {"a": "9", "b": ["1", "2"]}, TOKEN)


def test_any_of_several_tokens() -> None:
    """While a token is replaced, the old and the new one both pass, and no third one."""
    for token in ("old", "new"):
        assert verify(URL, FORM, sign(URL, FORM, token), ["old", "new"])
    assert not verify(URL, FORM, sign(URL, FORM, "third"), ["old", "new"])
    assert not verify(URL, FORM, sign(URL, FORM, "third"), [])


def test_an_algorithm_may_be_named_by_its_word() -> None:
    """As an application's settings have it; another word is told when it is given."""
    strong = sign(URL, FORM, TOKEN, algorithm=cast("Algorithm", "HMAC_SHA256"))
    key = SharedKey(secret=TOKEN, algorithm=cast("Algorithm", "HMAC_SHA256"))

    assert key == SharedKey(secret=TOKEN)
    assert verify(URL, FORM, strong, TOKEN, algorithm=key.algorithm)
    with pytest.raises(ConfigurationError, match="must be HMAC_SHA1 or HMAC_SHA256, not 'sha1'"):
        SharedKey(secret=TOKEN, algorithm=cast("Algorithm", "sha1"))


def test_one_token_is_no_list_of_letters() -> None:
    """Each of which would be a token that is soon guessed."""
    assert verify(URL, FORM, sign(URL, FORM, TOKEN), TOKEN)
    assert not any(verify(URL, FORM, sign(URL, FORM, letter), TOKEN) for letter in TOKEN)


@pytest.mark.parametrize("tokens", ["", ["", TOKEN], None, [None], TOKEN.encode()])
def test_what_can_be_no_token(tokens: Any) -> None:
    """With an empty one, as of a variable that is not set, anybody can sign."""
    with pytest.raises(ConfigurationError, match="tokens must be text, and none may be empty"):
        verify(URL, FORM, sign(URL, FORM, ""), tokens)


@pytest.mark.parametrize(
    "signature", [None, "", "é", "\ud800", "RSOYDt4T1cUTdK1PDd93/VVr8B8", "=" * 99]
)
def test_odd_signatures(signature: str | None) -> None:
    """A claimed signature of any spelling is refused, never an error."""
    assert not verify(URL, FORM, signature, [TOKEN])


def test_half_a_surrogate_pair() -> None:
    """Text that is no UTF-8 can be checked too; it is only never what was signed."""
    assert not verify(URL, {"a": "\ud800"}, sign(URL, {"a": "b"}, TOKEN), [TOKEN])


text = st.text(st.characters(codec="utf-8"), max_size=12)
letter = st.characters(codec="utf-8")
tail = st.text(st.sampled_from("abc/?&=%+.~-"), max_size=20)


@given(
    tail=tail,
    form=st.dictionaries(text, text, min_size=1, max_size=6),
    letter=letter,
    data=st.data(),
    algorithm=st.sampled_from(Algorithm),
)
def test_any_change_breaks_it(
    tail: str, form: dict[str, str], letter: str, data: st.DataObject, algorithm: Algorithm
) -> None:
    """A signature holds for its own URL, names, values and key, and for nothing near them."""
    url = f"https://example.com/{tail}"
    signature = sign(url, form, TOKEN, algorithm=algorithm)
    name = data.draw(st.sampled_from(sorted(form)))
    rest = {other: value for other, value in form.items() if other != name}
    at = data.draw(st.integers(0, len(tail)))
    place = data.draw(st.integers(0, len(form[name])))
    value = form[name][:place] + letter + form[name][place:]
    added = data.draw(st.sampled_from("abc/&="))
    assume(name + letter not in form)

    def holds(url: str, form: dict[str, str], token: str = TOKEN) -> bool:
        return verify(url, form, signature, [token], algorithm=algorithm)

    assert holds(url, form)
    assert not holds(f"https://example.com/{tail[:at]}{added}{tail[at:]}", form)
    assert not holds(url, {**rest, name: value})
    assert not holds(url, {**rest, name + letter: form[name]})
    assert not holds(url, form, TOKEN + "6")
    assert holds(url, rest) == (name + form[name] == "")


@given(value=text.filter(bool), letter=letter, data=st.data())
def test_a_letter_replaced_breaks_it(value: str, letter: str, data: st.DataObject) -> None:
    """A value of the same length but with another letter in it is refused."""
    place = data.draw(st.integers(0, len(value) - 1))
    changed = value[:place] + letter + value[place + 1 :]
    signature = sign(URL, {"Digits": value}, TOKEN)

    assert verify(URL, {"Digits": changed}, signature, [TOKEN]) == (changed == value)


class TestKeys:
    """`Keys` chooses the key, the algorithm and what of the request is bound."""

    shared = SharedKey(secret="shared secret")
    legacy = SharedKey(secret="legacy secret", algorithm=Algorithm.HMAC_SHA1)
    keys = Keys(TOKEN, shared_keys={"key_1": shared, "key_2": legacy, "key==": shared})

    def accepts(self, settings: str | None, signature: str, keys: Keys | None = None) -> bool:
        """Return whether a form with these headers passes."""
        headers = {"x-twilio-signature": signature}
        if settings is not None:
            headers["X-TWILIO-Webhooks-Signature-Settings"] = settings
        try:
            (keys or self.keys).check(URL, headers=headers, body=FORM)
        except SignatureMismatch:
            return False
        return True

    def test_auth_token(self) -> None:
        """Without a settings header, the auth token and SHA-1 are what counts."""
        assert self.accepts(None, "RSOYDt4T1cUTdK1PDd93/VVr8B8=")
        for secret in (self.shared.secret, self.legacy.secret):
            assert not self.accepts(None, sign(URL, FORM, secret))

    def test_shared_keys(self) -> None:
        """A shared key signs with its own algorithm, whether the header repeats that or not."""
        strong = sign(URL, FORM, self.shared.secret, algorithm=Algorithm.HMAC_SHA256)

        assert self.accepts("key=key_1,algorithm=HMAC_SHA256", strong)
        assert self.accepts(" algorithm=HMAC_SHA256 , key=key_1", strong)
        assert self.accepts("key=key_1", strong)
        assert self.accepts("key=key==,algorithm=HMAC_SHA256", strong)
        assert self.accepts("key=key_2,algorithm=HMAC_SHA1", sign(URL, FORM, "legacy secret"))

    @pytest.mark.parametrize(
        "settings",
        [
            "key=key_1,algorithm=HMAC_SHA1",
            "key=key_1",
            "algorithm=HMAC_SHA1",
            "key=key_1,algorithm=none",
            "key=key_2,algorithm=HMAC_SHA256",
            "key=other,algorithm=HMAC_SHA1",
            "",
            "nonsense",
        ],
    )
    @pytest.mark.parametrize("secret", [TOKEN, "shared secret", ""])
    def test_a_header_cannot_choose(self, settings: str, secret: str) -> None:
        """No header makes a weaker algorithm, or another key than the one it names, count."""
        assert not self.accepts(settings, sign(URL, FORM, secret))

    def test_another_algorithm_than_the_keys_own(self) -> None:
        """A header that contradicts what is known of its key is refused, even if it could pass."""
        strong = sign(URL, FORM, self.shared.secret, algorithm=Algorithm.HMAC_SHA256)

        assert not self.accepts("key=key_1,algorithm=HMAC_SHA1", strong)

    def test_a_fragment(self) -> None:
        """The fragment of a configured URL says how to call it, and is not signed."""
        headers = {"X-Twilio-Signature": sign(f"{URL}#rp=all", FORM, TOKEN)}

        assert headers["X-Twilio-Signature"] == sign(URL, FORM, TOKEN)
        self.keys.check(f"{URL}#rp=all", headers=headers, body=FORM)

    def test_shared_keys_only(self) -> None:
        """A request without a settings header passes by no key if no token is held."""
        keys = Keys(shared_keys={"key_1": self.shared})

        assert not self.accepts(None, sign(URL, FORM, self.shared.secret), keys)
        assert not self.accepts(None, sign(URL, FORM, ""), keys)

    def test_missing_signature(self) -> None:
        """A request without a signature is refused."""
        with pytest.raises(
            SignatureMismatch, match=r"^the request was not signed with a key that we hold$"
        ):
            self.keys.check(URL, headers={}, body=FORM)

    def test_json(self) -> None:
        """A JSON body passes if the signed URL carries its hash, once."""
        url = f"{URL}&bodySHA256={BODY_HASH}&asked=what?"

        self.keys.check(url, headers={"X-Twilio-Signature": sign(url, None, TOKEN)}, body=BODY)

    @pytest.mark.parametrize(
        ("query", "body"),
        [
            ("", BODY),
            (f"&bodySHA256={BODY_HASH}", BODY + b" "),
            (f"&bodySHA256={BODY_HASH}", b""),
            (f"&bodySHA256={BODY_HASH}&bodySHA256={EMPTY_HASH}", BODY),
            ("&bodySHA256=%C3%A9", BODY),
            ("&bodySHA256=\udc80", BODY),
            (f"#&bodySHA256={BODY_HASH}", BODY),
        ],
    )
    def test_json_not_bound(self, query: str, body: bytes) -> None:
        """A JSON body whose hash is absent, different or ambiguous is refused, though signed."""
        url = URL + query
        with pytest.raises(SignatureMismatch):
            self.keys.check(url, headers={"X-Twilio-Signature": sign(url, None, TOKEN)}, body=body)

    def test_get(self) -> None:
        """A GET is bound by its URL."""
        headers = {"X-Twilio-Signature": sign(URL, None, TOKEN)}
        self.keys.check(URL, headers=headers)

        with pytest.raises(SignatureMismatch):
            self.keys.check(URL + "0", headers=headers)

    @pytest.mark.parametrize(
        "tokens", [(), "", ["good", ""], None, b"token", 5, [b"token"], [None]]
    )
    def test_no_key_to_forge_with(self, tokens: Any) -> None:
        """No keys, or an empty one, is a mistake in the set-up."""
        with pytest.raises(ConfigurationError, match=r"^webhooks need the account's auth token or"):
            Keys(tokens)

    @pytest.mark.parametrize(
        "keys", ["secret", None, {"id": "secret"}, {"id": SharedKey(secret=cast("str", b"x"))}]
    )
    def test_shared_keys_of_another_kind(self, keys: Any) -> None:
        """A secret alone says nothing of its algorithm."""
        with pytest.raises(ConfigurationError, match=r"^shared_keys must map"):
            Keys(TOKEN, shared_keys=keys)

    def test_one_token(self) -> None:
        """A token that is given alone is one key, and not a key for each of its letters."""
        keys = Keys(TOKEN)

        assert self.accepts(None, sign(URL, FORM, TOKEN), keys)
        assert not self.accepts(None, sign(URL, FORM, TOKEN[0]), keys)

    def test_hidden(self) -> None:
        """No secret is readable in the values that hold them."""
        shown = repr([self.keys, self.shared, attrs.evolve(self.keys)])

        assert TOKEN not in shown
        assert "secret'" not in shown

    @pytest.mark.parametrize("key", [Keys("secret"), SharedKey(secret="secret")])
    def test_not_pickled(self, key: object) -> None:
        """A key goes into no file, queue or other process by accident."""
        with pytest.raises(ConfigurationError, match=r"^webhook keys are not pickled; .* for inst"):
            pickle.dumps(key)

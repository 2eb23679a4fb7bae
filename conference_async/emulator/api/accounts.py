"""Accounts and the credentials that open them."""

import base64
import hmac
import secrets
from collections.abc import Collection

from conference_async.emulator.api.oauth import Expiring, OAuthApps, fits
from conference_async.emulator.clock import Clock
from conference_async.emulator.replies import ApiError
from conference_async.emulator.state import Account


class Accounts:
    """The accounts of an emulator, and what opens them: tokens, API keys and OAuth apps."""

    def __init__(self, main: Account, *, apps: OAuthApps, clock: Clock) -> None:
        self.main = main
        self.apps = apps
        self._clock = clock
        self._deleted: dict[str, tuple[str, Account]] = {}
        self._former: dict[str, Expiring] = {}
        self.by_sid: dict[str, Account] = {main.sid: main}
        self._keys: dict[str, tuple[str, Account]] = {}

    def add(self, account: Account) -> Account:
        """Add an account."""
        self.by_sid[account.sid] = account
        return account

    def add_api_key(self, account: Account) -> tuple[str, str]:
        """Make an API key of `account` and return its SID and its secret."""
        sid, secret = f"SK{secrets.token_hex(16)}", secrets.token_hex(16)
        self._keys[sid] = secret, account
        return sid, secret

    def delete_api_key(self, sid: str) -> None:
        """Let an API key open nothing any more.

        Raises:
            ValueError: There is no such key.
        """
        if sid not in self._keys:
            raise ValueError("there is no API key of that SID")
        self._deleted[sid] = self._keys.pop(sid)

    def rotate_auth_token(self, account: Account, token: str, grace: float) -> None:
        """Give an account another auth token; the one before opens it for `grace` seconds."""
        former, account.auth_token = account.auth_token, token
        self._former[account.sid] = Expiring(former, self._clock.time() + grace)

    def forget(self, *, but: Collection[str]) -> None:
        """Forget every call, and the accounts, keys and apps that are not among these SIDs."""
        for account in self.by_sid.values():
            account.forget()
        self.by_sid = {sid: self.by_sid[sid] for sid in self.by_sid if sid in but}
        keys, self._deleted = {**self._deleted, **self._keys}, {}
        self._keys = {sid: key for sid, key in keys.items() if sid in but}
        self._former.clear()
        self.apps.forget(but=but)

    @property
    def sids(self) -> frozenset[str]:
        """The SIDs of the accounts, of their keys and of their apps."""
        return frozenset((*self.by_sid, *self._keys, *self.apps.client_ids))

    def admit(self, authorization: str, account_sid: str) -> Account:
        """Return the account that a request addresses.

        Raises:
            ApiError: 401/20003 for wrong credentials; 404/20404 for an account that is not there
                or not theirs.
        """
        scheme, _, secret = authorization.partition(" ")
        account = self.by_sid.get(account_sid)
        callers = [account, account.parent] if account else []
        if scheme.lower() == "bearer":
            caller = self.apps.account_of(secret)
            callers = [account]  # an account's app does not serve its subaccounts
        else:
            caller = self._sign_in(scheme, secret)
        if caller is None:
            raise ApiError(20003, "Authenticate", status=401)
        if account is None or caller not in callers:
            path = f"/Accounts/{account_sid}"
            raise ApiError(20404, f"The requested resource {path} was not found", status=404)
        return account

    def _sign_in(self, scheme: str, encoded: str) -> Account | None:
        """Return the account whose token or API key this is, or None."""
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            user = password = ""
        account = self.by_sid.get(user)
        expected = account.auth_token if account else ""
        if user in self._keys:
            expected, account = self._keys[user]
        correct = hmac.compare_digest(password.encode(), expected.encode())
        if not correct and user in self._former:
            correct = fits(password, [self._former[user]], self._clock.time())
        return account if scheme.lower() == "basic" and correct else None

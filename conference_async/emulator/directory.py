"""Accounts and the credentials that open them."""

import base64
import hmac
import secrets

from conference_async.emulator.parties import Account
from conference_async.emulator.replies import ApiError


class Directory:
    """The accounts of an emulator and their API keys."""

    def __init__(self, main: Account) -> None:
        self.main = main
        self.accounts = {main.sid: main}
        self._keys: dict[str, tuple[str, Account]] = {}

    def add(self, account: Account) -> Account:
        """Add an account."""
        self.accounts[account.sid] = account
        return account

    def add_api_key(self, account: Account) -> tuple[str, str]:
        """Make an API key of `account` and return its SID and its secret."""
        sid, secret = f"SK{secrets.token_hex(16)}", secrets.token_hex(16)
        self._keys[sid] = secret, account
        return sid, secret

    def admit(self, authorization: str, account_sid: str) -> Account:
        """Return the account that a request addresses.

        Raises:
            ApiError: 401/20003 for wrong credentials; 404/20404 for an account that is not there
                or not theirs.
        """
        caller = self._sign_in(authorization)
        account = self.accounts.get(account_sid)
        if account is None or caller not in (account, account.parent):
            path = f"/Accounts/{account_sid}"
            raise ApiError(20404, f"The requested resource {path} was not found", status=404)
        return account

    def _sign_in(self, authorization: str) -> Account:
        scheme, _, encoded = authorization.partition(" ")
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            user = password = ""
        account = self.accounts.get(user)
        expected = account.auth_token if account else ""
        if user in self._keys:
            expected, account = self._keys[user]
        correct = hmac.compare_digest(password.encode(), expected.encode())
        if scheme.lower() != "basic" or account is None or not correct:
            raise ApiError(20003, "Authenticate", status=401)
        return account

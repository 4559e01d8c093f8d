"""The directory that lives in our own database: `seams.Directory`, and by inheritance the administrator's calls.

A login costs: one read of the limiter, one row, and a password hash unless the same password was right within ten minutes. A
name that does not exist costs a hash as well, and every failure is answered after the same time, so nothing tells the two apart.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from postillon.log import Log
from postillon.model.account import Account, AccountState, Credential, ScramKeys
from postillon.model.address import Address, AddressError
from postillon.model.envelope import Client
from postillon.model.errors import AccountClosed, AuthenticationDelayed, AuthenticationFailed, NotFound, Refusal
from postillon.model.ids import AccountId
from postillon.protocols.scram import DIGESTS
from postillon.seams import Clock, Database, Found, TokenVerifier
from postillon.storage.ids import IdSource
from postillon.storage.store import accounts

from . import find, passwords
from .administration import DEFAULT_QUOTA, Administration
from .cache import VerifiedCache
from .explain import Step, explain
from .limiter import Limiter
from .login import FAILED
from .pool import PasswordPool

log = Log("login")


@dataclass(frozen=True, slots=True)
class DirectorySettings:
    failure_delay_s: float = 1.0
    """A failed login is answered so long after it was asked for."""
    verified_ttl_s: int = 600
    default_quota: int = DEFAULT_QUOTA
    postmaster_domains: tuple[str, ...] = ()
    """Where to look for a postmaster, in this order, for bare `<Postmaster>`."""


def canonical_name(text: str) -> str:
    """The login name as it is stored, whatever its case; text that is no address stays what it is and names nobody."""
    text = text.strip().encode("utf-8", "replace").decode()
    try:
        return Address.parse(text).key
    except AddressError:
        return text.casefold()


class LocalDirectory(Administration):
    """*secret*: of the installation, the same on all workers; made-up SCRAM salts depend on it."""

    def __init__(
        self,
        *,
        database: Database,
        limiter: Limiter,
        pool: PasswordPool,
        clock: Clock,
        ids: IdSource,
        secret: bytes,
        settings: DirectorySettings | None = None,
        tokens: TokenVerifier | None = None,
    ) -> None:
        self._settings = settings or DirectorySettings()
        super().__init__(database=database, pool=pool, clock=clock, ids=ids, default_quota=self._settings.default_quota)
        self._limiter = limiter
        self._secret = secret
        self._tokens = tokens
        self._verified = VerifiedCache(clock, ttl_s=self._settings.verified_ttl_s)
        self._wrong = VerifiedCache(clock, ttl_s=86_400, bound=10_000)
        self._checks: dict[bytes, asyncio.Future[bool]] = {}

    # --- addresses -------------------------------------------------------------------------------------------------

    async def find(self, address: Address) -> Found:
        return await self._database.peek(lambda tx: find.find(tx, address))

    async def explain(self, address: Address) -> list[Step]:
        """Why *address* leads where `find` says."""
        return await self._database.peek(lambda tx: explain(tx, address))

    async def is_local_domain(self, domain: str) -> bool:
        return await self._database.peek(lambda tx: accounts.domain(tx, domain)) is not None

    async def postmaster(self) -> Found:
        return await self._database.peek(lambda tx: find.postmaster(tx, self._settings.postmaster_domains))

    async def may_send_as(self, account: AccountId, address: Address) -> bool:
        return await self._database.peek(lambda tx: find.owns(tx, account, address))

    async def account(self, account: AccountId) -> Account:
        found = await self._database.peek(lambda tx: accounts.account(tx, account))
        if found is None:
            raise NotFound("There is no such account", detail=f"account {account}")
        return found

    # --- login -----------------------------------------------------------------------------------------------------

    async def authenticate(self, name: str, password: str, client: Client) -> Account:
        started, login_name = _now(), canonical_name(name)
        try:
            account = await self._by_password(login_name, password, client)
            return await self._admitted(account, client)
        except (AuthenticationFailed, AuthenticationDelayed) as refusal:
            await self._refuse(refusal, login_name, client, started)
            raise

    async def _by_password(self, name: str, password: str, client: Client) -> Account:
        await self._limiter.check(client.address, name)
        found = await self._database.peek(lambda tx: accounts.login(tx, name))
        account, credential = found or (None, None)
        key = self._verified.key(account.id if account else AccountId(0), account.credential_version if account else 0, password)
        if not self._verified.holds(key):
            async with self._limiter.turn(client.address, name):
                if not await self._check(key, credential, password):
                    wrong = self._verified.key(
                        AccountId(0), 0, f"{name}\0{account.credential_version if account else 0}\0{password}"
                    )
                    is_repeated = self._wrong.holds(wrong)
                    self._wrong.add(wrong)
                    await self._limiter.failed(client.address, name, is_repeated=is_repeated)
                    raise AuthenticationFailed(FAILED, detail="wrong password" if account else "unknown name")
        assert account is not None and credential is not None
        if not passwords.is_ours(credential.hash) or credential.scram_sha256 is None:
            await self._renew(account, password)
        return account

    async def _check(self, key: bytes, credential: Credential | None, password: str) -> bool:
        """Verify once for all who ask the same at the same moment: clients open several connections at once."""
        if self._verified.holds(key):  # by now
            return True
        running = self._checks.get(key)
        if running is None:
            running = self._checks[key] = asyncio.ensure_future(self._verify(credential, password))
            running.add_done_callback(lambda _: self._checks.pop(key))
        is_right = await asyncio.shield(running)
        if is_right:
            self._verified.add(key)
        return is_right

    async def _verify(self, credential: Credential | None, password: str) -> bool:
        is_right = credential is not None and await self._pool.verify(credential.hash, password)
        if not is_right and (credential is None or not credential.hash.startswith("$argon2id$")):
            await self._pool.waste()  # imported hashes may be much cheaper than ours: no name shall show that
        return is_right

    async def _renew(self, account: Account, password: str) -> None:
        """An imported or outdated hash becomes ours, now that we know the password. The login does not depend on it."""
        try:
            credential = await self._pool.make(password)
            version = account.credential_version
            if await self._database.write(lambda tx: accounts.set_credential(tx, account.id, credential, if_version=version)):
                log.info("password hash renewed", account=account.name)
        except Refusal as refusal:
            log.warning("password hash not renewed", account=account.name, reason=refusal.text, detail=refusal.detail)

    async def scram_keys(self, name: str, mechanism: str) -> tuple[ScramKeys, Account | None]:
        login_name = canonical_name(name)
        made_up = self._made_up_keys(login_name, mechanism)
        found = await self._database.peek(lambda tx: accounts.login(tx, login_name))
        if found is None:
            return made_up, None
        account, credential = found
        keys = credential.scram_sha1 if mechanism == "SCRAM-SHA-1" else credential.scram_sha256
        return (made_up, None) if keys is None else (keys, account)

    def _made_up_keys(self, name: str, mechanism: str) -> ScramKeys:
        """Always the same for a name, so that asking twice tells nothing (RFC 5802 §9)."""
        digest = DIGESTS[mechanism]
        salt, stored, server = (
            hmac.digest(self._secret, f"{part} {mechanism} {name}".encode("utf-8", "replace"), digest)
            for part in ("salt", "stored", "server")
        )
        return ScramKeys(salt[: passwords.SALT_OCTETS], passwords.SCRAM_ITERATIONS, stored, server)

    async def admit(self, account: Account, client: Client) -> Account:
        started = _now()
        try:
            await self._limiter.check(client.address, account.name)
            return await self._admitted(await self.account(account.id), client)
        except (AuthenticationFailed, AuthenticationDelayed) as refusal:
            await self._refuse(refusal, account.name, client, started)
            raise

    @property
    def tokens(self) -> TokenVerifier | None:
        return self._tokens

    async def authenticate_token(self, name: str, token: str, client: Client) -> Account:
        started, login_name = _now(), canonical_name(name)
        try:
            await self._limiter.check(client.address, login_name)
            async with self._limiter.turn(client.address, login_name):
                owner = await self._owner(token)
            if login_name and canonical_name(owner) != login_name:
                raise AuthenticationFailed(FAILED, detail="the token is somebody else's")
            return await self._admitted(await self._named(canonical_name(owner)), client)
        except AuthenticationFailed as refusal:
            await self._count(refusal, login_name, client, started)
            raise
        except AuthenticationDelayed as refusal:
            await self._refuse(refusal, login_name, client, started)
            raise

    async def _owner(self, token: str) -> str:
        if self._tokens is None:
            raise AuthenticationFailed(FAILED, detail="no tokens are taken")
        return await self._tokens.owner(token)

    async def authenticate_certificate(self, addresses: Sequence[str], name: str, client: Client) -> Account:
        started, wanted = _now(), canonical_name(name)
        login_names = [canonical_name(address) for address in addresses]
        try:
            if wanted and wanted not in login_names:
                raise AuthenticationFailed(FAILED, detail="the certificate does not have that address")
            for login_name in [wanted] if wanted else login_names:
                try:
                    return await self._admitted(await self._named(login_name), client)
                except AccountClosed:
                    raise
                except AuthenticationFailed:
                    continue
            raise AuthenticationFailed(FAILED, detail="no account has an address of the certificate")
        except AuthenticationFailed as refusal:
            await self._count(refusal, wanted or next(iter(login_names), ""), client, started)
            raise

    async def _named(self, login_name: str) -> Account:
        found = await self._database.peek(lambda tx: accounts.login(tx, login_name))
        if found is None:
            raise AuthenticationFailed(FAILED, detail="unknown name")
        return found[0]

    async def _count(self, refusal: AuthenticationFailed, name: str, client: Client, started: float) -> None:
        """A failure that counts against the client. Who is suspended has proved himself: that one does not."""
        if not isinstance(refusal, AccountClosed):
            await self._limiter.failed(client.address, name)
        await self._refuse(refusal, name, client, started)

    async def failed(self, name: str, client: Client) -> None:
        """Raises AuthenticationDelayed beyond the limits, so that a right and a wrong proof look the same there too."""
        started, login_name = _now(), canonical_name(name)
        refusal: Refusal = AuthenticationFailed(FAILED, detail="wrong proof")
        try:
            await self._limiter.check(client.address, login_name)
            await self._limiter.failed(client.address, login_name)
        except AuthenticationDelayed as delayed:
            refusal = delayed
        await self._refuse(refusal, login_name, client, started)
        if isinstance(refusal, AuthenticationDelayed):
            raise refusal

    async def _admitted(self, account: Account, client: Client) -> Account:
        if account.state is not AccountState.ACTIVE:
            raise AccountClosed("This account is suspended")  # only who knows the password hears it
        await self._limiter.succeeded(client.address, account.name)
        return account

    async def _refuse(self, refusal: Refusal, name: str, client: Client, started: float) -> None:
        """Log the failure and let the client wait: the same time from its question on, whatever we did meanwhile."""
        log.info(
            "login failed",
            session=client.session,
            peer=client.address,
            account=name if "@" in name else "?",  # what is no address may be a password typed into the wrong field
            status=refusal.status,
            reason=refusal.detail or refusal.text,
        )
        await asyncio.sleep(max(0.0, started + self._settings.failure_delay_s - _now()))


def _now() -> float:
    return asyncio.get_running_loop().time()

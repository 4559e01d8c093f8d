"""What an administrator does to domains, accounts and aliases. Each call is one transaction, durable when it returns.

All names come as text and are made canonical here; what is refused is a `Refusal` in words for the administrator. The running
workers see every change at once: they read the rows at each use, and sessions of a changed account are woken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from postillon.model.account import Account, AccountState, Credential
from postillon.model.address import Address, AddressError, parse_domain, subaddress
from postillon.model.errors import AlreadyExists, InUse, NotFound, Refusal
from postillon.model.ids import AccountId
from postillon.protocols.sasl import MAX_PASSWORD, SaslError, prepare
from postillon.seams import DIRECTORY_TOPIC, Clock, Database, Tx
from postillon.storage.ids import IdSource
from postillon.storage.store import accounts, mailboxes
from postillon.storage.store.accounts import AliasRow, DomainRow

from . import find, passwords
from .find import MAX_TARGETS
from .pool import PasswordPool

DEFAULT_QUOTA = 10 << 30
MAX_QUOTA = 1 << 60


@dataclass(frozen=True, slots=True)
class DomainView:
    name: str
    alias_of: str
    """The domain it repeats, or empty."""
    catch_all: str
    """The address that takes mail for unknown ones, or empty."""


def canonical_domain(text: str) -> str:
    """Raises Refusal."""
    try:
        text.encode()
        name = parse_domain(text.strip())
    except (AddressError, UnicodeEncodeError) as error:
        raise Refusal(f"{text!r} is not a domain: {error}", status="5.1.2") from error
    if name.startswith("["):
        raise Refusal("An address literal cannot be a domain of this server", status="5.1.2")
    return name


def canonical_address(text: str) -> Address:
    """Raises Refusal."""
    try:
        text.encode()  # a command line may hold octets that are no UTF-8
        return Address.parse(text.strip())
    except (AddressError, UnicodeEncodeError) as error:
        raise Refusal(f"{text!r} is not an address: {error}", status="5.1.3") from error


def _name_of_account(text: str) -> Address:
    """Raises Refusal."""
    name = canonical_address(text)
    if subaddress(name.local)[1] is not None:
        raise Refusal("An account's address may not contain '+'; that is for subaddresses", status="5.1.3")
    return name


def canonical_password(text: str) -> str:
    """Raises Refusal for one that no client could send."""
    try:
        prepared = prepare(text)
    except SaslError as error:
        raise Refusal("The password has a character that cannot be used", status="5.7.0") from error
    if not prepared or len(prepared.encode()) > MAX_PASSWORD:
        raise Refusal("The password is empty or too long", status="5.7.0")
    return prepared


class Administration:
    def __init__(
        self, *, database: Database, pool: PasswordPool, clock: Clock, ids: IdSource, default_quota: int = DEFAULT_QUOTA
    ) -> None:
        self._database = database
        self._pool = pool
        self._clock = clock
        self._ids = ids
        self._default_quota = default_quota

    # --- domains ---------------------------------------------------------------------------------------------------

    async def create_domain(self, name: str, *, alias_of: str | None = None) -> None:
        """A domain of this server; with *alias_of* its addresses are those of that domain too. Raises AlreadyExists, NotFound."""
        domain, original = canonical_domain(name), canonical_domain(alias_of) if alias_of else None
        domain_id, now = self._ids.next(), self._clock.now()

        def work(tx: Tx) -> None:
            if accounts.domain(tx, domain) is not None:
                raise AlreadyExists(f"The domain {domain} exists already")
            repeated = 0
            if original is not None:
                row = _domain(tx, original)
                if row.alias_of:
                    raise Refusal(f"{original} is itself an alias of another domain")
                repeated = row.id
            accounts.add_domain(tx, domain_id, domain, repeated, now)
            tx.wake(DIRECTORY_TOPIC)

        await self._database.write(work)

    async def remove_domain(self, name: str) -> None:
        """Raises NotFound, or InUse while it has accounts, aliases or alias domains."""
        domain = canonical_domain(name)

        def work(tx: Tx) -> None:
            row = _domain(tx, domain)
            if accounts.has_addresses(tx, row.id):
                raise InUse(f"{domain} still has accounts or aliases; remove them first")
            if repeating := accounts.domain_aliases(tx, row.id):
                raise InUse(f"{domain} is repeated by {', '.join(repeating)}; remove that first")
            accounts.remove_domain(tx, row.id)
            tx.wake(DIRECTORY_TOPIC)

        await self._database.write(work)

    async def domains(self) -> list[DomainView]:
        """All of them, by name."""

        def work(tx: Tx) -> list[DomainView]:
            rows = accounts.domains(tx, limit=100_000)
            names = {row.id: row.name for row in rows}
            return [DomainView(row.name, names.get(row.alias_of, ""), row.catch_all or "") for row in rows]

        return await self._database.read(work)

    async def set_catch_all(self, name: str, target: str | None) -> None:
        """Mail for unknown addresses of the domain goes to *target* (None: is refused). Raises NotFound."""
        domain, address = canonical_domain(name), canonical_address(target) if target else None

        def work(tx: Tx) -> None:
            row = _domain(tx, domain)
            if address is not None:
                _must_lead_somewhere(tx, address)
            accounts.set_catch_all(tx, row.id, str(address) if address is not None else None)
            tx.wake(DIRECTORY_TOPIC)

        await self._database.write(work)

    # --- accounts --------------------------------------------------------------------------------------------------

    async def create_account(
        self, address: str, password: str | None = None, *, imported_hash: str | None = None, quota: int | None = None
    ) -> Account:
        """A new account with its six mailboxes; it logs in with its address. Raises AlreadyExists, NotFound (the domain)."""
        name = _name_of_account(address)
        credential = await self._credential(password, imported_hash)
        account, now = AccountId(self._ids.next()), self._clock.now()
        new_ids = tuple(self._ids.next() for _ in mailboxes.DEFAULTS)
        octets = _quota(self._default_quota if quota is None else quota)

        def work(tx: Tx) -> Account:
            domain = _free_in(tx, name)
            accounts.add_account(tx, account, name.key, domain.id, octets, credential, now)
            mailboxes.make_defaults(tx, account, new_ids, now)
            tx.wake(DIRECTORY_TOPIC)
            return _account(tx, name)

        return await self._database.write(work, [account])

    async def check_new_account(self, address: str) -> None:
        """Raises what `create_account` would raise about the address."""
        name = _name_of_account(address)
        await self._database.read(lambda tx: _free_in(tx, name))

    async def remove_account(self, address: str) -> None:
        """The account with its mail; its sessions end. Aliases that lead to it stay and lead nowhere. Raises NotFound."""
        account, now = await self.find_account(address), self._clock.now()

        def work(tx: Tx) -> None:
            if accounts.account(tx, account.id) is None:
                raise NotFound(f"There is no account {account.name}")
            accounts.remove_account(tx, account.id, now)
            tx.wake(DIRECTORY_TOPIC)

        await self._database.write(work, [account.id])

    async def find_account(self, address: str) -> Account:
        """By its own address. Raises NotFound."""
        name = canonical_address(address)
        return await self._database.read(lambda tx: _account(tx, name))

    async def accounts(self, domain: str | None = None) -> list[Account]:
        """Those of *domain*, or of all domains, oldest first. Raises NotFound."""
        names = [canonical_domain(domain)] if domain else [view.name for view in await self.domains()]
        found: list[Account] = []
        for name in names:
            row = await self._database.read(lambda tx, name=name: _domain(tx, name))  # type: ignore[misc]
            after = 0
            while page := await self._database.read(lambda tx, i=row.id, after=after: accounts.accounts(tx, i, after)):  # type: ignore[misc]
                found += page
                after = page[-1].id
        return found

    async def set_password(self, address: str, password: str | None = None, *, imported_hash: str | None = None) -> None:
        """Void at once for the old one, on every worker. Open sessions go on. Raises NotFound."""
        account = await self.find_account(address)
        credential = await self._credential(password, imported_hash)
        if not await self._database.write(lambda tx: accounts.set_credential(tx, account.id, credential)):
            raise NotFound(f"There is no account {account.name}")

    async def ensure_account(self, address: str, password: str) -> Account:
        """The account with this password: made if it is not there, its password replaced if it is another."""
        name = canonical_address(address)
        found = await self._database.read(lambda tx: accounts.login(tx, name.key))
        if found is None:
            return await self.create_account(address, password)
        account, credential = found
        if not await self._pool.verify(credential.hash, canonical_password(password)):
            await self.set_password(address, password)
        return account

    async def set_quota(self, address: str, octets: int) -> None:
        """0: nothing more may be stored. Raises NotFound."""
        account, quota = await self.find_account(address), _quota(octets)
        await self._database.write(lambda tx: accounts.set_quota(tx, account.id, quota))

    async def suspend(self, address: str) -> None:
        """No login any more, and open sessions end; mail is still taken. Raises NotFound."""
        await self._set_state(address, AccountState.SUSPENDED)

    async def resume(self, address: str) -> None:
        await self._set_state(address, AccountState.ACTIVE)

    async def _set_state(self, address: str, state: AccountState) -> None:
        account = await self.find_account(address)

        def work(tx: Tx) -> None:
            accounts.set_state(tx, account.id, state)
            tx.wake(DIRECTORY_TOPIC)

        await self._database.write(work, [account.id])

    async def _credential(self, password: str | None, imported_hash: str | None) -> Credential:
        if (password is None) == (imported_hash is None):
            raise Refusal("Give either a password or a hash of one", status="5.7.0")
        if imported_hash is not None:
            return passwords.imported(imported_hash)
        assert password is not None
        return await self._pool.make(canonical_password(password))

    # --- aliases ---------------------------------------------------------------------------------------------------

    async def create_alias(self, address: str, targets: Sequence[str]) -> None:
        """An address whose mail goes to all *targets*, here or elsewhere. Raises AlreadyExists, NotFound (the domain)."""
        name, wanted = canonical_address(address), _targets(targets)
        alias_id = self._ids.next()

        def work(tx: Tx) -> None:
            domain = _domain(tx, name.domain)
            _must_be_free(tx, name)
            for target in wanted:
                _must_lead_somewhere(tx, target)
            accounts.add_alias(tx, alias_id, name.key, domain.id, [str(target) for target in wanted])
            tx.wake(DIRECTORY_TOPIC)

        await self._database.write(work)

    async def set_targets(self, address: str, targets: Sequence[str]) -> None:
        """Raises NotFound."""
        name, wanted = canonical_address(address), _targets(targets)

        def work(tx: Tx) -> None:
            alias_id = _alias(tx, name)
            for target in wanted:
                _must_lead_somewhere(tx, target)
            accounts.set_targets(tx, alias_id, [str(target) for target in wanted])
            tx.wake(DIRECTORY_TOPIC)

        await self._database.write(work)

    async def remove_alias(self, address: str) -> None:
        """Raises NotFound."""
        name = canonical_address(address)

        def work(tx: Tx) -> None:
            accounts.remove_alias(tx, _alias(tx, name), name.key)
            tx.wake(DIRECTORY_TOPIC)

        await self._database.write(work)

    async def aliases(self, domain: str | None = None) -> list[AliasRow]:
        """Those of *domain*, or of all domains, by address. Raises NotFound."""
        names = [canonical_domain(domain)] if domain else [view.name for view in await self.domains()]
        found: list[AliasRow] = []
        for name in names:
            row = await self._database.read(lambda tx, name=name: _domain(tx, name))  # type: ignore[misc]
            after = ""
            while page := await self._database.read(lambda tx, i=row.id, after=after: accounts.aliases(tx, i, after)):  # type: ignore[misc]
                found += page
                after = page[-1].key
        return found


# --- inside a transaction -----------------------------------------------------------------------------------------------


def _domain(tx: Tx, name: str) -> DomainRow:
    row = accounts.domain(tx, name)
    if row is None:
        raise NotFound(
            f"{name} is no domain of this server; `postillon domain list` shows those that are, `domain add` makes one",
            status="5.1.2",
        )
    return row


def _account(tx: Tx, name: Address) -> Account:
    found = accounts.account_by_name(tx, name.key)
    if found is None:
        raise NotFound(f"There is no account {name}")
    return found


def _alias(tx: Tx, name: Address) -> int:
    row = accounts.address(tx, name.key)
    if row is None or not row[1]:
        raise NotFound(f"There is no alias {name}")
    return row[1]


def _free_in(tx: Tx, name: Address) -> DomainRow:
    """The domain of an address that nobody has yet."""
    domain = _domain(tx, name.domain)
    _must_be_free(tx, name)
    return domain


def _must_be_free(tx: Tx, name: Address) -> None:
    row = accounts.address(tx, name.key)
    if row is not None:
        raise AlreadyExists(f"{name} exists already, as an {'alias' if row[1] else 'account'}")


def _must_lead_somewhere(tx: Tx, target: Address) -> None:
    """A target at a domain of ours must exist, so that a slip of the pen is noticed now and not by lost mail."""
    domain = accounts.domain(tx, target.domain)
    if domain is not None and find.locate(tx, target, domain) is None:
        raise NotFound(f"{target} does not exist here")


def _targets(targets: Sequence[str]) -> list[Address]:
    wanted = {address.key: address for address in map(canonical_address, targets)}
    if not wanted or len(wanted) > MAX_TARGETS:
        raise Refusal(f"An alias needs 1 to {MAX_TARGETS} targets")
    return list(wanted.values())


def _quota(octets: int) -> int:
    if not 0 <= octets <= MAX_QUOTA:
        raise Refusal("The quota is out of bounds")
    return octets

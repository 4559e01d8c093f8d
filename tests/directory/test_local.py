"""Logging in against the local directory: states, imports, the cache of right passwords, made-up SCRAM keys."""

from __future__ import annotations

import asyncio

import pytest

from postillon.directory import sha_crypt
from postillon.directory.cache import VerifiedCache
from postillon.directory.local import DirectorySettings
from postillon.directory.pool import PasswordPool
from postillon.model.account import AccountState
from postillon.model.envelope import Client
from postillon.model.errors import AuthenticationDelayed, AuthenticationFailed, NotFound
from postillon.model.ids import AccountId
from postillon.seams import DIRECTORY_TOPIC
from tests.storage.conftest import FixedClock

from .conftest import STRANGER, Town

SHA512 = "{SHA512-CRYPT}$6$./abc$" + sha_crypt._crypt("6", b"secret", b"./abc", 5000)


async def make_alice(town: Town) -> AccountId:
    await town.directory.create_domain("example.test")
    return (await town.directory.create_account("alice@example.test", "secret")).id


async def test_a_right_password_gives_the_account(town: Town) -> None:
    alice = await make_alice(town)
    account = await town.directory.authenticate("alice@example.test", "secret", STRANGER)
    assert (account.id, account.name, account.state) == (alice, "alice@example.test", AccountState.ACTIVE)


async def test_unknown_names_and_wrong_passwords_sound_the_same(town: Town) -> None:
    await make_alice(town)
    said = set()
    for name in ("alice@example.test", "nobody@example.test", "nobody@elsewhere.test", "", "\0"):
        with pytest.raises(AuthenticationFailed) as caught:
            await town.directory.authenticate(name, "wrong", STRANGER)
        said.add((caught.value.text, caught.value.status, caught.value.code))
    assert said == {("Authentication failed", "5.7.8", 535)}


async def test_unknown_names_take_the_same_work(town: Town) -> None:
    await make_alice(town)
    await town.directory.create_account("imported@example.test", imported_hash=SHA512)
    for name in ("alice", "nobody", "imported"):
        with pytest.raises(AuthenticationFailed):
            await town.directory.authenticate(f"{name}@example.test", "wrong", STRANGER)
        assert town.pool.done.count("argon2") == 1
        town.pool.done.clear()


async def test_a_failure_is_answered_after_its_time(town: Town) -> None:
    await make_alice(town)
    slow = town.worker(settings=DirectorySettings(failure_delay_s=0.25))
    loop = asyncio.get_running_loop()
    for name in ("alice@example.test", "nobody@example.test"):
        started = loop.time()
        with pytest.raises(AuthenticationFailed):
            await slow.authenticate(name, "wrong", STRANGER)
        assert 0.24 <= loop.time() - started < 2
        started = loop.time()
        await slow.failed(name, STRANGER)
        assert loop.time() - started >= 0.24


async def test_a_right_password_is_hashed_once_in_ten_minutes(town: Town) -> None:
    await make_alice(town)
    await asyncio.gather(*(town.directory.authenticate("alice@example.test", "secret", STRANGER) for _ in range(20)))
    assert len(town.pool.done) == 1
    town.clock.at += 599
    await town.directory.authenticate("alice@example.test", "secret", STRANGER)
    assert len(town.pool.done) == 1
    town.clock.at += 2
    await town.directory.authenticate("alice@example.test", "secret", STRANGER)
    assert len(town.pool.done) == 2


async def test_a_changed_password_is_void_at_once_on_every_worker(town: Town) -> None:
    await make_alice(town)
    here, there = town.directory, town.worker()
    for worker in (here, there):
        await worker.authenticate("alice@example.test", "secret", STRANGER)
    await here.set_password("alice@example.test", "another")
    for worker in (here, there):
        with pytest.raises(AuthenticationFailed):
            await worker.authenticate("alice@example.test", "secret", STRANGER)
        await worker.authenticate("alice@example.test", "another", STRANGER)


async def test_a_suspended_account_does_not_log_in_and_hears_why_only_with_its_password(town: Town) -> None:
    alice = await make_alice(town)
    account = await town.directory.authenticate("alice@example.test", "secret", STRANGER)
    town.wakes.topics.clear()
    await town.directory.suspend("alice@example.test")
    await asyncio.sleep(0)
    assert {alice, DIRECTORY_TOPIC} <= set(town.wakes.topics)  # mail sessions hear the one, the others the other
    for worker in (town.directory, town.worker()):
        with pytest.raises(AuthenticationFailed) as caught:
            await worker.authenticate("alice@example.test", "secret", STRANGER)
        assert caught.value.status == "5.7.13"
        with pytest.raises(AuthenticationFailed) as caught:
            await worker.authenticate("alice@example.test", "wrong", STRANGER)
        assert caught.value.status == "5.7.8"
        with pytest.raises(AuthenticationFailed):
            await worker.admit(account, STRANGER)
    await town.directory.resume("alice@example.test")
    assert (await town.directory.authenticate("alice@example.test", "secret", STRANGER)).id == alice


async def test_an_imported_account_gets_our_hash_and_scram_keys_at_its_first_login(town: Town) -> None:
    await town.directory.create_domain("example.test")
    made = await town.directory.create_account("alice@example.test", imported_hash=SHA512)
    assert (await town.directory.scram_keys("alice@example.test", "SCRAM-SHA-256"))[1] is None
    with pytest.raises(AuthenticationFailed):
        await town.directory.authenticate("alice@example.test", "wrong", STRANGER)
    assert (await town.credential("alice@example.test")).hash.startswith("$6$")
    await town.directory.authenticate("alice@example.test", "secret", STRANGER)
    credential = await town.credential("alice@example.test")
    assert credential.hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    for mechanism in ("SCRAM-SHA-1", "SCRAM-SHA-256"):
        keys, account = await town.directory.scram_keys("alice@example.test", mechanism)
        assert account is not None and account.id == made.id
        assert keys in (credential.scram_sha1, credential.scram_sha256)
    await town.directory.authenticate("alice@example.test", "secret", STRANGER)


async def test_scram_keys_of_unknown_names_are_always_the_same_and_look_real(town: Town) -> None:
    await make_alice(town)
    real, _ = await town.directory.scram_keys("alice@example.test", "SCRAM-SHA-256")
    here, account = await town.directory.scram_keys("nobody@example.test", "SCRAM-SHA-256")
    there, _ = await town.worker().scram_keys("NOBODY@example.test", "SCRAM-SHA-256")
    other, _ = await town.directory.scram_keys("other@example.test", "SCRAM-SHA-256")
    assert account is None
    assert here == there
    assert here.salt != other.salt
    assert (len(here.salt), here.iterations, len(here.stored_key)) == (len(real.salt), real.iterations, len(real.stored_key))


async def test_an_account_is_read_as_it_is_now(town: Town) -> None:
    alice = await make_alice(town)
    await town.directory.set_quota("alice@example.test", 12345)
    assert (await town.directory.account(alice)).quota == 12345
    await town.directory.remove_account("alice@example.test")
    with pytest.raises(NotFound):
        await town.directory.account(alice)


async def test_a_flood_of_logins_is_refused_rather_than_queued() -> None:
    pool = PasswordPool(threads=1, waiting=2)
    results = await asyncio.gather(*(pool.waste() for _ in range(8)), return_exceptions=True)
    pool.close()
    assert [type(result) for result in results].count(AuthenticationDelayed) == 5
    assert results.count(None) == 3


def test_the_cache_is_bounded_and_forgets() -> None:
    clock = FixedClock()
    cache = VerifiedCache(clock, ttl_s=600, bound=3)
    keys = [cache.key(AccountId(n), 1, "secret") for n in range(4)]
    for key in keys:
        cache.add(key)
    assert [cache.holds(key) for key in keys] == [False, True, True, True]
    clock.at += 600
    assert not any(cache.holds(key) for key in keys)
    assert cache.key(AccountId(1), 1, "secret") != cache.key(AccountId(1), 2, "secret")
    assert cache.key(AccountId(1), 1, "secret") != VerifiedCache(clock).key(AccountId(1), 1, "secret")


async def test_a_name_that_cannot_be_stored_is_just_unknown(town: Town) -> None:
    for name in ("x" * 5000, "a@" + "b" * 300, "ä@ö", '"quoted name"@example.test', "\ud800@example.test"):
        with pytest.raises((AuthenticationFailed, AuthenticationDelayed)):
            await town.directory.authenticate(name, "secret", Client("198.51.100.1"))

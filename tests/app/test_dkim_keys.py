"""The keys in the data directory: made, published, rotated, retired; and noticed by who signs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from postillon.app.dkim import RETIRED, SIGNING, WAITING, DkimKeys, record_text
from postillon.mailauth.dkim_key import parse
from postillon.model.errors import AlreadyExists, NotFound, Refusal


@pytest.fixture
def keys(tmp_path: Path) -> DkimKeys:
    return DkimKeys(tmp_path / "dkim")


def states(keys: DkimKeys) -> dict[str, str]:
    return {key.selector: key.state for key in keys.of("example.test")}


def test_a_first_pair_signs_at_once(keys: DkimKeys):
    assert keys.signing("example.test") == () and keys.domains() == []
    made = keys.add("example.test", "202611")
    assert [(key.selector, key.algorithm, key.state) for key in made] == [
        ("r202611", "rsa-sha256", SIGNING),
        ("e202611", "ed25519-sha256", SIGNING),
    ]
    assert [key.selector for key in keys.signing("example.test")] == ["r202611", "e202611"]
    assert [parse(record_text(key.path)).bits for key in made] == [2048, 256]
    assert all(os.stat(key.path).st_mode & 0o077 == 0 for key in made)
    with pytest.raises(AlreadyExists):
        keys.add("example.test", "202612")


def test_rotating_takes_two_steps_and_nothing_is_unsigned_between(keys: DkimKeys):
    keys.add("example.test", "202611")
    keys.rotate("example.test", "202611")
    assert states(keys) == {"r202611": SIGNING, "e202611": SIGNING, "r202611a": WAITING, "e202611a": WAITING}
    assert [key.selector for key in keys.signing("example.test")] == ["r202611", "e202611"]
    keys.rotate("example.test", "202612")
    assert states(keys) == {"r202611": RETIRED, "e202611": RETIRED, "r202611a": SIGNING, "e202611a": SIGNING}
    assert [key.selector for key in keys.signing("example.test")] == ["r202611a", "e202611a"]
    keys.retire("r202611")
    assert "r202611" not in states(keys) and not list(keys._root.glob("*/r202611.pem"))


def test_a_key_that_signs_cannot_be_retired(keys: DkimKeys):
    keys.add("example.test", "202611")
    with pytest.raises(Refusal, match="rotate first"):
        keys.retire("r202611")
    with pytest.raises(NotFound):
        keys.retire("nothing")
    keys.add("other.test", "202611")
    with pytest.raises(Refusal, match="Several domains"):
        keys.retire("r202611")


def test_others_see_what_one_has_changed(keys: DkimKeys, tmp_path: Path):
    worker = DkimKeys(tmp_path / "dkim")
    keys.add("example.test", "202611")
    assert len(worker.signing("example.test")) == 2
    keys.rotate("example.test", "202612")
    keys.rotate("example.test", "202612")
    assert [key.selector for key in worker.signing("example.test")] == ["r202612", "e202612"]


@pytest.mark.parametrize("domain", ["../evil", "a/b", "", ".", "..", "[127.0.0.1]/x"])
def test_no_name_leaves_the_directory(keys: DkimKeys, domain: str):
    with pytest.raises(Refusal):
        keys.add(domain, "202611")


def test_a_broken_key_stops_no_mail(keys: DkimKeys):
    broken, _ = keys.add("example.test", "202611")
    broken.path.write_text("nonsense")
    assert [key.selector for key in keys.signing("example.test")] == ["e202611"]
    broken.path.with_name("state.json").write_text("nonsense")
    assert keys.signing("example.test") == ()

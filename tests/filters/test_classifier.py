"""The classifier: what is learned, and what follows."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from postillon.filters.classifier import Classifier, chi_squared, probability
from postillon.filters.known import Acquaintance
from postillon.filters.tokens import MAX_OTHERS, MAX_WORDS, tokens, words
from postillon.model.ids import AccountId
from postillon.storage.knowledge import EVERYBODY, Counts, Learn
from tests.growth import cost

from .conftest import ALICE, BOB, Office, examined, findings, message

GOOD = "meeting agenda minutes project budget review report invoice team lunch quarter draft".split()  # noqa: SIM905
BAD = "lottery winner casino pills cheap bitcoin prince inheritance urgent wire transfer prize".split()  # noqa: SIM905
COMMON = "please thanks regards today tomorrow contact company message hello dear best".split()  # noqa: SIM905


def text(words: Sequence[str], seed: int) -> str:
    chance = random.Random(seed)
    return " ".join(chance.sample(list(words), 7) + chance.sample(COMMON, 5))


async def train(office: Office, owner: int, good: Sequence[str] = GOOD, bad: Sequence[str] = BAD, count: int = 20) -> None:
    lessons = [Learn(owner, tokens(examined(message(text=text(good, n)))), is_bad=False) for n in range(count)]
    lessons += [Learn(owner, tokens(examined(message(text=text(bad, n)))), is_bad=True) for n in range(count)]
    await office.knowledge.learn(lessons)


async def score(office: Office, words: Sequence[str], account: AccountId = ALICE) -> float:
    opinion = await Classifier(Acquaintance(office.knowledge)).examine(examined(message(text=text(words, 999)), ALICE, BOB))
    return sum(one.score for one in (*findings(opinion), *findings(opinion, account)))


async def test_it_says_nothing_before_it_has_learned_enough(office: Office):
    assert await score(office, BAD) == 0
    await train(office, EVERYBODY, count=5)
    assert await score(office, BAD) == 0


async def test_it_tells_bad_words_from_good_ones(office: Office):
    await train(office, EVERYBODY)
    assert await score(office, BAD) > 4 and await score(office, GOOD) < -2 and abs(await score(office, COMMON)) < 1


async def test_what_an_account_learned_counts_for_it_alone(office: Office):
    await train(office, EVERYBODY)
    await train(office, ALICE, good=BAD, bad=GOOD)
    assert await score(office, BAD, ALICE) < 0 < 4 < await score(office, BAD, BOB)


async def test_what_is_taken_back_was_never_learned(office: Office):
    await train(office, EVERYBODY)
    before = await score(office, GOOD)
    extra = [Learn(EVERYBODY, tokens(examined(message(text=text(GOOD, n)))), is_bad=True) for n in range(60)]
    await office.knowledge.learn(extra)
    assert await score(office, GOOD) > before + 1
    await office.knowledge.learn([Learn(one.owner, one.tokens, one.is_bad, -1) for one in extra])
    assert await score(office, GOOD) == before
    assert await office.knowledge.totals() == [(0, 20, 20)]


async def test_words_seen_once_are_forgotten_in_time(office: Office):
    await office.knowledge.learn([Learn(0, (1, 2), is_bad=True), Learn(0, (2,), is_bad=True)])
    day = office.clock.now() // 86400
    assert await office.knowledge.forget_tokens(0, day, 100) == 0
    assert await office.knowledge.forget_tokens(0, day + 1, 100) == 1
    assert (await office.knowledge.tokens([0], [1, 2]))[0].tokens == {2: (0, 2)}


def test_one_word_decides_nothing():
    learned = Counts(good=1000, bad=1000, tokens={1: (0, 1000)})
    assert 0.5 < probability([1], [(learned, 1)]) < 1
    assert probability([2, 3], [(learned, 1)]) == 0.5


def test_chances_of_chi_squared_are_those_of_the_tables():
    assert chi_squared(3.841 * 2, 3) == pytest.approx(0.2624, abs=1e-3)  # 7.682 with 6 degrees of freedom
    assert chi_squared(0, 5) == 1 and chi_squared(5000, 10) == pytest.approx(0) and chi_squared(2 * 800, 800) > 0.4


def test_a_message_has_few_tokens_however_long_it_is():
    long = " ".join(f"word{n}" for n in range(20_000))
    found = tokens(examined(message(text=long, more="X-Mailer: Thing 1\r\n")))
    assert 20 < len(found) <= MAX_WORDS + MAX_OTHERS and all(0 <= token < 1 << 32 for token in found)


def test_the_same_words_are_chosen_each_time():
    one, other = (tokens(examined(message(text=text))) for text in ("alpha beta gamma", "gamma\r\nbeta alpha"))
    assert one == other


def test_words_are_found_in_scripts_without_blanks_and_in_any_case():
    assert words("Hello, WORLD! hello") == {b"hello", b"world"}
    assert words("ÉCOLE école") == {"école".encode()}
    assert "東京".encode() in words("これは東京からの長い長い知らせです、とても長い知らせです")


@pytest.mark.parametrize("piece", ["<style", "<style>", "<", "< ", "</style", "<script>x</script", "http://", "x@", "a-", "'"])
def test_time_grows_with_the_text_and_not_faster(piece: str):
    few, many = message(text=piece * 20_000, kind="html"), message(text=piece * 80_000, kind="html")
    assert cost(lambda: tokens(examined(many))) < 0.03 + 8 * cost(lambda: tokens(examined(few)))

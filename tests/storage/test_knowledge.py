"""What the judgement of mail remembers, on each database; every statement goes by an index."""

from __future__ import annotations

from postillon.model.choice import Choice, Listed
from postillon.model.ids import AccountId, EmailId
from postillon.storage.knowledge import EVERYBODY, About, Heard, Knowledge, Learn, Lesson, Met, Wish
from tests.directory.test_plans import Noting, explain

from .conftest import Office

ALICE, BOB = AccountId(1), AccountId(2)


async def test_choices_come_back_as_they_were_made(office: Office):
    knowledge = Knowledge(office.database, office.clock)
    assert await knowledge.choice(ALICE) == Choice()
    for choice in (Choice(junk=4.5), Choice(1, -2, 99.25, "fr"), Choice()):
        await knowledge.choose(ALICE, choice)
        assert await knowledge.choice(ALICE) == choice


async def test_all_that_is_known_comes_in_one_answer(office: Office):
    knowledge = Knowledge(office.database, office.clock)
    await knowledge.choose(BOB, Choice(tag=1))
    await knowledge.set_listed(EVERYBODY, "x.test", Listed.DENY)
    await knowledge.set_listed(BOB, "other.test", Listed.DENY)
    met = [Met(ALICE, "joe@x.test", 7, "Joe", wrote=1), Met(BOB, "joe@x.test", heard=2), Met(EVERYBODY, "j@e.test", 7, "Joe")]
    await knowledge.note(met, {11: Heard(2.0, 1.0)})
    await knowledge.note([Met(ALICE, "joe@x.test", wrote=1)], {11: Heard(1.0)})
    known = await knowledge.about(About((ALICE, BOB), ("joe@x.test", "x.test"), "joe@x.test", 7, (11, 12)))
    assert known.choices == {BOB: Choice(tag=1)} and known.listed == {EVERYBODY: {"x.test": Listed.DENY}}
    assert [(one, each.wrote, each.heard, each.shown) for one, each in sorted(known.contacts.items())] == [
        (ALICE, 2, 0, "Joe"),
        (BOB, 0, 2, ""),
    ]
    assert known.domains == {ALICE}
    assert sorted((owner, one.address) for owner, one in known.namesakes) == [(0, "j@e.test"), (1, "joe@x.test")]
    assert {key: (one.good, one.bad) for key, one in known.reputations.items()} == {11: (3.0, 1.0)}


async def test_counts_never_fall_below_nothing(office: Office):
    knowledge = Knowledge(office.database, office.clock)
    await knowledge.learn([Learn(1, (5,), True), Learn(1, (5, 6), False), Learn(1, (5,), True, -1)])
    await knowledge.learn([Learn(1, (6, 7), False, -1), Learn(1, (6,), False, -1)])
    found = await knowledge.tokens([1, 2], [5, 6, 7])
    assert found == {} or all(good >= 0 and bad >= 0 for good, bad in found[1].tokens.values())


async def test_every_statement_goes_by_an_index(office: Office):
    noting = Noting(office.database)
    knowledge = Knowledge(noting, office.clock)
    await knowledge.choose(ALICE, Choice(tag=1))
    await knowledge.choose(ALICE, Choice())
    await knowledge.set_listed(ALICE, "x.test", Listed.DENY)
    await knowledge.listed(ALICE)
    await knowledge.set_listed(ALICE, "x.test", None)
    await knowledge.learn([Learn(1, (5,), True), Learn(1, (6,), True, -1)])
    await knowledge.tokens([1], [5])
    await knowledge.totals()
    await knowledge.forget_tokens(1, 1 << 30, 10)
    await knowledge.note([Met(ALICE, "joe@x.test", 7, "Joe", wrote=1)], {11: Heard(2.0, 1.0)}, [(5, "x.test")])
    await knowledge.about(About((ALICE,), ("x.test",), "joe@x.test", 7, (11,)))
    await knowledge.mistaken_for([5])
    await knowledge.writes_to([ALICE], ["x.test"])
    await knowledge.lessons(10)
    for wish in (Wish.BAD, Wish.NONE):
        await office.database.write(
            lambda tx, wish=wish: tx.run(  # type: ignore[misc]
                "INSERT INTO lesson (account_id, email_id, wish, at) VALUES (1, 2, ?, 3)", wish
            )
        )
        assert await knowledge.lesson_learned(Lesson(ALICE, EmailId(2), wish, Wish.NONE, 0, 3), 1, [])
    office.clock.at += 1000 * 86400
    await knowledge.sweep()
    assert len(noting.statements) > 20
    for sql in noting.statements:
        if "ORDER BY l.account_id, l.email_id LIMIT" not in sql:  # what waits: the beginning of a small table, in order
            await explain(noting.inner, sql)

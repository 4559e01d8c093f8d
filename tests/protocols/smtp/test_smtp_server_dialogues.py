"""The dialogues of `tests/dialogues/smtp` against the engine, by bytes alone."""

import pytest

from postillon.protocols.smtp.server import ServerEngine

from .dialogue import Dialogue, ToySession, agrees, dialogues


@pytest.mark.parametrize("dialogue", dialogues(), ids=lambda dialogue: dialogue.name)
def test_dialogue(dialogue: Dialogue) -> None:
    lmtp, submission = "lmtp" in dialogue.settings, "submission" in dialogue.settings
    session = ToySession(ServerEngine(dialogue.limits, lmtp=lmtp, submission=submission, offers=dialogue.offers), lmtp=lmtp)
    for segment, patterns, closes in dialogue.turns:
        answer = session.receive(segment)
        assert agrees(answer, patterns), (segment, answer, patterns)
        assert session.closed == closes, segment
    assert session.messages == dialogue.messages


def test_there_are_dialogues() -> None:
    assert len(dialogues()) > 12 and all(dialogue.turns for dialogue in dialogues())

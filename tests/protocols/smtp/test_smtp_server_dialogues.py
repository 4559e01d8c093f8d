"""The dialogues of `tests/dialogues/smtp` against the engine, by bytes alone."""

import pytest

from .dialogue import Dialogue, agrees, dialogues


@pytest.mark.parametrize("dialogue", dialogues(), ids=lambda dialogue: dialogue.name)
def test_dialogue(dialogue: Dialogue) -> None:
    session = dialogue.session()
    for segment, patterns, closes in dialogue.turns:
        answer = session.receive(segment)
        assert agrees(answer, patterns), (segment, answer, patterns)
        assert session.closed == closes, segment
    assert session.messages == dialogue.messages


def test_there_are_dialogues() -> None:
    assert len(dialogues()) > 12 and all(dialogue.turns for dialogue in dialogues())

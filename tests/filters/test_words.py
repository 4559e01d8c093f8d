"""Every finding has its sentences."""

from __future__ import annotations

import re
from pathlib import Path

from postillon.filters.words import LANGUAGES, SENTENCES, sentence
from postillon.model.verdict import Finding, finding

ROOT = Path(__file__).resolve().parents[2] / "postillon"


def test_every_code_that_is_written_out_has_a_sentence_in_each_language():
    used = set()
    for path in (*ROOT.glob("filters/*.py"), *ROOT.glob("flow/*.py")):
        used |= set(re.findall(r'\bfinding\(\s*"([a-z_.]+)"', path.read_text()))
    assert len(used) > 10
    assert used - SENTENCES.keys() == set()
    for code, words in SENTENCES.items():
        assert len(words) == len(LANGUAGES)
        names = [set(re.findall(r"\{(\w+)\}", text)) for text in words]
        assert names[0] == names[1], f"{code}: the languages tell different facts"


def test_a_sentence_is_filled_with_facts_and_facts_are_not_read_as_sentences():
    assert sentence(finding("fraud.contact", address="{x}%s")) == "You write to {x}%s"
    assert sentence(finding("fraud.contact", address="a"), "fr") == "Vous écrivez à a"
    assert sentence(Finding("fraud.contact")) == "You write to ?"
    assert sentence(finding("own.thing", text="Mine")) == "Mine" and sentence(Finding("own.thing")) == "own.thing"

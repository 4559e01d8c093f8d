"""The sentences of findings, in English and French: what a person is told, by the finding's code.

A sentence has its finding's facts in braces. Facts come from outside: whoever shows a sentence escapes it for the place where it
is shown. Every code that a filter uses is here (a test looks).
"""

from __future__ import annotations

from ..model.verdict import Finding

LANGUAGES = ("en", "fr")

SENTENCES: dict[str, tuple[str, str]] = {
    "filter.failed": (
        "The check {filter} failed, so its opinion is missing",
        "Le contrôle {filter} a échoué : son avis manque",
    ),
    "filter.late": (
        "The check {filter} did not answer in time, so its opinion is missing",
        "Le contrôle {filter} n’a pas répondu à temps : son avis manque",
    ),
    "dnsbl.listed": (
        "The sending host {subject} is on the blocklist {zone} ({answer})",
        "Le serveur émetteur {subject} est sur la liste noire {zone} ({answer})",
    ),
    "dnswl.listed": (
        "{subject} is on the allowlist {zone} ({answer})",
        "{subject} est sur la liste blanche {zone} ({answer})",
    ),
    "rhsbl.listed": (
        "The domain {subject} is on the blocklist {zone} ({answer})",
        "Le domaine {subject} est sur la liste noire {zone} ({answer})",
    ),
    "skeleton.shouted": ("The subject is shouted in capitals", "L’objet est écrit en majuscules"),
    "filter.down": (
        "The filter {name} does not answer, so its opinion is missing",
        "Le filtre {name} ne répond pas : son avis manque",
    ),
    "milter.refused": ("The milter {name} refuses the message", "Le milter {name} refuse le message"),
    "milter.discarded": ("The milter {name} wants the message dropped", "Le milter {name} demande d’abandonner le message"),
    "milter.quarantined": (
        "The milter {name} wants the message held back: {reason}",
        "Le milter {name} demande de retenir le message : {reason}",
    ),
    "milter.changed": ("The milter {name} has changed the message", "Le milter {name} a modifié le message"),
    "authentication.failed": (
        "Nobody could say who sent the message: that check failed here",
        "Impossible de dire qui a envoyé le message : ce contrôle a échoué chez nous",
    ),
}


class _Facts(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"


def sentence(finding: Finding, language: str = "en") -> str:
    """The finding in words; the code itself where there are none (an administrator's own filter may bring its own `text`)."""
    words = SENTENCES.get(finding.code)
    if words is None:
        return finding.fact("text") or finding.code
    at = LANGUAGES.index(language) if language in LANGUAGES else 0
    return words[at].format_map(_Facts(finding.facts))

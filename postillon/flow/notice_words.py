"""What the operator and an account read about limits and holds, in English and French. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

SIGNS = {
    "en": {
        "rate": "far more recipients within an hour than ever before",
        "strangers": "nearly all of them addresses it had never written to",
        "network": "from a network it had not used before",
        "hour": "at an hour of the day at which it does not write",
        "": "by decision of the administrator",
    },
    "fr": {
        "rate": "bien plus de destinataires en une heure que jamais auparavant",
        "strangers": "presque tous des adresses auxquelles il n'avait jamais écrit",
        "network": "depuis un réseau qu'il n'avait pas utilisé auparavant",
        "hour": "à une heure de la journée où il n'écrit pas",
        "": "par décision de l'administrateur",
    },
}

_HELD_OPERATOR = {
    "en": (
        "Mail of {account} is held",
        "The account {account} sends in a way that is not like it: {signs}.\n\n"
        "Its mail to other servers is held; nothing of it is lost, and mail for it is still taken. Somebody may have "
        "its password. Please ask its owner. If it is in order:\n\n"
        "    postillon account release {account}\n\n"
        "If it is not: `postillon account password {account}` closes the door, `postillon queue list` shows what waits,"
        " `postillon queue drop ID` removes it.\n",
    ),
    "fr": (
        "Le courrier de {account} est retenu",
        "Le compte {account} envoie d'une manière qui ne lui ressemble pas : {signs}.\n\n"
        "Son courrier vers d'autres serveurs est retenu ; rien n'est perdu, et le courrier pour lui est toujours "
        "accepté. Quelqu'un a peut-être son mot de passe. Veuillez demander à son propriétaire. Si tout est en ordre :\n\n"
        "    postillon account release {account}\n\n"
        "Sinon : `postillon account password {account}` ferme la porte, `postillon queue list` montre ce qui attend, "
        "`postillon queue drop ID` le retire.\n",
    ),
}
_HELD_ACCOUNT = {
    "en": (
        "Your mail to other servers is held",
        "Your account {account} has sent mail in a way that is not usual for it: {signs}.\n\n"
        "Until your administrator has looked at it, your mail to other servers waits. If it was you who sent it, please"
        " tell your administrator. If it was not, somebody else has your password: please tell your administrator at "
        "once.\n",
    ),
    "fr": (
        "Votre courrier vers d'autres serveurs est retenu",
        "Votre compte {account} a envoyé du courrier d'une manière inhabituelle : {signs}.\n\n"
        "Jusqu'à ce que votre administrateur l'ait vérifié, votre courrier vers d'autres serveurs attend. Si c'est bien"
        " vous qui l'avez envoyé, veuillez le dire à votre administrateur. Sinon, quelqu'un d'autre a votre mot de "
        "passe : veuillez prévenir votre administrateur tout de suite.\n",
    ),
}
_LIMIT = {
    "en": (
        "{account} has reached a sending limit",
        "The account {account} wanted to send more than it may, and was refused:\n\n"
        "    {words}\n\n"
        "If that is in order, `postillon account limit {account}` shows its limits and changes them. If it is not, "
        "somebody may have its password: `postillon account password {account}`. You are told once a day for each "
        "account.\n",
    ),
    "fr": (
        "{account} a atteint une limite d'envoi",
        "Le compte {account} a voulu envoyer plus qu'il ne peut, ce qui lui a été refusé :\n\n"
        "    {words}\n\n"
        "Si c'est en ordre, `postillon account limit {account}` montre ses limites et les change. Sinon, quelqu'un a "
        "peut-être son mot de passe : `postillon account password {account}`. Vous en êtes averti une fois par jour et "
        "par compte.\n",
    ),
}

Notice = tuple[str, str]
"""Subject and text."""


def _said(table: dict[str, tuple[str, str]], language: str, **values: str) -> Notice:
    subject, text = table.get(language, table["en"])
    return subject.format(**values), "\n\n".join(map(_wrapped, text.format(**values).split("\n\n")))


def _wrapped(paragraph: str) -> str:
    """Commands and quotations are indented and stay as they are."""
    return paragraph if paragraph.startswith(" ") else textwrap.fill(paragraph, 76, break_long_words=False) + _end(paragraph)


def _end(paragraph: str) -> str:
    return "\n" if paragraph.endswith("\n") else ""


def _signs(language: str, found: Sequence[str]) -> str:
    words = SIGNS.get(language, SIGNS["en"])
    return ", ".join(words[sign] for sign in found or ("",))


def held_for_operator(account: str, found: Sequence[str], language: str) -> Notice:
    """*found*: the signs (see `baseline`); none: somebody decided it."""
    return _said(_HELD_OPERATOR, language, account=account, signs=_signs(language, found))


def held_for_account(account: str, found: Sequence[str], language: str) -> Notice:
    return _said(_HELD_ACCOUNT, language, account=account, signs=_signs(language, found))


def limit_reached(account: str, words: str, language: str) -> Notice:
    """*words*: what the client was told."""
    return _said(_LIMIT, language, account=account, words=words)

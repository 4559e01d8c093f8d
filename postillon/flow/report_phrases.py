"""The sentences of reports, by language. To add a language, add it to LANGUAGES; a test looks for what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Case = tuple[str, str]
"""What happened to `Your message to {whom}`, and whose turn it is to do what."""


REMOVED = "removed"
"""The case that is no status: nobody refused the message, it was taken out of our queue."""


@dataclass(frozen=True, slots=True)
class Phrases:
    """*cases*: by status (its longest beginning that stands there) or REMOVED.
    `{domain}` is the recipient's, `{days}` how long we tried."""

    cases: Mapping[str, Case]
    message: str
    """The first sentence of a failure."""
    late: str
    success: Mapping[str, str]
    subjects: Mapping[str, str]
    """By action (RFC 3464 §2.3.3)."""
    no_subject: str
    taken: str
    attached: str
    recipients: str
    days: str
    hours: str
    an_hour: str
    said: str
    date: tuple[str, tuple[str, ...], tuple[str, ...]] | None = None
    """A form, weekdays from Monday, months; None: as in a header."""


_ENGLISH = Phrases(
    cases={
        "4.4.7": (
            "could not be delivered for {days}, and we have stopped trying",
            "Your address and message are probably fine, their server is not. Please ask the recipient by another way, or send it"
            " again later.",
        ),
        "5.1.1": ("was not delivered: there is no such address", "Please check the part before the @ and send it again."),
        "5.1.10": ("was not delivered: {domain} takes no mail", "Please ask the recipient for another address."),
        "5.1.2": (
            "was not delivered: the domain {domain} does not exist",
            "Please check the part after the @ and send it again.",
        ),
        "5.2.1": ("was not delivered: the mailbox is closed", "Please ask the recipient for another address."),
        "5.2.2": ("was not delivered: the mailbox is full", "The recipient has to make room; then please send it again."),
        "5.3.4": (
            "was not delivered: it is too large for their server",
            "Please send it again in smaller pieces, or as a link.",
        ),
        "5.4.4": ("was not delivered: {domain} has no mail server", "Please check the part after the @ and send it again."),
        "5.4.6": ("was not delivered: it would go round in a circle", "The administrator of {domain} has to put that right."),
        "5.6": (
            "was not delivered: their server cannot take this kind of message",
            "Please send it again as plain text.",
        ),
        "5.7": (
            "was refused by their server's rules",
            "Their words below say why; if they do not help, please forward this report to your administrator.",
        ),
        "5": (
            "was refused by their server",
            "Their words below say why. If it is a mistake in the address, please correct it and send the message again.",
        ),
        REMOVED: (
            "was taken out of the queue by the administrator of our mail server",
            "The reason is below. If it does not help, please ask your administrator.",
        ),
    },
    message="Your message to {whom} {what}. {turn}",
    late="Your message to {whom} has not arrived yet. You need do nothing: we keep trying until {until}, and tell you if we"
    " have to give up.",
    success={
        "delivered": "Your message to {whom} was delivered.",
        "expanded": "Your message to {whom} was delivered to a list of people, none of whom will confirm it.",
        "relayed": "Your message to {whom} was handed on to a server that does not confirm deliveries; it has taken it.",
    },
    subjects={
        "failed": "Not delivered: {subject}",
        "delayed": "Delayed: {subject}",
        "delivered": "Delivered: {subject}",
        "relayed": "Delivered: {subject}",
        "expanded": "Delivered: {subject}",
    },
    no_subject="your message",
    taken="This is the mail system at {host}. It took your message on {date}.",
    attached="Attached: details for the technician, and the message or its header.",
    recipients="{count} recipients",
    days="{count} days",
    hours="{count} hours",
    an_hour="an hour",
    said="{who} said: {words}",
)

_FRENCH = Phrases(
    cases={
        "4.4.7": (
            "n'a pas pu être remis pendant {days}, et nous avons cessé d'essayer",
            "Votre adresse et votre message sont sans doute corrects, c'est leur serveur qui ne l'est pas. Veuillez joindre le"
            " destinataire par un autre moyen, ou renvoyer le message plus tard.",
        ),
        "5.1.1": (
            "n'a pas été remis : cette adresse n'existe pas",
            "Veuillez vérifier la partie avant le @ et renvoyer le message.",
        ),
        "5.1.10": (
            "n'a pas été remis : {domain} n'accepte pas de courrier",
            "Veuillez demander une autre adresse au destinataire.",
        ),
        "5.1.2": (
            "n'a pas été remis : le domaine {domain} n'existe pas",
            "Veuillez vérifier la partie après le @ et renvoyer le message.",
        ),
        "5.2.1": ("n'a pas été remis : la boîte est fermée", "Veuillez demander une autre adresse au destinataire."),
        "5.2.2": (
            "n'a pas été remis : la boîte est pleine",
            "Le destinataire doit faire de la place ; veuillez ensuite renvoyer le message.",
        ),
        "5.3.4": (
            "n'a pas été remis : il est trop grand pour leur serveur",
            "Veuillez le renvoyer en plusieurs parties, ou sous forme de lien.",
        ),
        "5.4.4": (
            "n'a pas été remis : {domain} n'a pas de serveur de courrier",
            "Veuillez vérifier la partie après le @ et renvoyer le message.",
        ),
        "5.4.6": (
            "n'a pas été remis : il tournerait en rond",
            "C'est à l'administrateur de {domain} de corriger cela.",
        ),
        "5.6": (
            "n'a pas été remis : leur serveur ne peut pas accepter ce genre de message",
            "Veuillez le renvoyer en texte simple.",
        ),
        "5.7": (
            "a été refusé selon les règles de leur serveur",
            "Leurs mots, ci-dessous, disent pourquoi ; s'ils n'aident pas, veuillez transmettre ce rapport à votre"
            " administrateur.",
        ),
        "5": (
            "a été refusé par leur serveur",
            "Leurs mots, ci-dessous, disent pourquoi. S'il y a une faute dans l'adresse, veuillez la corriger et renvoyer le"
            " message.",
        ),
        REMOVED: (
            "a été retiré de la file d'attente par l'administrateur de notre serveur de courrier",
            "La raison est ci-dessous. Si elle n'aide pas, veuillez demander à votre administrateur.",
        ),
    },
    message="Votre message à {whom} {what}. {turn}",
    late="Votre message à {whom} n'est pas encore arrivé. Vous n'avez rien à faire : nous essayons jusqu'au {until}, et vous"
    " préviendrons si nous devons y renoncer.",
    success={
        "delivered": "Votre message à {whom} a été remis.",
        "expanded": "Votre message à {whom} a été remis à une liste de personnes, dont aucune ne le confirmera.",
        "relayed": "Votre message à {whom} a été transmis à un serveur qui ne confirme pas les remises ; il l'a accepté.",
    },
    subjects={
        "failed": "Non remis : {subject}",
        "delayed": "Retardé : {subject}",
        "delivered": "Remis : {subject}",
        "relayed": "Remis : {subject}",
        "expanded": "Remis : {subject}",
    },
    no_subject="votre message",
    taken="Ceci est le système de courrier de {host}. Il a accepté votre message le {date}.",
    attached="Ci-joint : les détails pour le technicien, et le message ou son en-tête.",
    recipients="{count} destinataires",
    days="{count} jours",
    hours="{count} heures",
    an_hour="une heure",
    said="{who} a dit : {words}",
    date=(
        "{weekday} {day} {month} {year} à {time} (UTC)",
        ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"),
        (
            "janvier", "février", "mars", "avril", "mai", "juin",
            "juillet", "août", "septembre", "octobre", "novembre", "décembre",
        ),
    ),
)  # fmt: skip

LANGUAGES: Mapping[str, Phrases] = {"en": _ENGLISH, "fr": _FRENCH}


def phrases(language: str) -> Phrases:
    """Those of *language* (`fr`, `fr-CA`), English where there are none."""
    return LANGUAGES.get(language.partition("-")[0].lower(), _ENGLISH)

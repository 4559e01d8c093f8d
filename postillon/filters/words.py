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
    "hashbl.listed": (
        "{subject} is on the list {zone}",
        "{subject} figure sur la liste {zone}",
    ),
    "rhsbl.listed": (
        "The domain {subject} is on the blocklist {zone} ({answer})",
        "Le domaine {subject} est sur la liste noire {zone} ({answer})",
    ),
    "lists.own.denied": ("You do not want mail from {entry}", "Vous ne voulez pas de courrier de {entry}"),
    "lists.own.allowed": ("You always want mail from {entry}", "Vous voulez toujours le courrier de {entry}"),
    "lists.all.denied": (
        "Mail from {entry} is not wanted on this server",
        "Le courrier de {entry} n’est pas voulu sur ce serveur",
    ),
    "lists.all.allowed": (
        "Mail from {entry} is always wanted on this server",
        "Le courrier de {entry} est toujours voulu sur ce serveur",
    ),
    "lists.overruled": ("Your own list counts before everybody’s", "Votre propre liste l’emporte sur celle de tous"),
    "reputation.bad": (
        "Much of the mail from {who} was unwanted until now ({bad} messages, {good} good ones)",
        "Une grande part du courrier de {who} était indésirable jusqu’ici ({bad} messages, {good} bons)",
    ),
    "reputation.good": ("Mail from {who} was fine until now", "Le courrier de {who} était bon jusqu’ici"),
    "classifier.bad": (
        "It reads like mail that people here have marked as junk",
        "Il ressemble au courrier que les gens d’ici ont marqué comme indésirable",
    ),
    "classifier.good": (
        "It reads like mail that people here want",
        "Il ressemble au courrier que les gens d’ici veulent recevoir",
    ),
    "classifier.own_bad": (
        "It reads like mail that you have marked as junk",
        "Il ressemble au courrier que vous avez marqué comme indésirable",
    ),
    "classifier.own_good": ("It reads like mail that you want", "Il ressemble au courrier que vous voulez recevoir"),
    "fraud.own_domain": (
        "It claims to come from {domain}, which is of this server, and nothing proves it",
        "Il prétend venir de {domain}, qui est de ce serveur, et rien ne le prouve",
    ),
    "fraud.sender_looks": (
        "The sender’s domain {domain} looks like {known}, and is another one",
        "Le domaine de l’expéditeur {domain} ressemble à {known}, et n’est pas le même",
    ),
    "fraud.sender_typing": (
        "The sender’s domain {domain} is one letter away from {known}",
        "Le domaine de l’expéditeur {domain} est à une lettre de {known}",
    ),
    "fraud.sender_ending": (
        "The sender’s domain {domain} is {known} with another ending",
        "Le domaine de l’expéditeur {domain} est {known} avec une autre terminaison",
    ),
    "fraud.link_looks": (
        "A link leads to {domain}, which looks like {known}, and is another one",
        "Un lien mène à {domain}, qui ressemble à {known}, et n’est pas le même",
    ),
    "fraud.link_typing": (
        "A link leads to {domain}, which is one letter away from {known}",
        "Un lien mène à {domain}, à une lettre de {known}",
    ),
    "fraud.link_ending": (
        "A link leads to {domain}, which is {known} with another ending",
        "Un lien mène à {domain}, qui est {known} avec une autre terminaison",
    ),
    "fraud.colleague": (
        "The sender calls himself {name}, as your colleague {address} does, and writes from elsewhere",
        "L’expéditeur se nomme {name}, comme votre collègue {address}, et écrit d’ailleurs",
    ),
    "fraud.name": (
        "The sender calls himself {name}, as your contact {address} does, and writes from another address",
        "L’expéditeur se nomme {name}, comme votre contact {address}, et écrit d’une autre adresse",
    ),
    "fraud.name_address": (
        "The sender’s name shows the address {shown}; the message comes from {address}",
        "Le nom de l’expéditeur montre l’adresse {shown} ; le message vient de {address}",
    ),
    "fraud.reply_to": (
        "An answer would go to {domain}, not to {author}",
        "Une réponse irait à {domain}, et non à {author}",
    ),
    "fraud.first_contact": (
        "You have never had mail from {address} before",
        "Vous n’aviez encore jamais reçu de courrier de {address}",
    ),
    "fraud.contact": ("You write to {address}", "Vous écrivez à {address}"),
    "fraud.new_domain": (
        "Nobody on this server has had mail from {domain} before",
        "Personne sur ce serveur n’avait encore reçu de courrier de {domain}",
    ),
    "fraud.link_text": (
        "A link shows {shown} and leads to {host}",
        "Un lien montre {shown} et mène à {host}",
    ),
    "fraud.link_login": (
        "A link hides where it leads behind another name: {url}",
        "Un lien cache où il mène derrière un autre nom : {url}",
    ),
    "fraud.link_number": ("A link leads to a bare address, {host}", "Un lien mène à une adresse nue, {host}"),
    "oddities.no_from": ("It does not say who wrote it", "Il ne dit pas qui l’a écrit"),
    "oddities.no_date": ("It has no date", "Il n’a pas de date"),
    "oddities.date": ("Its date cannot be: {date}", "Sa date est impossible : {date}"),
    "oddities.old": ("Its date is long ago: {date}", "Sa date est ancienne : {date}"),
    "oddities.no_id": ("It has no proper Message-ID", "Il n’a pas de Message-ID correct"),
    "oddities.no_to": ("It is addressed to nobody", "Il n’est adressé à personne"),
    "oddities.mixed_letters": (
        "The word {word} is put together from letters of several alphabets, to look like {looks}",
        "Le mot {word} mêle des lettres de plusieurs alphabets pour ressembler à {looks}",
    ),
    "oddities.invisible": ("{count} invisible characters are in its text", "{count} caractères invisibles sont dans son texte"),
    "oddities.hidden": ("Parts of its text are hidden from the reader", "Des parties de son texte sont cachées au lecteur"),
    "oddities.html_only": ("It has no plain text", "Il n’a pas de texte simple"),
    "oddities.picture": ("It is a picture with next to no text", "C’est une image presque sans texte"),
    "oddities.encoded": ("Its plain text is encoded without need", "Son texte simple est codé sans nécessité"),
    "repeats.signature": (
        "The same message signed by {domain} has come {count} times within an hour",
        "Le même message signé par {domain} est venu {count} fois en une heure",
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
    "virus.found": ("The message contains a virus: {name}", "Le message contient un virus : {name}"),
    "virus.suspected": ("The virus scanner suspects {name}", "L’antivirus soupçonne {name}"),
    "virus.too_large": (
        "The message is too large for the virus scanner: {size} octets",
        "Le message est trop grand pour l’antivirus : {size} octets",
    ),
    "rspamd.symbol": ("rspamd: {why} ({symbol})", "rspamd : {why} ({symbol})"),
    "rspamd.rest": ("rspamd: all else together; it says: {action}", "rspamd : tout le reste ; il dit : {action}"),
    "rspamd.too_large": (
        "The message is too large for rspamd: {size} octets",
        "Le message est trop grand pour rspamd : {size} octets",
    ),
    "attachment.busy": (
        "Too many attachments were being looked at at the same time",
        "Trop de pièces jointes étaient examinées en même temps",
    ),
    "attachment.executable": (
        "An attachment can run by itself: {what}, {name}",
        "Une pièce jointe peut s’exécuter : {what}, {name}",
    ),
    "attachment.script": (
        "A script is attached: {name}",
        "Un script est joint : {name}",
    ),
    "attachment.macro": (
        "An attachment carries a program or another file: {what}, {name}",
        "Une pièce jointe contient un programme ou un autre fichier : {what}, {name}",
    ),
    "attachment.encrypted": (
        "An attachment cannot be looked into: {what}, {name}",
        "Une pièce jointe ne peut être examinée : {what}, {name}",
    ),
    "attachment.bomb": (
        "An archive holds too much to be unpacked: {what}, {name}",
        "Une archive contient trop pour être ouverte : {what}, {name}",
    ),
    "attachment.smuggling": (
        "A page or image brings a file in by a script: {what}, {name}",
        "Une page ou une image introduit un fichier par un script : {what}, {name}",
    ),
    "mime.ambiguous": (
        "Two programs may read the message differently: {what}",
        "Deux programmes peuvent lire le message différemment : {what}",
    ),
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

"""The configuration file: what is wrong is told by line, all of it at once."""

import re

import pytest

from postillon.config import Config, ConfigError, Mistake, parse

GOOD = """\
hostname = "mail.example.org"
data = "/var/lib/postillon"
"""


def mistakes(text: str) -> list[Mistake]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "postillon.toml")
    return caught.value.mistakes


def test_two_lines_are_a_whole_configuration():
    config = parse(GOOD)
    assert config == Config(hostname="mail.example.org", data="/var/lib/postillon")
    assert (config.listen.smtp, config.listen.addresses) == (25, ("*",))


def test_sizes_may_have_units():
    config = parse(GOOD + '[limits]\nmessage_size = "25 MiB"\nquota = 1000\n')
    assert (config.limits.message_size, config.limits.quota) == (25 << 20, 1000)


def test_routes_are_tables_by_domain():
    config = parse(GOOD + '[sending.routes]\n"a.example" = { host = "10.0.0.1", port = 2525 }\n')
    assert config.sending.routes["a.example"].port == 2525


def test_what_is_done_about_forged_mail():
    assert parse(GOOD).authentication.enforce
    config = parse(GOOD + '[authentication]\nenforce = false\ntrusted_sealers = ["list.example"]\n')
    assert (config.authentication.enforce, config.authentication.trusted_sealers) == (False, ("list.example",))
    (mistake,) = mistakes(GOOD + '[authentication]\ntrusted_sealers = ["List Example"]\n')
    assert mistake.line == 4 and "not a domain" in mistake.text


def test_an_unknown_key_is_told_with_its_line_and_the_nearest_name():
    assert mistakes(GOOD + "\n[listen]\nsmpt = 25\n") == [Mistake(5, "unknown setting `listen.smpt`; did you mean `smtp`?")]


def test_an_unknown_key_in_an_inline_table_has_its_line():
    (found,) = mistakes(GOOD + '[sending]\nsmarthost = { host = "x", prot = 1 }\n')
    assert found == Mistake(4, "unknown setting `sending.smarthost.prot`; did you mean `port`?")


def test_a_value_of_a_wrong_type_has_its_line():
    (found,) = mistakes(
        GOOD + '# a comment\n[listen]\naddresses = [\n  "::1", # [not a header]\n  "127.0.0.1",\n]\nimap = "143"\n'
    )
    assert found.line == 9
    assert "listen.imap" in found.text and "int" in found.text


def test_all_mistakes_are_told_at_once_in_order_of_lines():
    text = 'hostnam = "a"\ndata = 1\nloop = "fast"\n[limits]\nquota = "much"\n'
    assert [mistake.line for mistake in mistakes(text)] == [0, 1, 2, 3, 5]


def test_broken_toml_has_its_line():
    (found,) = mistakes(GOOD + "[listen\n")
    assert found.line == 3
    assert found.text.startswith("not TOML")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('hostname = "localhost"\ndata = "/d"\n', 1),
        ('hostname = "Mail.Example.org"\ndata = "/d"\n', 1),
        ('hostname = "m.example.org"\ndata = "d"\n', 2),
        (GOOD + "[listen]\nsmtp = 70000\n", 4),
        (GOOD + '[tls]\ncertificate = "/a.pem"\n', 3),
        (GOOD + '[sending.routes."not a domain"]\nhost = "x"\n', 3),
        (GOOD + "workers = -1\n", 3),
        (GOOD + '[dns]\nservers = ["127.0.0.1", "dns.example.org"]\n', 4),
        (GOOD + '[listen]\naddresses = ["mail.example.org"]\n', 4),
        (GOOD + '[imap]\nhidden = ["UIDONLI"]\n', 4),
        (GOOD + "[imap]\nmessage_limit = 10\n", 4),
        (GOOD + "[imap]\nsave_limit = 200000\n", 4),
        (GOOD + '[oauth]\nissuer = "http://login.example.org"\naudience = "x"\n', 4),
        (GOOD + '[oauth]\nissuer = "https://login.example.org"\n', 3),
        (GOOD + '[oauth]\nissuer = "https://login.example.org"\nintrospection = "https://login.example.org/ask"\n', 5),
        (GOOD + "[listen]\nimaps_certificate = 996\n", 4),
    ],
)
def test_what_cannot_be_meant_is_told_by_line(text: str, line: int):
    assert [mistake.line for mistake in mistakes(text)] == [line]


def test_settings_of_the_developer_mode_cannot_be_in_the_file():
    assert mistakes(GOOD + "[development]\nsends = true\n")[0].line == 3


def test_a_file_that_is_not_there_is_a_config_error(tmp_path):
    from postillon.config import load

    with pytest.raises(ConfigError, match="cannot be read"):
        load(str(tmp_path / "none.toml"))


def test_whom_we_trust_is_told_by_networks():
    config = parse(GOOD + '[trusted]\nxclient = ["192.0.2.1"]\n[trusted.proxies]\nimaps = ["10.0.0.0/8", "2001:db8::/32"]\n')
    assert config.trusted.proxies["imaps"] == ("10.0.0.0/8", "2001:db8::/32")
    (mistake,) = mistakes(GOOD + '[trusted.proxies]\nsmtp = ["10.0.0.1/8"]\n')
    assert mistake.line == 4 and "not a network" in mistake.text
    (mistake,) = mistakes(GOOD + '[trusted.proxies]\nsmpt = ["10.0.0.1"]\n')
    assert mistake.line == 4 and "no service 'smpt'" in mistake.text
    (mistake,) = mistakes(GOOD + "[listen]\nproxy = 2525\n")
    assert mistake.line == 4 and "nobody could connect" in mistake.text


RULES = (
    GOOD
    + """
[sending.next_hops.gate]
host = "10.0.0.1"

[[rules]]
name = "archive"
bcc = ["archive@example.org"]

[[rules]]
on = "out"
header = { "Subject" = "*" }
via = "gate"
"""
)


def test_rules_are_read_in_their_order():
    config = parse(RULES)
    assert [(rule.name, rule.on, rule.via) for rule in config.rules] == [("archive", "both", ""), ("", "out", "gate")]


@pytest.mark.parametrize(
    ("line", "number", "words"),
    [
        ('via = "gait"', 14, "there is no `sending.next_hops.gait`; known: gate"),
        ('sender_becomes = "nobody"', 14, "'nobody' is not an address"),
        ('recipient_becomes = "*@x.test"', 14, "`recipient_becomes` is done before header and size are known"),
        ('header_add = { "Two Words" = "x" }', 14, "'Two Words' is not the name of a header field"),
        ('header_remove = ["DKIM-Signature"]', 14, "DKIM-Signature is not for rules to change"),
        ('on = "sideways"', 12, "'sideways' is none of in, out, both"),
        ("hold = 1", 14, "rules.1.hold"),
        ("holt = true", 14, "unknown setting `rules.1.holt`; did you mean `hold`?"),
        ("", 11, "it does nothing"),
    ],
)
def test_what_is_wrong_with_a_rule_is_told_by_its_line(line: str, number: int, words: str):
    text = RULES.replace('on = "out"', line) if line.startswith("on") else RULES.replace('via = "gate"', line)
    found = mistakes(text)
    assert any(mistake.line == number and words in mistake.text for mistake in found), found


def test_relay_domains_and_fallbacks_must_make_sense():
    text = (
        GOOD
        + """
[sending]
fallback = "gate"

[relay_domains."a.example"]
verify = "list"

[relay_domains."b c"]

[relay_domains."d.example"]
recipients = ["@"]
verify = "maybe"
"""
    )
    assert [mistake.line for mistake in mistakes(text)] == [14]
    assert [mistake.line for mistake in mistakes(text.replace("maybe", "ask"))] == [5, 7, 10, 13]


def test_checks_of_mail_are_named_as_they_are_known():
    from postillon.app.filters import KINDS
    from postillon.config.settings import CHECKS

    assert tuple(KINDS) == CHECKS
    for wrong, words in (
        ('off = ["clasifier"]', "did you mean `classifier`?"),
        ('off = ["x"]', "there is no check 'x'; known are"),
        ("junk = 1\ntag = 2", "must not become smaller"),
        ("time = 0", "not between 1 and 300"),
        ('own = "filter.py"', "must be absolute"),
        ("scores = { x = nan }", "is no score for 'x'"),
        ("junk = nan", "must not become smaller"),
    ):
        with pytest.raises(ConfigError, match=re.escape(words)):
            parse(f'hostname = "a.test"\ndata = "/x"\n[filters]\n{wrong}\n')
    config = parse('hostname = "a.test"\ndata = "/x"\n[filters]\noff = ["fraud"]\nscores = {"fraud.name" = 1}\n')
    assert config.filters.off == ("fraud",) and config.filters.scores == {"fraud.name": 1.0}

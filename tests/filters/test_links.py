"""Links of HTML and text: where they lead and what they show."""

from __future__ import annotations

import pytest

from postillon.filters.links import html_links, link, links, text_links
from tests.growth import cost


def test_a_link_knows_where_it_leads_and_what_it_shows():
    (one,) = html_links('<p>Go <a class="x" HREF = "https://user@Evil.Test:8443/p?q">www.<b>bank</b>.test/login</a></p>')
    assert (one.host, one.shown_host, one.has_login, one.is_numeric) == ("evil.test", "www.bank.test", True, False)


@pytest.mark.parametrize(
    ("markup", "shown"),
    [
        ('<a href="http://a.test">Click here</a>', ""),
        ('<a href="http://a.test">https://b.test/x?y</a>', "b.test"),
        ("<a href='http://a.test'> b.test </a>", "b.test"),
        ("<a href=http://a.test>see b.test now</a>", ""),
        ('<a href="http://a.test">B&#252;cher.test</a>', "xn--bcher-kva.test"),
    ],
)
def test_only_a_text_that_is_nothing_but_a_place_is_one(markup: str, shown: str):
    assert [one.shown_host for one in html_links(markup)] == [shown]


def test_mail_addresses_and_places_in_the_message_are_no_links():
    assert list(html_links('<a href="mailto:a@b.test">x</a><a href="#top">y</a><a name="z">z</a>')) == []
    assert link("javascript:alert(1)") is None


def test_browsers_take_a_backslash_for_a_slash_and_so_do_we():
    found = link("http:\\\\evil.test\\@bank.test")
    assert found is not None and found.host == "evil.test"


def test_links_in_text_end_before_punctuation():
    assert [one.url for one in text_links("See http://a.test/x, or (https://b.test).")] == ["http://a.test/x", "https://b.test"]


def test_bare_addresses_are_numeric():
    assert [link(f"http://{host}/").is_numeric for host in ("192.0.2.1", "[2001:db8::1]", "1a.test")] == [True, True, False]  # type: ignore[union-attr]


def test_a_message_of_links_is_bounded():
    assert len(links([], ["".join(f'<a href="http://{n}.test">x</a>' for n in range(5000))])) == 100


@pytest.mark.parametrize("piece", ["<a ", "<a href=", '<a href="', "<a>", "http://", "<a href=http://x>", "</a", "href = "])
def test_time_grows_with_the_text_and_not_faster(piece: str):
    few, many = [piece * 20_000], [piece * 80_000]
    assert cost(lambda: links(many, many)) < 0.02 + 8 * cost(lambda: links(few, few))

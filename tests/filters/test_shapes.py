"""What names look like: pure."""

from __future__ import annotations

import time

import pytest

from postillon.filters.shapes import likeness, name_hash, shapes, site, skeleton


@pytest.mark.parametrize(
    ("domain", "known", "how"),
    [
        ("xn--pypal-4ve.com", "paypal.com", "looks"),  # Cyrillic а
        ("rnicrosoft.com", "microsoft.com", "looks"),
        ("paypa1.com", "paypal.com", "looks"),
        ("gogle.com", "google.com", "typing"),
        ("goggle.com", "google.com", "typing"),
        ("googgle.com", "google.com", "typing"),
        ("paypla.com", "paypal.com", "typing"),
        ("example.net", "example.com", "ending"),
        ("mail.example.com", "www.example.com", ""),
        ("bbc.co.uk", "bbd.co.uk", ""),  # too short to mean anything
        ("other.com", "example.com", ""),
        ("gooooogle.com", "google.com", ""),
    ],
)
def test_domains_that_may_be_mistaken_are_recognised_and_found(domain: str, known: str, how: str):
    assert likeness(domain, known) == how
    if how:
        assert set(shapes(domain)) & set(shapes(known)), "an index would not find it"


def test_a_skeleton_is_what_a_reader_sees():
    assert skeleton("Раураl") == skeleton("paypal")  # Cyrillic Р, а, у, р
    assert skeleton("Ｐａｙｐａｌ") == "paypal" == skeleton("pаypál\u200b")


def test_a_site_is_what_somebody_registers():
    assert (site("a.b.example.com"), site("www.bbc.co.uk"), site("com")) == ("example.com", "bbc.co.uk", "com")


def test_names_are_the_same_in_any_order_of_their_words_and_short_ones_say_nothing():
    assert name_hash("Ada Lovelace") == name_hash("LOVELACE, Ada") == name_hash("Аda  Lоvelace") != 0
    assert name_hash("Bob") == name_hash("") == name_hash("A. B.") == 0


@pytest.mark.parametrize("text", ["rn" * 20_000, "а" * 40_000, "a\u0301" * 20_000, "x." * 20_000])
def test_strange_names_take_no_time(text: str):
    started = time.process_time()
    skeleton(text), shapes(text), name_hash(text), likeness(text, text[::-1])
    assert time.process_time() - started < 0.5

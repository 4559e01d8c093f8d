from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import dns.message
import dns.rrset
import pytest

from postillon.net.dns import DnsResolver, DnsSettings
from postillon.seams import Answer, DnsStatus

from .dns_server import ZoneServer

ZONE = """
@ MX 20 backup
@ MX 10 Mail
@ TXT "v=spf1 " "-all"
mail A 127.0.0.2
mail AAAA ::1
only6 AAAA 2001:db8::6
null MX 0 .
_25._tcp.mail TLSA 3 1 1 {tlsa}
alias CNAME mail
outside CNAME www.other.test.
dangling CNAME nothing.other.test.
loop1 CNAME loop2
loop2 CNAME loop1
*.wild A 127.0.0.3
big TXT {big}
short 5 A 127.0.0.5
zero 0 A 127.0.0.6
""".format(tlsa="0f" * 32, big=" ".join('"' + "x" * 250 + '"' for _ in range(20)))
OTHER = "www A 127.0.0.9\nwww MX 5 mail.example.test.\n"
FAST = DnsSettings(timeout_s=0.15, attempts=2)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def server():
    zones = {"example.test": ZONE, "other.test": OTHER, "2.0.0.127.in-addr.arpa": "@ PTR Mail.Example.Test.\n"}
    async with ZoneServer(zones) as running:
        yield running


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def resolver(server, clock):
    made = DnsResolver([server.address], FAST, clock=clock)
    yield made
    await made.close()


async def test_mail_exchangers_come_by_preference(resolver):
    answer = await resolver.mx("Example.TEST.")
    assert answer.status is DnsStatus.OK
    assert answer.records == ((10, "mail.example.test"), (20, "backup.example.test"))
    assert (answer.name, answer.ttl, answer.secure) == ("example.test", 300, False)


async def test_a_null_mx_has_an_empty_host(resolver):
    assert (await resolver.mx("null.example.test")).records == ((0, ""),)


async def test_addresses_of_both_families(resolver):
    assert (await resolver.addresses("mail.example.test")).records == ("127.0.0.2", "::1")
    assert (await resolver.addresses("mail.example.test", ipv6=False)).records == ("127.0.0.2",)
    assert (await resolver.addresses("mail.example.test", ipv4=False)).records == ("::1",)
    assert (await resolver.addresses("only6.example.test")).records == ("2001:db8::6",)
    assert (await resolver.addresses("only6.example.test", ipv6=False)).status is DnsStatus.NODATA


async def test_text_reverse_names_and_tlsa(resolver):
    assert (await resolver.txt("example.test")).records == ("v=spf1 -all",)
    assert (await resolver.ptr("127.0.0.2")).records == ("mail.example.test",)
    assert (await resolver.tlsa("_25._tcp.mail.example.test")).records == ((3, 1, 1, b"\x0f" * 32),)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("missing.example.test", DnsStatus.NXDOMAIN),
        ("mail.example.test", DnsStatus.NODATA),
        ("_tcp.mail.example.test", DnsStatus.NODATA),
        ("dangling.example.test", DnsStatus.NXDOMAIN),
        ("loop1.example.test", DnsStatus.SERVFAIL),
        ("elsewhere.invalid", DnsStatus.SERVFAIL),
    ],
)
async def test_the_ways_of_no_are_told_apart(resolver, name, status):
    answer = await resolver.txt(name)
    assert (answer.status, answer.records) == (status, ())
    assert answer.is_temporary == (status is DnsStatus.SERVFAIL)


async def test_a_failure_of_one_family_does_not_hide_the_other(server, resolver):
    server.fail("mail.example.test", "servfail", kind="AAAA")
    assert (await resolver.addresses("mail.example.test")).records == ("127.0.0.2",)
    server.fail("only6.example.test", "timeout", kind="AAAA")
    assert (await resolver.addresses("only6.example.test")).status is DnsStatus.TIMEOUT


@pytest.mark.parametrize("name", ["a..b", "x" * 64 + ".test", "bücher.test", "", "sp ace.test"])
async def test_what_cannot_be_a_name_does_not_exist_and_is_not_asked_for(server, resolver, name):
    answer = await resolver.txt(name)
    assert answer.status in (DnsStatus.NXDOMAIN, DnsStatus.SERVFAIL)
    if name:
        assert (answer.status, server.queries) == (DnsStatus.NXDOMAIN, [])


async def test_an_alias_is_followed_within_the_answer(server, resolver):
    answer = await resolver.addresses("alias.example.test", ipv6=False)
    assert (answer.records, answer.name) == (("127.0.0.2",), "mail.example.test")
    assert len(server.queries) == 1
    assert (await resolver.mx("outside.example.test")).records == ((5, "mail.example.test"),)


def _alias_only(target: str):
    def answerer(query: dns.message.Message) -> dns.message.Message:
        made = dns.message.make_response(query)
        made.answer.append(dns.rrset.from_text(query.question[0].name, 30, "IN", "CNAME", target + "."))
        return made

    return answerer


async def test_an_alias_that_the_answer_does_not_follow_is_asked_for(server, resolver):
    server.answer("half.example.test", _alias_only("mail.example.test"))
    answer = await resolver.addresses("half.example.test", ipv6=False)
    assert (answer.records, answer.name, answer.ttl) == (("127.0.0.2",), "mail.example.test", 30)
    assert server.count("mail.example.test") == 1


async def test_an_endless_row_of_aliases_ends(server, resolver):
    for n in range(20):
        server.answer(f"c{n}.example.test", _alias_only(f"c{n + 1}.example.test"))
    assert (await resolver.txt("c0.example.test")).status is DnsStatus.SERVFAIL
    assert len(server.queries) <= 10


async def test_records_beside_the_question_are_not_believed(server, resolver):
    def poison(query: dns.message.Message) -> dns.message.Message:
        made = dns.message.make_response(query)
        made.answer.append(dns.rrset.from_text("bank.test.", 86400, "IN", "A", "127.6.6.6"))
        made.answer.append(dns.rrset.from_text("poison.example.test.", 60, "IN", "A", "127.0.0.1"))
        made.additional.append(dns.rrset.from_text("bank.test.", 86400, "IN", "A", "127.6.6.6"))
        return made

    server.answer("poison.example.test", poison)
    assert (await resolver.addresses("poison.example.test", ipv6=False)).records == ("127.0.0.1",)
    assert (await resolver.addresses("bank.test", ipv6=False)).status is DnsStatus.SERVFAIL


async def test_answers_are_kept_for_their_ttl(server, resolver, clock):
    for _ in range(3):
        await resolver.addresses("short.example.test", ipv6=False)
    assert len(server.queries) == 1
    clock.now += 3
    assert (await resolver.addresses("SHORT.example.test", ipv6=False)).ttl == 2
    clock.now += 2.1
    await resolver.addresses("short.example.test", ipv6=False)
    assert len(server.queries) == 2


async def test_a_ttl_of_zero_is_not_kept(server, resolver):
    await resolver.addresses("zero.example.test", ipv6=False)
    await resolver.addresses("zero.example.test", ipv6=False)
    assert len(server.queries) == 2


async def test_no_is_kept_for_as_long_as_the_zone_says(server, resolver, clock):
    for name in ("missing.example.test", "mail.example.test"):
        server.queries.clear()
        for _ in range(3):
            assert (await resolver.txt(name)).ttl <= 60
        assert len(server.queries) == 1
        clock.now += 61
        await resolver.txt(name)
        assert len(server.queries) == 2


async def test_no_without_a_start_of_authority_is_not_kept(server, resolver):
    def bare(query: dns.message.Message) -> dns.message.Message:
        made = dns.message.make_response(query)
        made.set_rcode(3)
        return made

    server.answer("bare.example.test", bare)
    for _ in range(2):
        assert (await resolver.txt("bare.example.test")).status is DnsStatus.NXDOMAIN
    assert len(server.queries) == 2


async def test_no_is_never_kept_longer_than_five_minutes(server, resolver):
    server.set_zone("slow.test", "$TTL 86400\n@ SOA ns host 1 2 3 4 86400\n@ NS ns\n")
    assert (await resolver.txt("a.slow.test")).ttl == 300


async def test_a_failure_is_kept_for_a_moment(server, resolver, clock):
    server.fail("example.test", "servfail")
    for _ in range(3):
        assert (await resolver.txt("example.test")).status is DnsStatus.SERVFAIL
    assert len(server.queries) == 1
    server.fail("example.test", None)
    clock.now += 6
    assert (await resolver.txt("example.test")).status is DnsStatus.OK


async def test_the_cache_is_bounded(server, clock):
    resolver = DnsResolver([server.address], DnsSettings(cache_size=3), clock=clock)
    for n in range(5):
        await resolver.addresses(f"h{n}.wild.example.test", ipv6=False)
    assert len(resolver._cache._entries) == 3
    server.queries.clear()
    await resolver.addresses("h4.wild.example.test", ipv6=False)
    await resolver.addresses("h0.wild.example.test", ipv6=False)
    assert [name for name, _, _ in server.queries] == ["h0.wild.example.test"]


async def test_the_same_question_at_the_same_time_is_asked_once(server, resolver):
    answers = await asyncio.gather(*(resolver.mx("example.test") for _ in range(50)))
    assert len(server.queries) == 1
    assert all(answer == answers[0] for answer in answers)


async def test_one_who_gives_up_does_not_take_the_answer_from_the_others(server, resolver):
    first = asyncio.create_task(resolver.mx("example.test"))
    second = asyncio.create_task(resolver.mx("example.test"))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).status is DnsStatus.OK
    assert first.cancelled()
    assert len(server.queries) == 1


async def test_a_lost_packet_is_sent_again(server, resolver):
    server.fail("example.test", "timeout", times=1)
    assert (await resolver.mx("example.test")).status is DnsStatus.OK
    assert len(server.queries) == 2


async def test_silence_is_a_timeout(server, resolver):
    server.fail("example.test", "timeout")
    answer = await resolver.mx("example.test")
    assert (answer.status, answer.is_temporary) == (DnsStatus.TIMEOUT, True)


async def test_the_whole_question_has_a_budget(server, clock):
    server.fail("example.test", "timeout")
    resolver = DnsResolver([server.address], DnsSettings(timeout_s=5, budget_s=0.1), clock=clock)
    async with asyncio.timeout(3):
        assert (await resolver.mx("example.test")).status is DnsStatus.TIMEOUT


@pytest.mark.parametrize("fault", ["timeout", "servfail", "refused", "garbage"])
async def test_the_second_server_helps_and_is_asked_first_from_then_on(server, clock, fault):
    async with ZoneServer({"example.test": ZONE}) as second:
        server.fail("*", fault)
        resolver = DnsResolver([server.address, second.address], FAST, clock=clock)
        assert (await resolver.mx("example.test")).status is DnsStatus.OK
        if fault != "garbage":  # garbage comes before the truth and is no failure
            await resolver.txt("example.test")
            assert (len(server.queries), len(second.queries)) == (1, 2)


async def test_a_server_that_is_not_there_is_passed_over(server, clock):
    async with ZoneServer({}) as gone:
        pass
    resolver = DnsResolver([gone.address, server.address], FAST, clock=clock)
    assert (await resolver.mx("example.test")).status is DnsStatus.OK
    assert (await DnsResolver([gone.address], FAST).mx("example.test")).status is DnsStatus.SERVFAIL
    assert (await DnsResolver([], FAST).mx("example.test")).status is DnsStatus.TIMEOUT


async def test_a_truncated_answer_is_asked_for_over_tcp(server, resolver):
    answer = await resolver.txt("big.example.test")
    assert answer.records == ("x" * 5000,)
    assert [transport for _, _, transport in server.queries] == ["udp", "tcp"]


async def test_an_answer_of_sixty_kilobytes_is_read_and_not_asked_for_again(server, resolver):
    server.set_zone("large.test", "".join(f'@ TXT "{number:05}{"x" * 245}"\n' for number in range(230)))
    server.fail("large.test", "truncate")
    answer = await resolver.txt("large.test")
    assert (answer.status, len(answer.records)) == (DnsStatus.OK, 230)
    assert [len(record) for record in answer.records] == [250] * 230
    assert (await resolver.txt("large.test")).records == answer.records
    assert server.count("large.test", "TXT") == 2, "once over UDP, once over TCP"


async def test_truncation_without_tcp_is_a_failure(server, clock):
    server.fail("example.test", "truncate")
    await asyncio.sleep(0)
    assert server._tcp is not None
    server._tcp.close()
    resolver = DnsResolver([server.address], FAST, clock=clock)
    assert (await resolver.mx("example.test")).status is DnsStatus.SERVFAIL


@pytest.mark.parametrize("lie", ["wrong-id", "wrong-question", "wrong-case", "garbage"])
async def test_forged_answers_are_passed_over(server, resolver, lie):
    server.fail("example.test", lie)
    answer = await resolver.mx("example.test")
    assert answer.records == ((10, "mail.example.test"), (20, "backup.example.test"))
    assert len(server.queries) == (2 if lie == "wrong-case" else 1)


async def test_a_flood_of_forged_answers_leads_to_tcp(server, resolver):
    server.fail("example.test", "wrong-question", times=-1)
    flood = [b"\0" * 12] * 40
    server._lies = lambda query, wire, fault: flood
    assert (await resolver.mx("example.test")).status is DnsStatus.OK
    assert [transport for _, _, transport in server.queries] == ["udp", "tcp"]


@pytest.mark.parametrize("same_server", [False, True])
async def test_an_answer_that_does_not_repeat_the_spelling_is_asked_for_again_over_tcp(server, resolver, same_server):
    """It is a forgery (then TCP tells the truth), or the server cannot repeat spellings (then TCP says the same)."""
    answers = ["127.0.0.7"] if same_server else ["127.6.6.6", "127.0.0.7"]

    def respell(query: dns.message.Message) -> dns.message.Message:
        other = dns.message.make_query(query.question[0].name.to_text().swapcase(), query.question[0].rdtype, id=query.id)
        made = dns.message.make_response(other)
        address = answers.pop(0) if len(answers) > 1 else answers[0]
        made.answer.append(dns.rrset.from_text("forged.example.test.", 60, "IN", "A", address))
        return made

    server.answer("forged.example.test", respell)
    assert (await resolver.addresses("forged.example.test", ipv6=False)).records == ("127.0.0.7",)
    assert [transport for _, _, transport in server.queries] == ["udp", "tcp"]


@pytest.mark.parametrize("size", [0, 11, 3])
async def test_nonsense_over_tcp_is_a_failure(server, resolver, size):
    server.fail("example.test", "truncate")
    real = server._lookup
    server._lookup = lambda query: _Nonsense(size)
    try:
        assert (await resolver.mx("example.test")).status in (DnsStatus.SERVFAIL, DnsStatus.TIMEOUT)
    finally:
        server._lookup = real


class _Nonsense:
    def __init__(self, size: int) -> None:
        self._size = size

    def to_wire(self, max_size: int = 0) -> bytes:
        return bytes(self._size)


async def test_ports_ids_and_spellings_are_not_predictable(server, resolver):
    await asyncio.gather(*(resolver.addresses(f"h{n}.wild.example.test", ipv6=False) for n in range(64)))
    assert len({port for _, port in server.clients}) > 50
    assert len(set(server.ids)) > 55
    assert len({spelling.split(".", 1)[1] for spelling in server.spellings}) > 50


async def test_a_server_without_edns_is_asked_without(server, resolver):
    server.fail("example.test", "no-edns")
    assert (await resolver.mx("example.test")).status is DnsStatus.OK
    assert len(server.queries) == 2


async def test_a_server_that_does_not_even_repeat_the_question_is_asked_without_edns(server, resolver):
    def old(query: dns.message.Message) -> dns.message.Message | bytes:
        if query.edns >= 0:
            return query.id.to_bytes(2, "big") + b"\x80\x01" + bytes(8)
        made = dns.message.make_response(query)
        made.answer.append(dns.rrset.from_text("old.example.test.", 60, "IN", "A", "127.0.0.8"))
        return made

    server.answer("old.example.test", old)
    assert (await resolver.addresses("old.example.test", ipv6=False)).records == ("127.0.0.8",)


async def test_the_ad_bit_counts_only_from_trusted_servers(server):
    server.authentic = True
    for trusted, expected in ((None, True), (True, True), (False, False)):
        resolver = DnsResolver([server.address], DnsSettings(trusted=trusted))
        assert (await resolver.tlsa("_25._tcp.mail.example.test")).secure is expected
    server.authentic = False
    assert not (await DnsResolver([server.address]).tlsa("_25._tcp.mail.example.test")).secure


async def test_an_answer_put_together_from_secure_and_insecure_parts_is_insecure(server):
    def unsigned(query: dns.message.Message) -> dns.message.Message:
        return _alias_only("mail.example.test")(query)

    server.authentic = True
    server.answer("half.example.test", unsigned)
    assert not (await DnsResolver([server.address]).addresses("half.example.test", ipv6=False)).secure
    assert (await DnsResolver([server.address]).addresses("mail.example.test", ipv6=False)).secure


async def test_bad_signatures_are_told_from_other_failures(server, clock):
    server.fail("example.test", "bogus")
    answer = await DnsResolver([server.address], FAST).mx("example.test")
    assert (answer.status, answer.is_temporary) == (DnsStatus.BOGUS, True)
    untrusting = DnsSettings(timeout_s=0.15, trusted=False)
    assert (await DnsResolver([server.address], untrusting).mx("example.test")).status is DnsStatus.SERVFAIL


async def test_localhost_is_never_asked_for(server, resolver):
    assert (await resolver.addresses("Localhost.")).records == ("127.0.0.1", "::1")
    assert (await resolver.addresses("localhost", ipv6=False)).records == ("127.0.0.1",)
    assert server.queries == []


@pytest.mark.parametrize(
    ("text", "servers", "settings"),
    [
        (
            "nameserver 192.0.2.1\nnameserver 2001:db8::1 # home\n; nameserver 192.0.2.9\n",
            ["192.0.2.1", "2001:db8::1"],
            (2, 2, None),
        ),
        ("options timeout:3 attempts:4 trust-ad\nnameserver 192.0.2.1\n", ["192.0.2.1"], (3, 4, True)),
        ("options timeout:999999 attempts:x\nnameserver not-an-address\n", ["127.0.0.1"], (10, 2, None)),
        ("", ["127.0.0.1"], (2, 2, None)),
        (None, ["127.0.0.1"], (2, 2, None)),
    ],
)
def test_the_systems_servers_are_read(tmp_path, text, servers, settings):
    path = tmp_path / "resolv.conf"
    if text is not None:
        path.write_text(text)
    made = DnsResolver.from_system(path)
    assert made._servers == [(host, 53) for host in servers]
    if settings[0] != 10:
        assert (made._settings.timeout_s, made._settings.attempts, made._settings.trusted) == settings


def test_the_zone_server_runs_by_itself(tmp_path):
    zone = tmp_path / "example.test"
    zone.write_text(ZONE)
    command = [sys.executable, "-m", "tests.net.dns_server", "--fail", "servfail:broken.example.test", f"example.test={zone}"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout is not None
            host, port = process.stdout.readline().split()

            async def ask() -> tuple[Answer, Answer]:
                resolver = DnsResolver([(host, int(port))])
                return await resolver.mx("example.test"), await resolver.mx("broken.example.test")

            found, failed = asyncio.run(ask())
            assert found.records[0] == (10, "mail.example.test")
            assert failed.status is DnsStatus.SERVFAIL
        finally:
            process.terminate()
        assert process.wait(5) == 0

"""Logins, states, and the commands that need no mailbox."""

from __future__ import annotations

import asyncio
import base64

from .house import PASSWORD, House


async def test_the_greeting_says_what_is_true_before_login(house: House):
    client = await house.client(login=False)
    assert client.greeting.startswith("* OK [CAPABILITY IMAP4rev1 IMAP4rev2 ")
    assert " STARTTLS" in client.greeting
    assert " AUTH=PLAIN" in client.greeting
    assert "LOGINDISABLED" not in client.greeting
    assert "LITERAL-" in client.greeting


async def test_login_tells_the_capabilities_of_afterwards(house: House):
    client = await house.client(login=False)
    answer = (await client.command(f'LOGIN alice@example.test "{PASSWORD}"'))[-1]
    assert answer.startswith(b"OK [CAPABILITY IMAP4rev1 IMAP4rev2 ")
    assert b" IDLE " in answer
    assert b" AUTH=" not in answer
    assert await client.ok("CAPABILITY") == [b"* CAPABILITY " + answer[len(b"OK [CAPABILITY ") : answer.index(b"]")]]


async def test_a_wrong_password_is_refused_and_the_session_goes_on(house: House):
    client = await house.client(login=False)
    assert (await client.no("LOGIN alice@example.test wrong")).startswith(b"NO [AUTHENTICATIONFAILED]")
    await client.ok(f'LOGIN alice@example.test "{PASSWORD}"')


async def test_authenticate_plain_with_and_without_initial_response(house: House):
    initial = base64.b64encode(f"\0alice@example.test\0{PASSWORD}".encode()).decode()
    client = await house.client(login=False)
    await client.ok(f"AUTHENTICATE PLAIN {initial}")
    client = await house.client(login=False)
    await client.ok("AUTHENTICATE PLAIN", initial.encode() + b"\r\n")


async def test_authenticate_can_be_cancelled(house: House):
    client = await house.client(login=False)
    assert (await client.no("AUTHENTICATE PLAIN", b"*\r\n"))[:2] in (b"NO", b"BA")
    await client.ok("NOOP")


async def test_commands_out_of_their_state_are_bad(house: House):
    client = await house.client(login=False)
    assert (await client.no("SELECT INBOX")).startswith(b"BAD")
    assert (await client.no("NOTHING")).startswith(b"BAD")
    await client.ok(f'LOGIN alice@example.test "{PASSWORD}"')
    assert (await client.no("FETCH 1 FLAGS")).startswith(b"BAD")
    assert (await client.no(f'LOGIN alice@example.test "{PASSWORD}"')).startswith(b"BAD")
    assert (await client.no("STARTTLS")).startswith(b"BAD")
    await client.ok("NOOP")


async def test_starttls_begins_anew(house: House):
    client = await house.client(login=False)
    await client.ok("STARTTLS")
    await client.start_tls(house.ca)
    words = (await client.ok("CAPABILITY"))[0]
    assert b"STARTTLS" not in words
    assert (await client.no("STARTTLS")).startswith(b"BAD")
    await client.ok(f'LOGIN alice@example.test "{PASSWORD}"')


async def test_plaintext_behind_starttls_is_never_heard(house: House):
    client = await house.client(login=False)
    client.send(b"a STARTTLS\r\nb NOOP\r\n")
    assert await client.response() == b""


async def test_pipelined_commands_are_answered_in_order(house: House):
    client = await house.client()
    client.send(b"a NOOP\r\nb CAPABILITY\r\nc NAMESPACE\r\nd LOGOUT\r\n")
    responses = [await client.response() for _ in range(8)]
    assert responses[0].startswith(b"a OK")
    assert responses[2].startswith(b"b OK")
    assert responses[3] == b'* NAMESPACE (("" "/")) (("Other Users/" "/")) NIL'
    assert responses[5].startswith(b"* BYE")
    assert responses[6].startswith(b"d OK")
    assert responses[7] == b""


async def test_id_enable_and_unknown_names(house: House):
    client = await house.client()
    assert (await client.ok('ID ("name" "test")'))[0].startswith(b'* ID ("name" "Postillon"')
    assert await client.ok("ENABLE CONDSTORE X-NOTHING") == [b"* ENABLED CONDSTORE"]
    assert await client.ok("ENABLE CONDSTORE") == [b"* ENABLED"]
    assert await client.ok("ENABLE imap4rev2 QRESYNC") == [b"* ENABLED IMAP4rev2 QRESYNC"]


async def test_a_suspended_account_hears_bye(house: House):
    client, other = await house.client(), await house.client(select="INBOX")
    other.send(b"i IDLE\r\n")
    assert (await other.response()).startswith(b"+")
    await house.directory.suspend("alice@example.test")
    assert (await client.response()).startswith(b"* BYE")
    assert (await other.response()).startswith(b"* BYE")
    assert await client.response() == b""


async def test_stopping_says_bye(house: House):
    client, idler = await house.client(), await house.client(select="INBOX")
    idler.send(b"i IDLE\r\n")
    await idler.response()
    closing = asyncio.create_task(house.listener.close(5))
    assert (await client.response()).startswith(b"* BYE")
    assert (await idler.response()).startswith(b"* BYE")
    await closing


async def test_http_and_noise_end_the_connection(house: House):
    client = await house.client(login=False)
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await client.response()).startswith(b"* BYE")
    assert await client.response() == b""


async def test_many_failed_logins_end_the_connection(house: House):
    client = await house.client(login=False)
    answers = []
    for _ in range(12):
        answers.append((await client.command("LOGIN alice@example.test wrong"))[-1])
        if not answers[-1]:
            break
    assert answers[-1] == b""

"""Two libraries that programs are made with: Perl's Mail::IMAPClient (imapsync's) and Node's imapflow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ..peers.clients import client
from ..peers.postillon import Account, Postillon

pytestmark = pytest.mark.real

PERL = r"""
use strict; use warnings; use Mail::IMAPClient; use JSON::PP;
my ($port, $ca, $user, $password) = @ARGV;
my $imap = Mail::IMAPClient->new(Server => 'localhost', Port => $port, Ssl => [ SSL_ca_file => $ca, SSL_verifycn_scheme => 'imap',
    SSL_verifycn_name => 'localhost' ], User => $user, Password => $password, Uid => 1, Peek => 1) or die "connect: $@";
sub must { my ($done, $what) = @_; defined $done or die "$what: " . $imap->LastError; return $done }
my %said;
$said{capabilities} = [ $imap->capability ];
$said{has_uidplus} = $imap->has_capability('UIDPLUS') ? 1 : 0;
must($imap->create('Perl/Archiv'), 'create');
$said{folders} = [ sort { $a cmp $b } @{ must(scalar $imap->folders, 'folders') } ];
must($imap->select('INBOX'), 'select');
my $uid = must($imap->append_string('INBOX', "Subject: by perl\r\n\r\nHi \"there\" \\ {3}\r\n", '\Seen $Label1'), 'append');
$said{appended} = $uid;
$said{found} = must(scalar $imap->search('SUBJECT', 'by perl'), 'search');
$said{unseen} = $imap->unseen_count;
$said{flags} = [ sort @{ must(scalar $imap->flags($uid), 'flags') } ];
$said{text} = must($imap->message_string($uid), 'message_string');
$said{headers} = must(scalar $imap->parse_headers($uid, 'Subject'), 'parse_headers');
my $structure = must($imap->get_bodystructure(1), 'bodystructure');
$said{type} = $structure->bodytype . '/' . $structure->bodysubtype;
$said{parts} = [ map { $_->id } grep { ref } $structure->bodystructure ];
$said{envelope} = must($imap->get_envelope(1), 'envelope')->subject;
$said{copied} = must($imap->copy('Perl/Archiv', $uid), 'copy');
must($imap->move('Perl/Archiv', 1), 'move');
must($imap->expunge, 'expunge');
must($imap->store($uid, '+FLAGS', '(\Flagged)'), 'store');
$said{filed} = must($imap->message_count('Perl/Archiv'), 'status');
must($imap->rename('Perl/Archiv', 'Perl/Neu'), 'rename');
must($imap->subscribe('Perl/Neu'), 'subscribe');
$said{exists} = $imap->exists('Perl/Neu') ? 1 : 0;
$said{count} = must($imap->message_count('Perl/Neu'), 'message_count');
must($imap->delete('Perl/Neu'), 'delete');
must($imap->logout, 'logout');
print JSON::PP->new->canonical->encode(\%said);
"""

NODE = r"""
const { ImapFlow } = require(process.argv[2]);
const fs = require('fs');
(async () => {
    const [port, ca, user, pass] = process.argv.slice(3);
    const client = new ImapFlow({ host: 'localhost', port: Number(port), secure: true, auth: { user, pass }, logger: false,
        tls: { ca: fs.readFileSync(ca) }, qresync: true });
    const said = {};
    await client.connect();
    said.enabled = [...client.enabled].sort();
    said.created = (await client.mailboxCreate(['Node', 'Größe'])).path;
    said.folders = (await client.list({ statusQuery: { messages: true } })).map(one => [one.path, one.specialUse || '',
        one.status ? one.status.messages : -1]);
    const lock = await client.getMailboxLock('INBOX');
    try {
        said.exists = client.mailbox.exists;
        const arrived = new Promise(resolve => client.once('exists', resolve));
        const put = await client.append('INBOX', Buffer.from('Subject: by node\r\n\r\nHi\r\n'), ['\\Flagged', '$Node']);
        said.appended = put.uid;
        said.grown = (await arrived).count;
        said.messages = [];
        for await (const message of client.fetch('1:*', { uid: true, flags: true, envelope: true, bodyStructure: true, size: true,
            threadId: true, headers: ['subject'] })) {
            said.messages.push([message.uid, message.envelope.subject, [...message.flags].sort(), message.bodyStructure.type,
                message.modseq > 0n, Boolean(message.emailId), message.headers.toString()]);
        }
        said.searched = await client.search({ subject: 'by node', flagged: true }, { uid: true });
        const { content } = await client.download(said.messages[0][0], '2', { uid: true });
        const pieces = [];
        for await (const piece of content) pieces.push(piece);
        said.attachment = Buffer.concat(pieces).toString('hex').slice(0, 16);
        said.changed = await client.messageFlagsAdd(put.uid, ['\\Seen'], { uid: true });
        const moved = await client.messageMove(put.uid, said.created, { uid: true });
        said.moved = [...moved.uidMap.entries()];
        said.quota = (await client.getQuota('INBOX')).storage.limit > 0;
        said.deleted = await client.messageDelete('1', {});
    } finally { lock.release(); }
    said.status = await client.status(said.created, { messages: true, unseen: true, highestModseq: true });
    said.status.highestModseq = said.status.highestModseq > 0n;
    await client.mailboxRename(said.created, ['Node', 'Neu']);
    await client.mailboxDelete(['Node', 'Neu']);
    await client.logout();
    console.log(JSON.stringify(said));
})().catch(error => { console.error(error.stack, error.responseText || ''); process.exit(1); });
"""
NODE_MODULE = Path(__file__).parents[2] / ".build/node/node_modules/imapflow"


def multipart(account: Account) -> bytes:
    return (
        f"From: s@else.test\r\nTo: {account.address}\r\nSubject: two parts\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\ntext\r\n'
        "--b\r\nContent-Type: image/png; name=x.png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n--b--\r\n"
    ).encode()


def words(office: Postillon, account: Account) -> list[str]:
    return [str(office.port("imaps")), str(office.ca), account.address, account.password]


def test_perl_makes_finds_copies_moves_and_deletes(office: Postillon, bob: Account, tmp_path: Path):
    with bob.imap() as imap:
        imap.append("INBOX", "", "", multipart(bob))
    (tmp_path / "client.pl").write_text(PERL)
    said = json.loads(client("perl", "client.pl", *words(office, bob), home=tmp_path).stdout)
    assert {"IMAP4rev1", "UIDPLUS", "IDLE"} <= set(said["capabilities"]) and said["has_uidplus"]
    assert {"INBOX", "Drafts", "Perl", "Perl/Archiv"} <= set(said["folders"])
    assert str(said["appended"]) == "2" and said["found"] == ["2"] and int(said["unseen"]) == 1
    assert said["flags"] == ["$Label1", "\\Seen"]
    assert said["text"] == 'Subject: by perl\r\n\r\nHi "there" \\ {3}\r\n'
    assert said["headers"] == {"Subject": ["by perl"]}
    assert (said["type"], said["parts"], said["envelope"]) == ("MULTIPART/mixed", [1, 2], "two parts")
    assert said["exists"] and int(said["filed"]) == int(said["count"]) == 2


def test_node_makes_reads_downloads_moves_and_deletes(office: Postillon, bob: Account, tmp_path: Path):
    if not NODE_MODULE.is_dir():
        pytest.skip("imapflow is missing: run tools/setup-tests where there is a network")
    with bob.imap() as imap:
        imap.append("INBOX", "", "", multipart(bob))
    (tmp_path / "client.js").write_text(NODE)
    said = json.loads(client("node", "client.js", str(NODE_MODULE), *words(office, bob), home=tmp_path).stdout)
    assert "CONDSTORE" in said["enabled"]
    assert said["created"] == "Node/Größe"
    assert ["INBOX", "\\Inbox", 1] in said["folders"] and ["Sent", "\\Sent", 0] in said["folders"]
    assert (said["exists"], said["appended"], said["grown"]) == (1, 2, 2)
    (first, second) = said["messages"]
    assert first[:4] == [1, "two parts", [], "multipart/mixed"] and first[4:6] == [True, True]
    assert second[:3] == [2, "by node", ["$Node", "\\Flagged"]] and second[6] == "Subject: by node\r\n\r\n"
    assert said["searched"] == [2] and said["attachment"] == "89504e470d0a1a0a"
    assert said["changed"] and said["moved"] == [[2, 1]] and said["quota"] and said["deleted"]
    assert (said["status"]["messages"], said["status"]["unseen"], said["status"]["highestModseq"]) == (1, 0, True)

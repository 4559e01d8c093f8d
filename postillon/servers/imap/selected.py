"""The selected mailbox of a session: its view, and the untagged lines that keep the client's picture right."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

from ...model.mail import FIRST_KEYWORD_BIT, SYSTEM_FLAGS, Mailbox, changeable
from ...protocols.imap.commands import MessageSet
from ...protocols.imap.response_codes import permanent_flags
from ...protocols.imap.sequence import STAR, SavedResult, format_set, to_ranges
from .answers import BadCommand
from .contexts import Contexts
from .snapshot import Row
from .snapshots import Loaded
from .view import View

ALL_SYSTEM = (1 << FIRST_KEYWORD_BIT) - 1


class Selected:
    """Made by SELECT or EXAMINE, dropped by what leaves the mailbox."""

    __slots__ = ("_told", "by_uid", "contexts", "loaded", "mailbox", "read_at", "read_only", "saved", "view")

    def __init__(self, loaded: Loaded, mailbox: Mailbox, *, read_only: bool, now: float, by_uid: bool = False) -> None:
        self.loaded = loaded
        self.by_uid = by_uid
        """The client knows no sequence numbers: UIDFETCH instead of FETCH (RFC 9586 §3.3)."""
        self.mailbox = mailbox
        """The row as last read."""
        self.view = View(loaded.snapshot)
        self.read_only = read_only
        self.saved: array[int] = array("I")
        """The uids that `$` stands for (RFC 5182)."""
        self.contexts = Contexts()
        """Searches that are kept up to date."""
        self.read_at = now
        """When the store was last asked for changes, on the loop's clock."""
        self._told = self._stamp()

    async def refresh(self, now: float) -> bool:
        """Read what changed. False: the mailbox is gone."""
        self.read_at = now
        mailbox = await self.loaded.refresh()
        if mailbox is None:
            return False
        self.mailbox = mailbox
        return True

    def slots(self, numbers: MessageSet, *, uid: bool) -> array[int]:
        """The messages meant, ascending. Raises BadCommand for sequence numbers that are not there.

        Uids that are not there are no error (RFC 9051 §6.4.9).
        """
        view = self.view
        if isinstance(numbers, SavedResult):
            return view.slots_of_uids(to_ranges(self.saved))
        if uid:
            return view.slots_of_uids(numbers.resolve(view.last_uid))
        if any(high > view.exists for _, high in numbers.ranges if high != STAR):
            raise BadCommand("Sequence number is not in use")
        return view.slots_of(numbers.resolve(view.exists))

    def uids(self, slots: Iterable[int]) -> list[int]:
        uids = self.view.snapshot.uids
        return [uids[slot] for slot in slots]

    def flags_lines(self) -> list[bytes]:
        """FLAGS and PERMANENTFLAGS (RFC 9051 §7.3.5, §7.1)."""
        flags = self._flags()
        may = 0 if self.read_only else changeable(self.mailbox.rights)
        lasting = [flag for flag in flags if may & SYSTEM_FLAGS.get(flag, ~ALL_SYSTEM)]
        if may & ~ALL_SYSTEM:
            lasting.append(b"\\*")
        return [
            b"* FLAGS (%b)\r\n" % b" ".join(flags),
            b"* OK [%b] Flags that are kept\r\n" % permanent_flags(lasting),
        ]

    def _flags(self) -> list[bytes]:
        """Of somebody else's keywords only those in use here are told: their names are words of the owner's."""
        keywords = self.loaded.keywords
        if not self.mailbox.is_shared:
            return keywords.all_flags()
        used = self._used()
        return [*SYSTEM_FLAGS, *(name for bit, name in keywords.names.items() if used >> bit & 1)]

    def _used(self) -> int:
        used = 0
        for word in self.view.snapshot.words:
            used |= word
        return used

    def _stamp(self) -> tuple[int, int]:
        """Changes when FLAGS or PERMANENTFLAGS do."""
        known = self._used() & ~ALL_SYSTEM if self.mailbox.is_shared else len(self.loaded.keywords.names)
        return known, self.mailbox.rights

    def news(self, *, expunges: bool, modseq: bool, by_uid: bool, flags: bool = True) -> list[bytes]:
        """What the client has to hear now, and from then on knows.

        *modseq*: it wants MODSEQ; *by_uid*: VANISHED (RFC 7162); *flags*: it wants to hear of flags that changed.
        """
        view = self.view
        news = view.news(expunges=expunges)
        # RFC 9051 §7.1: what may be changed is told again when it is another.
        lines = self.new_keywords() if self._told[1] != self.mailbox.rights else []
        if news.expunged and by_uid:
            lines.append(b"* VANISHED %b\r\n" % format_set(news.vanished))
        else:
            lines += [b"* %d EXPUNGE\r\n" % number for number in news.expunged]
        if news.exists is not None:
            lines.append(b"* %d EXISTS\r\n" % news.exists)
        if news.changed and flags:
            lines += self.fetch_flags(news.changed, modseq=modseq)
        return lines

    def fetch_flags(self, slots: Iterable[int], *, modseq: bool, flags: bool = True) -> list[bytes]:
        """Untagged FETCH with UID, FLAGS and MODSEQ of ascending *slots*; new keywords are introduced first."""
        view, text = self.view, self.loaded.keywords.text
        snapshot = view.snapshot
        chosen = list(slots)
        lines = self.new_keywords() if flags else []
        for number, slot in zip(view.numbers_of(chosen), chosen, strict=True):
            items = [b"FLAGS %b" % text(snapshot.flags(slot))] if flags else []
            if modseq:
                items.append(b"MODSEQ (%d)" % snapshot.modseqs[slot])
            if self.by_uid:
                lines.append(b"* %d UIDFETCH (%b)\r\n" % (snapshot.uids[slot], b" ".join(items)))
            else:
                lines.append(b"* %d FETCH (UID %d %b)\r\n" % (number, snapshot.uids[slot], b" ".join(items)))
        return lines

    async def learn(self, changed: Sequence[Row]) -> None:
        """Bring in what a change of our own did. The caller tells the client, so it is no news."""
        await self.loaded.name_keywords([word for _, word, _ in changed])
        snapshot = self.view.snapshot
        snapshot.update(changed)
        for uid, _, modseq in changed:
            slot = snapshot.slot(uid)
            if slot is not None:
                self.view.told(slot, modseq)

    def new_keywords(self) -> list[bytes]:
        """RFC 9051 §7.3.5: FLAGS again when a keyword is new."""
        stamp = self._stamp()
        if stamp == self._told:
            return []
        self._told = stamp
        return self.flags_lines()

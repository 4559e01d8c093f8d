"""DMARC aggregate reports as XML (RFC 7489 §7.2 and appendix C, RFC 9990): values, writing, and reading what strangers send.

Reading refuses declarations of entities and documents, and takes no more than it can hold; elements that are not known are left
out, so reports of both formats are read.
"""

from __future__ import annotations

import xml.parsers.expat
from collections.abc import Iterable
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

MAX_ROWS = 20_000
MAX_DEPTH = 12
MAX_TEXT = 500
"""Characters of a value."""
MAX_RESULTS = 20
"""Signatures told of one row."""


class BadAggregate(ValueError):
    """No aggregate report; in words for the log."""


@dataclass(frozen=True, slots=True)
class Published:
    """The policy as it was found."""

    domain: str
    p: str = "none"
    sp: str = ""
    np: str = ""
    adkim: str = "r"
    aspf: str = "r"
    pct: int = 100
    testing: bool = False


@dataclass(frozen=True, slots=True)
class DkimResult:
    domain: str
    result: str
    selector: str = ""


@dataclass(frozen=True, slots=True)
class SpfResult:
    domain: str
    result: str
    scope: str = "mfrom"
    """`mfrom` or `helo`."""


@dataclass(frozen=True, slots=True)
class Row:
    """Messages that had all of this in common."""

    source: str
    """The client's IP address."""
    count: int
    disposition: str
    """What was done: `none`, `quarantine`, `reject`."""
    dkim: bool
    """Aligned, and passed."""
    spf: bool
    header_from: str
    envelope_from: str = ""
    reasons: tuple[tuple[str, str], ...] = ()
    """(type, comment) of why something else was done than the policy says."""
    dkim_results: tuple[DkimResult, ...] = ()
    spf_results: tuple[SpfResult, ...] = ()


@dataclass(frozen=True, slots=True)
class Feedback:
    organization: str
    email: str
    report_id: str
    begin: int
    end: int
    published: Published
    rows: tuple[Row, ...] = field(default=())


# --- writing ------------------------------------------------------------------------------------------------------------


def write(feedback: Feedback) -> bytes:
    """The report as XML."""
    one = feedback.published
    head = [
        '<?xml version="1.0" encoding="UTF-8"?>\n<feedback>\n<version>1.0</version>\n<report_metadata>',
        _element("org_name", feedback.organization),
        _element("email", feedback.email),
        _element("report_id", feedback.report_id),
        f"<date_range>{_element('begin', feedback.begin)}{_element('end', feedback.end)}</date_range>",
        "</report_metadata>\n<policy_published>",
        _element("domain", one.domain),
        _element("adkim", one.adkim),
        _element("aspf", one.aspf),
        _element("p", one.p),
        _element("sp", one.sp or one.p),
        *([_element("np", one.np)] if one.np else []),
        _element("pct", one.pct),
        *([_element("testing", "y")] if one.testing else []),
        "</policy_published>\n",
    ]
    return "".join([*head, *map(_row, feedback.rows), "</feedback>\n"]).encode("utf-8")


def _row(row: Row) -> str:
    reasons = "".join(f"<reason>{_element('type', kind)}{_element('comment', words)}</reason>" for kind, words in row.reasons)
    return "".join(
        [
            "<record><row>",
            _element("source_ip", row.source),
            _element("count", row.count),
            "<policy_evaluated>",
            _element("disposition", row.disposition),
            _element("dkim", "pass" if row.dkim else "fail"),
            _element("spf", "pass" if row.spf else "fail"),
            reasons,
            "</policy_evaluated></row><identifiers>",
            _element("envelope_from", row.envelope_from),
            _element("header_from", row.header_from),
            "</identifiers><auth_results>",
            *(
                "<dkim>"
                + _element("domain", one.domain)
                + _element("selector", one.selector)
                + _element("result", one.result)
                + "</dkim>"
                for one in row.dkim_results
            ),
            *(
                f"<spf>{_element('domain', one.domain)}{_element('scope', one.scope)}{_element('result', one.result)}</spf>"
                for one in row.spf_results
            ),
            "</auth_results></record>\n",
        ]
    )


def _element(name: str, value: object) -> str:
    # What XML 1.0 cannot carry, not even escaped, is left out.
    text = "".join(char for char in str(value) if char in "\t\n" or (char >= " " and not "\ud800" <= char <= "\udfff"))
    return f"<{name}>{escape(text.replace(chr(0xFFFE), '').replace(chr(0xFFFF), ''))}</{name}>"


# --- reading ------------------------------------------------------------------------------------------------------------


class _Element:
    __slots__ = ("children", "name", "text")

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = ""
        self.children: list[_Element] = []

    def all(self, *path: str) -> Iterable[_Element]:
        found = [self]
        for name in path:
            found = [child for one in found for child in one.children if child.name == name]
        return found

    def value(self, *path: str) -> str:
        return next((one.text.strip() for one in self.all(*path)), "")

    def number(self, *path: str) -> int:
        text = self.value(*path)
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else 0


class _Reader:
    """Builds one record at a time, so that what is kept is the rows."""

    def __init__(self) -> None:
        self.root = _Element("")
        self.rows: list[Row] = []
        self._open = [self.root]
        self._elements = 0

    def start(self, name: str, attributes: object) -> None:
        self._elements += 1
        if len(self._open) > MAX_DEPTH or self._elements > MAX_ROWS * 60:
            raise BadAggregate("it is nested too deep, or has too many elements")
        self._open.append(_Element(name.rpartition(":")[2][:40]))

    def end(self, name: str) -> None:
        element = self._open.pop()
        if element.name == "record" and len(self._open) == 2:
            if len(self.rows) < MAX_ROWS:
                self.rows.append(_read_row(element))
            return
        if len(self._open[-1].children) < 200:
            self._open[-1].children.append(element)

    def text(self, data: str) -> None:
        element = self._open[-1]
        if len(element.text) < MAX_TEXT:
            element.text += data[: MAX_TEXT - len(element.text)]


def read(octets: bytes) -> Feedback:
    """The report that the XML *octets* are. Raises BadAggregate."""
    reader = _Reader()
    parser = xml.parsers.expat.ParserCreate(namespace_separator=":")

    def refuse(*_: object) -> None:
        raise BadAggregate("it declares a document type or entities")

    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = reader.start, reader.end, reader.text
    try:
        parser.Parse(octets, True)
    except xml.parsers.expat.ExpatError as error:
        raise BadAggregate(f"not XML: {error}") from error
    except (LookupError, ValueError) as error:
        raise error if isinstance(error, BadAggregate) else BadAggregate(f"not XML: {error}") from error
    feedback = next(iter(reader.root.all("feedback")), None)
    if feedback is None or not feedback.value("policy_published", "domain"):
        raise BadAggregate("no feedback about a domain")
    return _feedback(feedback, reader.rows)


def _feedback(one: _Element, rows: list[Row]) -> Feedback:
    meta, policy = ("report_metadata",), ("policy_published",)
    return Feedback(
        organization=one.value(*meta, "org_name"),
        email=one.value(*meta, "email"),
        report_id=one.value(*meta, "report_id"),
        begin=one.number(*meta, "date_range", "begin"),
        end=one.number(*meta, "date_range", "end"),
        published=Published(
            domain=one.value(*policy, "domain").lower().rstrip("."),
            p=one.value(*policy, "p").lower() or "none",
            sp=one.value(*policy, "sp").lower(),
            np=one.value(*policy, "np").lower(),
            adkim=one.value(*policy, "adkim") or "r",
            aspf=one.value(*policy, "aspf") or "r",
            pct=one.number(*policy, "pct") if one.value(*policy, "pct") else 100,
            testing=one.value(*policy, "testing") == "y",
        ),
        rows=tuple(rows),
    )


def _read_row(one: _Element) -> Row:
    evaluated = ("row", "policy_evaluated")
    return Row(
        source=one.value("row", "source_ip"),
        count=one.number("row", "count"),
        disposition=one.value(*evaluated, "disposition").lower(),
        dkim=one.value(*evaluated, "dkim").lower() == "pass",
        spf=one.value(*evaluated, "spf").lower() == "pass",
        header_from=one.value("identifiers", "header_from").lower(),
        envelope_from=one.value("identifiers", "envelope_from").lower(),
        reasons=tuple((each.value("type"), each.value("comment")) for each in one.all(*evaluated, "reason")),
        dkim_results=tuple(
            DkimResult(each.value("domain").lower(), each.value("result").lower(), each.value("selector"))
            for each in list(one.all("auth_results", "dkim"))[:MAX_RESULTS]
        ),
        spf_results=tuple(
            SpfResult(each.value("domain").lower(), each.value("result").lower(), each.value("scope"))
            for each in list(one.all("auth_results", "spf"))[:MAX_RESULTS]
        ),
    )

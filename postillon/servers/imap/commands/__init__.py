"""The commands: a function each, and the table that says which one answers what, in which state."""

from __future__ import annotations

from ....protocols.imap import commands as asked
from ....protocols.imap import extension_commands as extended
from ....protocols.imap.commands import Request
from . import (
    append,
    basic,
    compress,
    copy,
    expunge,
    fetch,
    idle,
    listing,
    login,
    mailboxes,
    metadata,
    multisearch,
    notify,
    quota,
    search,
    select,
    sort,
    store,
    thread,
    urlauth,
    various,
)
from .rule import Answer, Rule, Silent, Where

TABLE: dict[type[Request], Rule] = {
    asked.Capability: Rule(basic.capability, Where.ANY),
    asked.Noop: Rule(basic.noop, Where.ANY),
    asked.Logout: Rule(basic.logout, Where.ANY),
    asked.Id: Rule(basic.identify, Where.ANY),
    asked.StartTls: Rule(basic.starttls, Where.OUTSIDE),
    asked.Authenticate: Rule(login.authenticate, Where.OUTSIDE),
    asked.Login: Rule(login.login, Where.OUTSIDE),
    asked.Enable: Rule(basic.enable, Where.INSIDE),
    asked.Select: Rule(select.select_, Where.INSIDE),
    asked.Create: Rule(mailboxes.create, Where.INSIDE),
    asked.Delete: Rule(mailboxes.delete, Where.INSIDE),
    asked.Rename: Rule(mailboxes.rename, Where.INSIDE),
    asked.Subscribe: Rule(mailboxes.subscribe, Where.INSIDE),
    asked.Unsubscribe: Rule(mailboxes.unsubscribe, Where.INSIDE),
    asked.List: Rule(listing.list_, Where.INSIDE),
    asked.Lsub: Rule(listing.lsub, Where.INSIDE),
    asked.Namespace: Rule(listing.namespace, Where.INSIDE),
    asked.Status: Rule(listing.status, Where.INSIDE),
    asked.Idle: Rule(idle.idle, Where.INSIDE),
    asked.Check: Rule(basic.noop, Where.SELECTED),
    asked.Close: Rule(select.close, Where.SELECTED),
    asked.Unselect: Rule(select.unselect, Where.SELECTED),
    asked.Expunge: Rule(expunge.expunge, Where.SELECTED),
    asked.Search: Rule(search.search, Where.SELECTED),
    asked.Sort: Rule(sort.sort, Where.SELECTED),
    asked.Thread: Rule(thread.thread, Where.SELECTED),
    asked.Fetch: Rule(fetch.fetch, Where.SELECTED),
    asked.Store: Rule(store.store, Where.SELECTED),
    asked.Copy: Rule(copy.copy, Where.SELECTED),
    asked.Move: Rule(copy.move, Where.SELECTED),
    asked.Compress: Rule(compress.compress, Where.INSIDE),
    asked.Unauthenticate: Rule(various.unauthenticate, Where.INSIDE),
    extended.Language: Rule(various.language, Where.ANY),
    extended.UidBatches: Rule(various.uidbatches, Where.SELECTED),
    extended.GetQuota: Rule(quota.getquota, Where.INSIDE),
    extended.GetQuotaRoot: Rule(quota.getquotaroot, Where.INSIDE),
    extended.GetMetadata: Rule(metadata.getmetadata, Where.INSIDE),
    extended.SetMetadata: Rule(metadata.setmetadata, Where.INSIDE),
    extended.Notify: Rule(notify.notify, Where.INSIDE),
    extended.SearchMailboxes: Rule(multisearch.esearch, Where.INSIDE),
    extended.CancelUpdate: Rule(search.cancelupdate, Where.SELECTED),
    extended.GenUrlAuth: Rule(urlauth.genurlauth, Where.INSIDE),
    extended.UrlFetch: Rule(urlauth.urlfetch, Where.INSIDE),
    extended.ResetKey: Rule(urlauth.resetkey, Where.INSIDE),
    extended.SetQuota: Rule(quota.setquota, Where.INSIDE),
}
"""APPEND is not here: it begins with an event of its own (`append.append_start`)."""

__all__ = ["TABLE", "Answer", "Rule", "Silent", "Where", "append"]

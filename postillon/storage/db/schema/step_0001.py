"""The first schema. Mail data is keyed by account first; times are epoch seconds, sizes octets, text is UTF-8 octets."""

STATEMENTS = (
    # --- directory -------------------------------------------------------------------------------------------------
    "CREATE TABLE setting (name BYTES NOT NULL PRIMARY KEY, value BYTES NOT NULL) -- narrow",
    """CREATE TABLE domain (
        domain_id INT NOT NULL PRIMARY KEY,
        name BYTES NOT NULL UNIQUE,
        alias_of INT NOT NULL DEFAULT 0,
        catch_all BYTES,
        created INT NOT NULL)""",
    """CREATE TABLE account (
        account_id INT NOT NULL PRIMARY KEY,
        shard INT NOT NULL DEFAULT 0,
        name BYTES NOT NULL UNIQUE,
        state INT NOT NULL DEFAULT 0,
        created INT NOT NULL,
        domain_id INT NOT NULL DEFAULT 0)""",
    "CREATE INDEX account_domain ON account (domain_id, account_id)",
    # credential.version changes with every change of password; sha1 and sha256 hold SCRAM keys (salt, iterations, keys).
    """CREATE TABLE credential (
        account_id INT NOT NULL PRIMARY KEY,
        version INT NOT NULL,
        hash BYTES NOT NULL,
        sha1 BYTES,
        sha256 BYTES)""",
    # address.key is the canonical `local@domain`; it leads to an account or to an alias, the other is 0.
    """CREATE TABLE address (
        key BYTES NOT NULL PRIMARY KEY, account_id INT NOT NULL, alias_id INT NOT NULL,
        domain_id INT NOT NULL DEFAULT 0) -- narrow""",
    "CREATE INDEX address_account ON address (account_id)",
    "CREATE INDEX address_domain ON address (domain_id, key)",
    "CREATE TABLE alias (alias_id INT NOT NULL, target BYTES NOT NULL, PRIMARY KEY (alias_id, target)) -- narrow",
    # --- mail ------------------------------------------------------------------------------------------------------
    # The one serial point of an account. floor: tombstones below this modseq may be gone.
    """CREATE TABLE account_state (
        account_id INT NOT NULL PRIMARY KEY,
        modseq INT NOT NULL,
        floor INT NOT NULL DEFAULT 0,
        used INT NOT NULL DEFAULT 0,
        quota INT NOT NULL,
        uidvalidity_next INT NOT NULL)""",
    """CREATE TABLE keyword (
        account_id INT NOT NULL, bit INT NOT NULL, name BYTES NOT NULL,
        PRIMARY KEY (account_id, bit), UNIQUE (account_id, name)) -- narrow""",
    """CREATE TABLE mailbox (
        account_id INT NOT NULL, mailbox_id INT NOT NULL, parent_id INT NOT NULL, name BYTES NOT NULL,
        role BYTES NOT NULL, selectable INT NOT NULL, uidvalidity INT NOT NULL, uidnext INT NOT NULL,
        created INT NOT NULL, meta_modseq INT NOT NULL, modseq INT NOT NULL,
        total INT NOT NULL DEFAULT 0, unseen INT NOT NULL DEFAULT 0, deleted INT NOT NULL DEFAULT 0, size INT NOT NULL DEFAULT 0,
        PRIMARY KEY (account_id, mailbox_id), UNIQUE (account_id, parent_id, name)) -- narrow""",
    "CREATE TABLE subscription (account_id INT NOT NULL, path BYTES NOT NULL, PRIMARY KEY (account_id, path)) -- narrow",
    # place: 0 the body is here, 1 in the blob store. body is last because it is wide.
    """CREATE TABLE blob (
        blob_id INT NOT NULL PRIMARY KEY,
        size INT NOT NULL, sha256 BYTES NOT NULL, place INT NOT NULL, made_at INT NOT NULL, body BYTES)""",
    # kind: 1 an email, 2 a queued message. The foreign key keeps a janitor from removing what is being referred to.
    """CREATE TABLE blob_ref (
        blob_id INT NOT NULL REFERENCES blob (blob_id), kind INT NOT NULL, holder INT NOT NULL,
        PRIMARY KEY (blob_id, kind, holder)) -- narrow""",
    # created: modseq; copies: how many placements there are. Wide columns last. Ids are made in order of time, so rows are
    # appended and no further index is needed; every statement names the account all the same.
    """CREATE TABLE email (
        email_id INT NOT NULL PRIMARY KEY, account_id INT NOT NULL, blob_id INT NOT NULL, blob_size INT NOT NULL,
        size INT NOT NULL, received INT NOT NULL, zone INT NOT NULL, sent INT NOT NULL, thread_id INT NOT NULL,
        created INT NOT NULL, copies INT NOT NULL, recipe BYTES NOT NULL, overview BYTES NOT NULL,
        structure BYTES NOT NULL)""",
    # Hashes of Message-IDs seen in an account's mail, for threads (RFC 8621 §3).
    """CREATE TABLE thread_ref (
        account_id INT NOT NULL, hash INT NOT NULL, thread_id INT NOT NULL, PRIMARY KEY (account_id, hash)) -- narrow""",
    """CREATE TABLE placement (
        account_id INT NOT NULL, mailbox_id INT NOT NULL, uid INT NOT NULL, email_id INT NOT NULL,
        flags INT NOT NULL, modseq INT NOT NULL, size INT NOT NULL, saved INT NOT NULL,
        PRIMARY KEY (account_id, mailbox_id, uid)) -- narrow""",
    "CREATE INDEX placement_modseq ON placement (account_id, mailbox_id, modseq)",
    "CREATE INDEX placement_deleted ON placement (account_id, mailbox_id, uid) WHERE (flags & 8) <> 0",
    # Tombstones. kind: 1 placement (object is the uid), 2 mailbox.
    """CREATE TABLE gone (
        account_id INT NOT NULL, mailbox_id INT NOT NULL, modseq INT NOT NULL, kind INT NOT NULL, object INT NOT NULL,
        email_id INT NOT NULL, at INT NOT NULL, PRIMARY KEY (account_id, mailbox_id, modseq, kind, object)) -- narrow""",
    # The janitor's list. kind: 1 an email without placements, 2 the placements of a deleted mailbox, 3 a blob's file.
    """CREATE TABLE reap (
        at INT NOT NULL, kind INT NOT NULL, account_id INT NOT NULL, object INT NOT NULL,
        PRIMARY KEY (at, kind, account_id, object)) -- narrow""",
    # Messages answered 250 whose answer may not have arrived (RFC 1047).
    "CREATE TABLE accepted (key BYTES NOT NULL PRIMARY KEY, blob_id INT NOT NULL, at INT NOT NULL, owner INT NOT NULL) -- narrow",
    # --- queue -----------------------------------------------------------------------------------------------------
    """CREATE TABLE queue_message (
        queue_id INT NOT NULL PRIMARY KEY, blob_id INT NOT NULL, blob_size INT NOT NULL, account_id INT NOT NULL,
        size INT NOT NULL, made_at INT NOT NULL, expires INT NOT NULL, waiting INT NOT NULL,
        envelope BYTES NOT NULL, recipe BYTES NOT NULL)""",
    # due doubles as the end of a lease: a row whose worker died comes due again by itself.
    """CREATE TABLE queue_recipient (
        queue_id INT NOT NULL, number INT NOT NULL, lane INT NOT NULL, destination BYTES NOT NULL, due INT NOT NULL,
        state INT NOT NULL, attempts INT NOT NULL, owner INT NOT NULL, epoch INT NOT NULL, delay_reported INT NOT NULL,
        recipient BYTES NOT NULL, answer BYTES NOT NULL, PRIMARY KEY (queue_id, number))""",
    "CREATE INDEX queue_recipient_next ON queue_recipient (lane, state, destination, due)",
    "CREATE INDEX queue_recipient_due ON queue_recipient (state, due)",
    # --- locks -----------------------------------------------------------------------------------------------------
    "CREATE TABLE lock (name BYTES NOT NULL PRIMARY KEY, owner INT NOT NULL, at INT NOT NULL) -- narrow",
)

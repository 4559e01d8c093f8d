"""What the judgement of mail remembers: choices of accounts, words learned, senders, people one writes with."""

STATEMENTS = (
    # Thresholds in hundredths; choices.UNSET: as configured. language: of sentences, empty: English.
    """CREATE TABLE judging (
        account_id INT NOT NULL PRIMARY KEY, tag INT NOT NULL, junk INT NOT NULL, refuse INT NOT NULL,
        language BYTES NOT NULL) -- narrow""",
    # account_id 0: for everybody. verdict: 1 allow, 2 deny.
    """CREATE TABLE sender_list (
        account_id INT NOT NULL, pattern BYTES NOT NULL, verdict INT NOT NULL, created INT NOT NULL,
        PRIMARY KEY (account_id, pattern)) -- narrow""",
    # owner: an account, 0 is shared. token: 32 bits of a hash; -1 counts messages. day: when it was last learned.
    """CREATE TABLE token (
        owner INT NOT NULL, token INT NOT NULL, good INT NOT NULL, bad INT NOT NULL, day INT NOT NULL,
        PRIMARY KEY (owner, token)) -- narrow""",
    # What somebody said about an email, to be learned; the last word counts. wish: see lessons.
    """CREATE TABLE lesson (
        account_id INT NOT NULL, email_id INT NOT NULL, wish INT NOT NULL, at INT NOT NULL,
        PRIMARY KEY (account_id, email_id)) -- narrow""",
    # What was learned from an email, so that it is learned once and can be unlearned.
    """CREATE TABLE learned (
        account_id INT NOT NULL, email_id INT NOT NULL, wish INT NOT NULL, version INT NOT NULL,
        PRIMARY KEY (account_id, email_id)) -- narrow""",
    "CREATE INDEX learned_email ON learned (email_id)",
    # Senders by a hash of what they are known by. Thousandths, half as much after each HALF_LIFE_S past *last*.
    """CREATE TABLE reputation (
        sender INT NOT NULL PRIMARY KEY, good INT NOT NULL, bad INT NOT NULL, first INT NOT NULL, last INT NOT NULL) -- narrow""",
    # account_id 0: people of this server, by their own mail. name: a hash of the display name, 0: none.
    """CREATE TABLE contact (
        account_id INT NOT NULL, address BYTES NOT NULL, name INT NOT NULL, shown BYTES NOT NULL, wrote INT NOT NULL,
        heard INT NOT NULL, first INT NOT NULL, last INT NOT NULL, PRIMARY KEY (account_id, address)) -- narrow""",
    "CREATE INDEX contact_name ON contact (account_id, name)",
    "CREATE TABLE contact_domain (account_id INT NOT NULL, domain BYTES NOT NULL, PRIMARY KEY (account_id, domain)) -- narrow",
    # Domains that somebody here writes to, by hashes of what may be mistaken for them.
    "CREATE TABLE lookalike (shape INT NOT NULL, domain BYTES NOT NULL, PRIMARY KEY (shape, domain)) -- narrow",
)

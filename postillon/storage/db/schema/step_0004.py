"""Records of what became of messages, and of what was refused."""

STATEMENTS = (
    # trail: the blob of the message that a record is about. The record of the acceptance has the same id, so that it needs no
    # entry in an index; ids are made in order of time, so rows are appended and the oldest go first.
    "CREATE TABLE record (record_id INT NOT NULL PRIMARY KEY, trail INT NOT NULL, stages BYTES NOT NULL)",
    "CREATE INDEX record_later ON record (trail, record_id) WHERE trail <> record_id",
    # day: of the trail, days since 1970, so that names that come together lie together, and go together.
    """CREATE TABLE record_name (
        day INT NOT NULL, hash INT NOT NULL, trail INT NOT NULL, PRIMARY KEY (day, hash, trail)) -- narrow""",
    # What became of TLS towards others, by UTC day, for the reports they ask for (RFC 8460). policy and failure: msgpack.
    """CREATE TABLE tls_session (
        day INT NOT NULL, domain BYTES NOT NULL, policy BYTES NOT NULL, failure BYTES NOT NULL, sessions INT NOT NULL,
        PRIMARY KEY (day, domain, policy, failure)) -- narrow""",
    # Reports by others about TLS towards us. stop: the end of the time it is about; report: msgpack of its details.
    """CREATE TABLE tls_report (
        stop INT NOT NULL, domain BYTES NOT NULL, organization BYTES NOT NULL, name BYTES NOT NULL, start INT NOT NULL,
        successes INT NOT NULL, failures INT NOT NULL, report BYTES NOT NULL,
        PRIMARY KEY (stop, domain, organization, name)) -- narrow""",
)

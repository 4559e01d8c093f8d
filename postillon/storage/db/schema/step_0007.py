"""Addresses and networks that are refused at accept."""

STATEMENTS = (
    # network: `192.0.2.7/32` as text; ends: refused until then; level: how many bans before it count; changed: when the row did.
    """CREATE TABLE ban (
        network BYTES NOT NULL PRIMARY KEY, since INT NOT NULL, ends INT NOT NULL, level INT NOT NULL, reason BYTES NOT NULL,
        changed INT NOT NULL)""",
    "CREATE INDEX ban_changed ON ban (changed)",
    "CREATE INDEX ban_ends ON ban (ends)",
)

"""The sending side of the MTA: next hops, connections, outcomes."""

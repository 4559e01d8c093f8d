"""Domains, accounts, aliases; who somebody is and whether the password is right."""

"""Keys, seals and names: what an auditor reads first.

No Flask, no I/O and no clock; the algorithms are those of the token format's reference page, and nothing here is a
choice. Read `encoding`, `ids`, `keys`, `seal`, in that order.
"""

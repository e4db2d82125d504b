"""A session interface that somebody wrote around Fernet, and the settings that take its place.

:mod:`~examples.fernet.before` is the interface: a good one, with encryption, a list of keys and a time to live.
:mod:`~examples.fernet.after` has the same in settings. :mod:`~examples.fernet.views` are the views of both: not a line
of them knows which one it is.

What nobody wrote before, and is there after: an end that activity does not put off, cookies that are good for one
application and under one name, a ``__Host-`` name with ``Secure`` and ``SameSite``, a new session at a login as
somebody else, changes inside a list that are not lost, an error instead of a cookie that browsers drop, and none for
a cookie that nobody expected. ``tests/test_fernet.py`` goes through them one by one.
"""

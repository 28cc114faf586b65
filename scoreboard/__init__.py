"""Every system of the book, trained and measured with several seeds: ``make scoreboard``.

One module a chapter. Each has a ``TITLE`` for its table and ``run(seed)``, which trains the
chapter's systems and returns {"row: column": score}, all from that seed.
"""

"""What is measured with several seeds (scores) and against other libraries (speed).

``scores/<topic>.py`` has a ``TITLE``, the names of its ``SYSTEMS`` from the simplest to the best,
and ``run(seed) -> {"system: measure": score}``, which draws everything from that seed and trains
all systems. It may have ``shipped()``, which measures once, in the same form, what the weights in
mmlib reach. ``speed/<topic>.py`` has a ``TITLE``, ``ROUNDS`` and ``run(rounds) -> Table``.

``python -m experiments scores`` and ``python -m experiments speed`` run them and write
``results/<kind>/<topic>.json``, which the book shows. A score is not measured again because some
code has changed; a changed list of systems throws the stored scores away.
"""

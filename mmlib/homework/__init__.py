"""Homework: one source of checks, run by the notebook's cell and by the grader.

exercise      what an exercise is, its verdict with hints that teach, and the notebook's ``check``
chapters      one module a chapter: its exercises
grade         ``python -m mmlib.homework.grade FOLDER``: finds submissions, writes the report
sandbox       starts a process for each submission, watches it, ends it, carries its answers away
worker        that process, and the one that judges its answers
cells         a notebook or a Python file, read and run as a notebook would
confinement   the limits under which both run; ``probe`` is the submission that tries them out
wire          numbers, lists and plain arrays as JSON: all that crosses between processes

Only NumPy and psutil are needed here, and IPython where cells use its syntax, so that grading
installs in seconds. Randomness therefore is a ``numpy.random.Generator``.
"""

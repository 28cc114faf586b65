"""Homework: one source of checks, run by the notebook cell and by the grader.

exercises     what an exercise is; which chapters set homework; the verdict on a list of answers
comparing     the judge that most exercises use: compare with the truth, name the mistake
classifying   the judge of open exercises whose answers are many classes
pitch, word_groups, likeliest
              the judges of one open exercise each, with what they are tried on
chapters      one module a chapter: its exercises
checks        ``check("spectrogram", frame_count)`` in a notebook
submissions   a notebook or a Python file as a list of cells
wire          numbers, lists and plain arrays as JSON: all that crosses between processes
confinement   the limits under which a student's code runs
worker        the student's process
sandbox       starts it, watches it, ends it
report        a folder's marks as JSON and as a table
grade         ``python -m mmlib.homework.grade FOLDER``

Only numpy and psutil are needed here, so that grading installs in seconds. Randomness therefore
is a ``numpy.random.Generator``.
"""

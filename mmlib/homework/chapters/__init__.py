"""One module a chapter, named like the chapter's module; each holds a tuple ``EXERCISES``."""

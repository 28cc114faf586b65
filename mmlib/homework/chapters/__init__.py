"""One module a chapter: its exercises."""

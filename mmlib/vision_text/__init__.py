"""Chapters of the part "Vision and text", one module each."""

"""Chapters of the part "Vision and audio", one module each."""

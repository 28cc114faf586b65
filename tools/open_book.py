"""Say where the built book is, and open it where there is a screen: python tools/open_book.py"""

import os
import sys
import webbrowser
from pathlib import Path

BOOK = Path(__file__).resolve().parent.parent / "_build" / "html" / "index.html"


def has_screen() -> bool:
    """Return whether a browser window could be seen."""
    if os.environ.get("CI"):
        return False
    return sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )


if __name__ == "__main__":
    print(f"The book is at {BOOK.as_uri()}")
    if has_screen():
        webbrowser.open(BOOK.as_uri())

"""Faults of a page of the built book that only a real browser sees.

Accessibility by axe, requests to third-party hosts, errors and warnings in the console, a page that
is wider than the screen, equations and widgets that were not drawn, pictures that are described by
their file name.
"""

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

VIEWS = {"wide, light": (1366, 900, "light"), "narrow, dark": (390, 844, "dark")}
PATIENCE = 120_000  # milliseconds for a page to load: a busy machine is no fault of the book
ARGUMENTS = [
    "--no-sandbox",
    "--use-angle=swiftshader",  # shapes are drawn without a graphics card, alike everywhere
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",  # nothing leaves this machine
]
# Wait until equations and widgets are drawn, as a reader would; then look.
MEASURE = r"""async () => {
  await document.fonts.ready;
  if (document.querySelector('script[src*="mathjax"]')) await window.MathJax.startup.promise;
  const widget = 'script[type="application/vnd.jupyter.widget-view+json"]';
  const views = document.querySelectorAll(widget).length;
  const drawn = () => document.querySelectorAll('.widget-subarea').length;
  for (let i = 0; i < 50 && drawn() < views; i++) await new Promise(r => setTimeout(r, 100));
  await new Promise(r => requestAnimationFrame(() => setTimeout(r, 50)));
  const root = document.documentElement, faults = [];
  const equations = [...document.querySelectorAll('.math')];
  const raw = equations.find(e => !e.querySelector('mjx-container'));
  const bad = document.querySelector('mjx-merror, [data-mjx-error]');
  const named = [...document.images].find(e => /^\S+\.(png|jpe?g|gif|svg|webp)$/i.test(e.alt));
  if (root.scrollWidth > root.clientWidth)
    faults.push(`is ${root.scrollWidth} px wide on a screen of ${root.clientWidth} px`);
  if (raw) faults.push(`has an equation that was not drawn: ${raw.textContent.slice(0, 60)}`);
  if (bad) faults.push(`has a faulty equation: ${bad.textContent.slice(0, 60)}`);
  if (named) faults.push(`has a picture that is described by a file name: ${named.alt}`);
  if (drawn() < views) faults.push(`has ${views} widgets, of which ${drawn()} were drawn`);
  return faults;
}"""


def find_chromium() -> str | None:
    """Return the path of an installed Chromium or Chrome, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing about it."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve ``folder`` on this machine only; gives the address."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start Chromium without a window."""
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)


def watch(page: Page, base: str, faults: list[str]) -> None:
    """Note every third-party request, failed request, console message and page error."""

    def judge(request) -> None:
        if not request.url.startswith((base, "data:", "blob:")):
            faults.append(f"asks a third-party host: {request.url}")

    def hear(message) -> None:
        if message.type in ("error", "warning"):
            faults.append(f"console {message.type}: {message.text[:200]}")

    def answer(response) -> None:
        if response.status >= 400:
            faults.append(f"gets {response.status} for {response.url.removeprefix(base)}")

    page.on("request", judge)
    page.on("console", hear)
    page.on("pageerror", lambda error: faults.append(f"page error: {str(error)[:200]}"))
    page.on("response", answer)


def page_faults(browser: Browser, base: str, name: str, view: str) -> list[str]:
    """Open one page in one of the ``VIEWS`` and return its faults."""
    width, height, scheme = VIEWS[view]
    page = browser.new_page(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    page.set_default_timeout(PATIENCE)
    faults: list[str] = []
    watch(page, base, faults)
    page.goto(f"{base}{name}.html", wait_until="load")
    faults += page.evaluate(MEASURE)
    found = Axe().run(page, options={"resultTypes": ["violations"], "preload": False})
    for rule in found.response["violations"]:
        where = " | ".join(str(node["target"][0]) for node in rule["nodes"][:3])
        faults.append(f"axe {rule['id']}: {rule['help']}: {where}")
    page.close()
    return list(dict.fromkeys(faults))

"""Faults of the built book that only a real browser sees.

Each page is opened wide and narrow, in light and dark: accessibility by axe, requests to foreign
hosts, errors and warnings in the console, a page wider than the screen, equations and widgets that
were not drawn. ``python -m tools.site_browser _build/html`` prints what it finds.
"""

import asyncio
import functools
import http.server
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import axe_playwright_python
from playwright.async_api import BrowserContext, Page, async_playwright

SIZES = {"wide": (1366, 900), "phone": (390, 844)}
SCHEMES = ("light", "dark")
PATIENCE = 120_000  # milliseconds for a page to load: a busy machine is no fault of the book
AT_ONCE = 3  # pages open at the same time; two cores are busy with three
ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",  # nothing leaves this machine
]
AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")
AXE_ADDRESS = "__axe__.js"  # served beside the book, so that the browser keeps it

# Widgets that a page announces, and those that were drawn.
COUNT_WIDGETS = """
  const kind = 'script[type="application/vnd.jupyter.widget-view+json"]';
  const views = document.querySelectorAll(kind).length;
  const drawn = () => document.querySelectorAll('.widget-subarea').length;
"""
# Wait until equations and widgets are drawn, as a reader would.
SETTLE = (
    f"""async () => {{{COUNT_WIDGETS}"""
    + """
  await document.fonts.ready;
  if (document.querySelector('script[src*="mathjax"]')) await window.MathJax.startup.promise;
  for (let i = 0; i < 50 && drawn() < views; i++) await new Promise(r => setTimeout(r, 100));
  await new Promise(r => requestAnimationFrame(() => setTimeout(r, 50)));
}"""
)
MEASURE = (
    f"""() => {{{COUNT_WIDGETS}"""
    + """
  const root = document.documentElement, faults = [];
  const equations = [...document.querySelectorAll('.math')];
  const raw = equations.find(e => !e.querySelector('mjx-container'));
  const bad = document.querySelector('mjx-merror, [data-mjx-error]');
  if (root.scrollWidth > root.clientWidth)
    faults.push(`is ${root.scrollWidth} px wide on a screen of ${root.clientWidth} px`);
  if (raw) faults.push(`has an equation that was not drawn: ${raw.textContent.slice(0, 60)}`);
  if (bad) faults.push(`has a faulty equation: ${bad.textContent.slice(0, 60)}`);
  if (drawn() < views) faults.push(`has ${views} widgets, of which ${drawn()} were drawn`);
  return faults;
}"""
)
# Colour contrast is by far the slowest rule, and code is thousands of coloured words. Those of one
# block that look the same have the same contrast: one of them is measured, clipped or not.
MARK_TWINS = """() => {
  const traits = ['color', 'backgroundColor', 'backgroundImage', 'opacity', 'fontSize',
    'fontWeight', 'textShadow', 'webkitTextStroke', 'filter', 'mixBlendMode', 'position'];
  for (const twin of document.querySelectorAll('[data-twin]')) twin.removeAttribute('data-twin');
  for (const block of document.querySelectorAll('pre')) {
    const seen = new Map(), edge = block.getBoundingClientRect().right, key = new Map();
    for (const word of block.querySelectorAll('span')) {
      const style = getComputedStyle(word);
      const look = [key.get(word.parentElement), ...traits.map(trait => style[trait])].join();
      key.set(word, look);
      const seenAs = look + (word.getBoundingClientRect().right > edge) + !word.childElementCount;
      if (seen.has(seenAs)) word.setAttribute('data-twin', '');
      seen.set(seenAs, word);
    }
  }
  axe.configure({rules: [{id: 'color-contrast', selector: '*:not([data-twin])'}]});
}"""
RUN_AXE = """async () => {
  const found = await axe.run(document, {preload: false, resultTypes: ['violations']});
  const where = rule => rule.nodes.slice(0, 3).map(node => node.target.join(' ')).join(' | ');
  return found.violations.map(rule => `axe ${rule.id}: ${rule.help}: ${where(rule)}`);
}"""


def find_chromium() -> str | None:
    """Return the path of an installed Chromium or Chrome, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves the book and axe, and says nothing about it."""

    def translate_path(self, path: str) -> str:
        """Return the file behind an address."""
        return str(AXE) if path == f"/{AXE_ADDRESS}" else super().translate_path(path)

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


def listen(page: Page, base: str, faults: list[str]) -> None:
    """Note every foreign request, failed request, console message and page error."""

    def judge(request) -> None:
        if not request.url.startswith((base, "data:", "blob:")):
            faults.append(f"asks a foreign host: {request.url}")

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


async def look(context: BrowserContext, base: str, name: str) -> list[str]:
    """Open one page and return its faults in light and in dark."""
    page, faults = await context.new_page(), []
    listen(page, base, faults)
    await page.goto(base + name, wait_until="load")
    await page.evaluate(SETTLE)
    faults += await page.evaluate(MEASURE)
    await page.add_script_tag(url=f"{base}{AXE_ADDRESS}")
    for scheme in SCHEMES:
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        await page.evaluate(SETTLE)
        await page.evaluate(MARK_TWINS)
        faults += [f"({scheme}) {fault}" for fault in await page.evaluate(RUN_AXE)]
    await page.close()
    return list(dict.fromkeys(faults))


async def look_at_all(folder: Path, names: list[str]) -> list[str]:
    """Open every page at every size, a few at a time, in one browser."""
    limit = asyncio.Semaphore(AT_ONCE)
    with serve(folder) as base:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=find_chromium(), args=ARGUMENTS
            )

            async def look_in_turn(context: BrowserContext, size: str, name: str) -> list[str]:
                async with limit:
                    return [f"{name} ({size}) {f}" for f in await look(context, base, name)]

            tasks = []
            for size, (width, height) in SIZES.items():
                context = await browser.new_context(
                    viewport={"width": width, "height": height}, color_scheme=SCHEMES[0]
                )
                context.set_default_timeout(PATIENCE)
                tasks += [look_in_turn(context, size, name) for name in names]
            found = await asyncio.gather(*tasks)
            await browser.close()
    return [fault for faults in found for fault in faults]


def browser_faults(folder: Path) -> list[str]:
    """Return the faults of every page in ``folder`` but redirects.

    Raises:
        RuntimeError: no browser is installed.
    """
    if find_chromium() is None:
        raise RuntimeError("no Chromium is installed: install the package chromium, or Chrome")
    names = [
        path.relative_to(folder).as_posix()
        for path in sorted(folder.rglob("*.html"))
        if "_static" not in path.parts and 'http-equiv="Refresh"' not in path.read_text("utf-8")
    ]
    return asyncio.run(look_at_all(folder, names))


if __name__ == "__main__":
    FAULTS = browser_faults(Path(sys.argv[1]))
    print("\n".join(FAULTS) or "no faults")
    sys.exit(bool(FAULTS))

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
AT_ONCE = 4  # pages open at the same time; two cores are busy with four
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
# Colour contrast is by far the slowest rule, and a chapter is thousands of words. Those that look
# alike on ground that looks alike have the same contrast: of each look, axe measures the first, the
# middle and the last. Only words that lie plainly where they were written can be twins, not those
# that something may lie over or under. (Of a single letter axe never says that it is too pale.)
PREPARE_AXE = """() => {
  const rules = [{id: 'color-contrast', selector: '*:not([data-twin])'}];
  axe.configure({noHtml: true, rules});
  const help = new Map(axe.getRules().map(rule => [rule.ruleId, rule.help]));
  axe.addReporter('faults', (results, options, done) => {
    const judged = new Set(), faults = [];
    for (const {id, passes, violations} of results) {
      const where = violations.slice(0, 3).map(found => found.node.selector.join(' ')).join(' | ');
      if (violations.length) faults.push(`axe ${id}: ${help.get(id)}: ${where}`);
      if (id === 'color-contrast')
        for (const found of [...passes, ...violations]) judged.add(found.node.element);
    }
    done({faults, judged});
  });
}"""
MARK_TWINS = """() => {
  const traits = ['color', 'backgroundColor', 'backgroundImage', 'opacity', 'fontSize',
    'fontWeight', 'textShadow', 'webkitTextStroke', 'filter', 'mixBlendMode', 'visibility'];
  const sides = ['top', 'right', 'bottom', 'left'];
  const margins = ['marginTop', 'marginRight', 'marginBottom', 'marginLeft'];
  const moved = style => !['static', 'relative'].includes(style.position)
    || style.position === 'relative' && sides.some(side => parseFloat(style[side]))
    || style.transform !== 'none' || margins.some(margin => parseFloat(style[margin]) < 0);
  const holds = (outer, inner) => inner.left >= outer.left - 1 && inner.right <= outer.right + 1
    && inner.top >= outer.top - 1 && inner.bottom <= outer.bottom + 1;
  const reach = (scroller, {left, right, top, bottom}) =>
    ({left, top, bottom, right: left + Math.max(right - left, scroller.scrollWidth + 2)});
  const meet = (one, other) => one.left < other.right && other.left < one.right
    && one.top < other.bottom && other.top < one.bottom;
  const says = element => [...element.childNodes].filter(
    child => child.nodeType === Node.TEXT_NODE).map(child => child.data).join('').trim().length;
  const places = new Map(), numbers = new Map(), words = [], loose = [];
  for (const element of document.querySelectorAll('body, body *:not(mjx-container *)')) {
    const letters = says(element);
    element.toggleAttribute('data-twin', letters === 1);
    const style = getComputedStyle(element), box = element.getBoundingClientRect();
    const around = places.get(element.parentElement) ?? {room: box, look: '', plain: true};
    const free = moved(style);
    if (free && box.width * box.height > 4) loose.push(box);
    const plain = around.plain && !free && holds(around.room, box);
    const full = [around.look, ...traits.map(trait => style[trait])].join();
    if (!numbers.has(full)) numbers.set(full, numbers.size);
    const look = numbers.get(full);  // it stands for all that is around, too
    const scrolls = element.scrollWidth > element.clientWidth && style.overflowX === 'auto';
    const pane = scrolls ? box : around.pane;
    places.set(element, {room: scrolls ? reach(element, box) : box, look, plain, pane});
    const cut = pane !== undefined && !holds(pane, box);
    if (plain && letters > 1) words.push({element, box, look, cut});
  }
  window.looks = new Map();
  for (const {element, box, look, cut} of words)
    if (!loose.some(other => meet(box, other))) {
      const alike = window.looks.get(`${look} ${cut}`) ?? Object.assign([], {cut});
      window.looks.set(`${look} ${cut}`, alike);
      alike.push(element);
    }
  for (const alike of window.looks.values()) {
    const last = alike.length - 1, kept = new Set([0, last >> 1, last]);
    alike.forEach((element, i) => { if (!kept.has(i)) element.setAttribute('data-twin', ''); });
  }
}"""
# Where axe could not judge any of the measured words of a look, it measures all of them; but not of
# those that one must scroll to, for these it judges never.
RUN_AXE = """async () => {
  const judge = options => axe.run(document, {preload: false, reporter: 'faults', ...options});
  const {faults, judged} = await judge({});
  const open = [...window.looks.values()].filter(
    alike => !alike.cut && !alike.some(word => judged.has(word)));
  const twins = open.flat().filter(word => word.hasAttribute('data-twin'));
  if (!twins.length) return faults;
  for (const word of twins) word.removeAttribute('data-twin');
  return [...faults, ...(await judge({runOnly: ['color-contrast']})).faults];
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
    await page.evaluate(PREPARE_AXE)
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

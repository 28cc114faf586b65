"""Shapes turn in a real browser, by keyboard and by mouse; without WebGL the picture stays."""

from pathlib import Path

import numpy as np
import pytest

from mmlib import viewer
from tools import site_browser

STATIC = Path(__file__).resolve().parents[2] / "book" / "_static"
PIXELS = "c => c.toDataURL()"
BLANK = """c => {
  const blank = document.createElement('canvas');
  [blank.width, blank.height] = [c.width, c.height];
  return blank.toDataURL();
}"""
NO_WEBGL = "OffscreenCanvas.prototype.getContext = () => null"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Serve a page with a mesh, points and voxels, as the book does."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "_static").symlink_to(STATIC)
    filled = np.zeros((6, 6, 6), dtype=bool)
    filled[1:5, 2:4, 1:3] = True
    vertices, faces = viewer.voxel_mesh(filled)
    points = np.random.default_rng(0).normal(size=(300, 3)) * [1, 0.4, 0.6]
    views = viewer.beside(
        viewer.show_mesh(vertices, faces, alt="A brick as a mesh"),
        viewer.show_points(points, alt="A cloud of points"),
        viewer.show_voxels(filled, alt="A brick of voxels"),
    )
    (folder / "index.html").write_text(
        '<!doctype html><html lang="en"><title>Shapes</title><link rel="icon" href="data:,">'
        '<link rel="stylesheet" href="_static/course.css"><main class="bd-article">'
        f'<h1>Shapes</h1>{views.data}</main><script src="_static/course.js"></script></html>'
    )
    with site_browser.serve(folder) as base:
        yield base


@pytest.fixture
def page(address, browser):
    faults: list[str] = []
    page = browser.new_page(viewport={"width": 1000, "height": 800})
    page.set_default_timeout(site_browser.PATIENCE)
    site_browser.watch(page, address, faults)
    yield page
    page.close()
    assert not faults


@pytest.mark.parametrize("kind", [0, 1, 2], ids=["mesh", "points", "voxels"])
def test_keys_turn_zoom_and_return(page, address, kind):
    page.goto(address)
    canvas = page.locator("figure.shape canvas").nth(kind)
    canvas.wait_for()
    canvas.focus()
    page.wait_for_timeout(200)
    first = canvas.evaluate(PIXELS)
    assert first != canvas.evaluate(BLANK)
    for key in ("ArrowLeft", "ArrowUp", "+"):
        before = canvas.evaluate(PIXELS)
        canvas.press(key)
        assert canvas.evaluate(PIXELS) != before
    canvas.press("0")
    assert canvas.evaluate(PIXELS) == first


def test_a_drag_turns_only_its_own_shape(page, address):
    page.goto(address)
    canvases = page.locator("figure.shape canvas")
    canvases.nth(2).wait_for()
    page.wait_for_timeout(200)
    first, other = (canvases.nth(kind).evaluate(PIXELS) for kind in (0, 1))
    box = canvases.nth(0).bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + 160, box["y"] + 80, steps=4)
    page.mouse.up()
    assert canvases.nth(0).evaluate(PIXELS) != first
    assert canvases.nth(1).evaluate(PIXELS) == other


def test_the_canvas_says_what_the_picture_said(page, address):
    page.goto(address)
    canvas = page.locator("figure.shape canvas").first
    canvas.wait_for()
    assert canvas.get_attribute("aria-label").startswith("A brick as a mesh")
    assert page.locator("figure.shape img").count() == 0
    assert page.locator(".shape-hint").first.is_visible()


def test_without_webgl_the_picture_stays(page, address):
    page.add_init_script(NO_WEBGL)
    page.goto(address)
    page.wait_for_timeout(500)
    assert page.locator("figure.shape img").count() == 3
    assert page.locator(".shape-hint").first.is_hidden()

"""The book's own directives and roles: what they render, and that a slip breaks the build."""

import json
import re
import subprocess
import sys
from pathlib import Path

import chapter
import claims
import course_map
import pytest
import results_table
import site_pages
import yaml
from docutils import nodes

from tools import contents

ROOT = Path(__file__).resolve().parents[2]
EXTENSIONS = ROOT / "book" / "_ext"

CLAIM = {"value": "7 %", "what": "a number", "source": "Doe2020", "seen": "here", "status": "paper"}
RESULT = {
    "title": "A race",
    "command": "python -m experiments speed race",
    "commit": "abc1234",
    "machine": "two cores",
    "date": "2026-11-20",
    "columns": [{"key": "who", "label": "who"}, {"key": "speed", "label": "words/s", "digits": 1}],
    "rows": [{"who": "ours", "speed": 1234.56}, {"who": "theirs", "speed": None}],
}
CONF = f"""
import sys
sys.path.insert(0, {str(EXTENSIONS)!r})
extensions = ["myst_parser", "sphinxcontrib.bibtex"]
extensions += ["claims", "results_table", "chapter", "course_map"]
bibtex_bibfiles = ["refs.bib"]
exclude_patterns = ["out"]
html_theme = "sphinx_book_theme"
html_theme_options = {{
    "repository_url": "https://github.com/a/b",
    "repository_branch": "main",
    "launch_buttons": {{"colab_url": "https://colab.research.google.com"}},
}}
"""


@pytest.fixture
def build(tmp_path):
    """Return a function that builds one page as a book of its own: (exit status, page, stderr)."""
    (tmp_path / "book").mkdir()
    (tmp_path / "experiments" / "results" / "speed").mkdir(parents=True)
    (tmp_path / "conf.py").write_text(CONF)
    (tmp_path / "refs.bib").write_text("@misc{Doe2020, author={Doe, Jane}, title={T}, year={2020}}")
    (tmp_path / "book" / "claims.yml").write_text(yaml.safe_dump({"seven": CLAIM}))
    (tmp_path / "book" / "map.yml").write_text((ROOT / "book" / "map.yml").read_text())
    (tmp_path / "experiments" / "results" / "speed" / "race.json").write_text(json.dumps(RESULT))

    def run(text: str) -> tuple[int, str, str]:
        (tmp_path / "index.md").write_text(f"# Page\n\n{text}\n\n```{{bibliography}}\n:all:\n```\n")
        command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", str(tmp_path)]
        done = subprocess.run([*command, str(tmp_path / "out")], capture_output=True, text=True)
        page = tmp_path / "out" / "index.html"
        return done.returncode, page.read_text() if page.exists() else "", done.stderr

    return run


def test_pages_render_from_the_files(build):
    code, page, said = build(
        "{claim}`seven`\n\n```{results-table} speed/race\n:picture: words/s\n```\n\n"
        "```{claims-table}\n```\n\n"
        "```{course-map}\n```\n\n```{part-chapters} vision_audio\n```"
    )
    assert code == 0, said
    text = re.sub(r"<[^>]+>", "", page)
    assert "7\u00a0% (Doe" in text  # a line never ends between number and %
    assert "read in the paper itself" in text
    assert "1\u202f234.6" in text
    assert len(re.findall(r'class="(?:head )?number"', page)) == 3  # heading, number, dash
    assert (
        "Measured with python -m experiments speed race on two cores, 2026-11-20, commit abc1234"
        in text
    )
    assert "Sound and its spectrum" in text


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{claim}`eight`", "unknown claim 'eight'"),
        ("```{results-table} scores/lost\n```", "results/scores/lost.json is missing: run `python"),
        ("```{results-table} speed/race\n:picture: size\n```", "no column 'size' to draw"),
        ("```{chapter-card}\n:needs: x\n```", "run_times.json does not know index.md"),
        ("```{chapter-card}\n```", "no :needs: line"),
        ("```{part-chapters} vision_5d\n```", "no part 'vision_5d'"),
    ],
)
def test_a_slip_breaks_the_build(build, text, fault):
    code, _, said = build(text)
    assert code != 0
    assert fault in said


def test_every_claim_is_sound_and_has_its_source():
    found = claims.load_claims(ROOT / "book" / "claims.yml")
    keys = set(re.findall(r"@\w+\{(\w+),", (ROOT / "book" / "references.bib").read_text()))
    assert {claim["source"] for claim in found.values()} <= keys


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"status": "sure"}, "must be one of"),
        ({"value": 7}, "must be a text in quotes"),
        ({"seen": " "}, "must be a text in quotes"),
        ({"page": "3"}, "it needs"),
    ],
)
def test_a_faulty_claim_is_refused(tmp_path, change, fault):
    path = tmp_path / "claims.yml"
    path.write_text(yaml.safe_dump({"seven": {**CLAIM, **change}}))
    with pytest.raises(ValueError, match=fault):
        claims.load_claims(path)


def test_a_claim_that_is_written_twice_is_refused(tmp_path):
    path = tmp_path / "claims.yml"
    path.write_text(2 * yaml.safe_dump({"seven": CLAIM}))
    with pytest.raises(ValueError, match="seven is written twice"):
        claims.load_claims(path)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"rows": []}, "has no rows"),
        ({"machine": ""}, "has no machine"),
        ({"rows": [{"who": "ours"}]}, "lacks speed"),
    ],
)
def test_a_faulty_result_is_refused(tmp_path, change, fault):
    path = tmp_path / "race.json"
    path.write_text(json.dumps({**RESULT, **change}))
    with pytest.raises(ValueError, match=fault):
        results_table.load_result(path)


def test_an_interval_stands_below_its_mean():
    rows = [{"who": "ours", "speed": [0.72, 0.01]}, {"who": "theirs", "speed": None}]
    columns = [RESULT["columns"][0], {"key": "speed", "label": "words/s", "digits": 2}]
    result = {**RESULT, "rows": rows, "columns": columns}
    (small,) = results_table.build_table(result).findall(nodes.inline)
    assert small["classes"] == ["spread"]
    assert small.parent.astext() == "0.72 ± 0.01"
    entries = results_table.build_table(result).findall(nodes.entry)
    numbers = [cell.astext() for cell in entries if cell["classes"]]
    assert numbers == ["words/s", "0.72 ± 0.01", "–"]
    picture = results_table.draw(result, "words/s")
    assert "left:71.0%;width:2.0%" in picture
    assert "left:72.0%" in picture
    assert 'aria-label="words/s: ours 0.72"' in picture
    result["rows"][0]["speed"] = [0.01, 0.03]  # an interval below 0 is cut off
    picture = results_table.draw(result, "words/s")
    assert "left:0.0%;width:4.0%" in picture
    assert "from 0 on the left to 1 on" in picture


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "10 seconds"), (41, "50 seconds"), (90, "90 seconds"), (100, "2 minutes")],
)
def test_spoken_time_rounds_up(seconds, words):
    assert chapter.spoken_time(seconds) == words


def test_reading_time_counts_prose_and_code_but_no_outputs():
    def page(*children: nodes.Node) -> nodes.document:
        from docutils.utils import new_document

        document = new_document("page")
        document += children
        return document

    words = nodes.paragraph("", "word " * 5 * chapter.WORDS_PER_MINUTE)
    code = nodes.literal_block("", "line\n" * 3 * chapter.CODE_LINES_PER_MINUTE)
    output = nodes.container("", nodes.paragraph("", "word " * 9999), classes=["cell_output"])
    assert chapter.reading_minutes(page(words)) == 5
    assert chapter.reading_minutes(page(words, code)) == 8
    assert chapter.reading_minutes(page(words, code, output)) == 8
    assert chapter.reading_minutes(page()) == 1


def test_the_map_tells_what_stands():
    parts = contents.parts(contents.read_map(ROOT))
    standing = course_map.standing_chapters({"notebooks/vision_text/01_word2vec", "book/intro"})
    assert standing == {"vision_text/word2vec": "notebooks/vision_text/01_word2vec"}
    told = course_map.describe(parts, standing)
    assert "Word vectors, ready" in told
    assert "SoundNet, planned" in told
    assert course_map.draw_broad(parts, standing).count('<circle class="stands"') == 1
    assert course_map.draw_tall(parts, standing).count('<circle class="planned"') == 24


def test_pages_are_mended():
    page = '<link rel="stylesheet" href="https://x.org/font-awesome.min.css"><img id="_anim_img1">'
    assert site_pages.mend(page) == '<img id="_anim_img1" alt="Frame of the animation">'
    files = ["a.js", "_static/sphinx-thebe.js"]
    assert site_pages.without_thebe(files) == ["a.js"]
    assert site_pages.with_named_toggles(lambda: "<summary></summary>")() == (
        '<summary aria-label="Show or hide the chapters of this part"></summary>'
    )

"""Numbers from papers: written once in ``book/claims.yml``, rendered everywhere from there.

``{claim}`esc50-human``` in a page or a notebook becomes the value, the citation and a mark that
says whether anybody has checked it; ``{claims-table}`` lists all of them.
"""

import re
from pathlib import Path

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

LOGGER = logging.getLogger(__name__)
CLAIMS = "book/claims.yml"
KEYS = {"value", "what", "source", "seen", "status"}
# status → (mark, what the mark means); the order is that of the table's legend
STATUSES = {
    "paper": ("✓", "read in the paper itself"),
    "authors": ("✓", "read in a page that the authors keep"),
    "secondary": ("≈", "read in somebody else's account, not in the paper"),
    "unchecked": ("?", "quoted from memory, not checked yet"),
}


def load_claims(path: Path) -> dict[str, dict[str, str]]:
    """Return the claims in ``path`` by name.

    Raises:
        ValueError: a name stands twice, or an entry has a missing or unknown key, an empty text or
            an unknown status.
    """
    text = path.read_text(encoding="utf-8")
    names = re.findall(r"^([\w-]+):", text, flags=re.M)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:  # YAML would keep the last one without a word
        raise ValueError(f"claim {twice[0]} is written twice: keep one")
    claims = yaml.safe_load(text)
    for name, claim in claims.items():
        if set(claim) != KEYS:
            raise ValueError(f"claim {name} has the keys {sorted(claim)}, it needs {sorted(KEYS)}")
        for key, text in claim.items():
            if not isinstance(text, str) or not text.strip():
                raise ValueError(f"claim {name}: {key} is {text!r}, it must be a text in quotes")
        if claim["status"] not in STATUSES:
            raise ValueError(
                f"claim {name} has status {claim['status']!r}, it must be one of {list(STATUSES)}"
            )
    return claims


def read_claims(env) -> dict[str, dict[str, str]]:
    """Return the claims of the book in ``env``, and rebuild the page when they change."""
    path = Path(env.srcdir, CLAIMS)
    env.note_dependency(str(path))
    return load_claims(path)


def cite(env, key: str, line: int, inliner) -> list[nodes.Node]:
    """Return the nodes of a textual citation, ``Piczak [2015]``."""
    role = env.get_domain("cite").role("t")
    return role("cite:t", f":cite:t:`{key}`", key, line, inliner)[0]


def status_mark(claim: dict[str, str]) -> nodes.Node:
    """Return the small mark, with its meaning for ears as well as eyes."""
    mark, meaning = STATUSES[claim["status"]]
    html = (
        f'<sup class="claim-mark claim-{claim["status"]}" title="{meaning}">'
        f'<span aria-hidden="true">{mark}</span><span class="for-ears"> ({meaning})</span></sup>'
    )
    return nodes.raw("", html, format="html")


class ClaimRole(SphinxRole):
    """``{claim}`name```: value, citation, mark."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Render one claim; an unknown name is a warning, which the build makes an error."""
        claims = read_claims(self.env)
        if self.text not in claims:
            LOGGER.warning(
                f"unknown claim {self.text!r}: {CLAIMS} knows {', '.join(claims)}",
                location=self.get_location(),
            )
            return [nodes.problematic(self.rawtext, self.rawtext)], []
        claim = claims[self.text]
        unbroken = claim["value"].replace(" %", "\N{NO-BREAK SPACE}%")
        value = nodes.inline("", unbroken, classes=["claim-value"])
        source = cite(self.env, claim["source"], self.lineno, self.inliner)
        return [
            value,
            nodes.Text(" ("),
            *source,
            nodes.Text(")"),
            status_mark(claim),
        ], []


class ClaimsTable(SphinxDirective):
    """``claims-table``: every claim, where it was seen, and whether it was checked."""

    def run(self) -> list[nodes.Node]:
        """Render a definition list: readable on a phone, where a table of five columns is not."""
        listing = nodes.definition_list(classes=["claims"])
        for claim in read_claims(self.env).values():
            term = nodes.term("", claim["value"])
            term += status_mark(claim)
            body = nodes.paragraph("", claim["what"] + ". ")
            body += cite(self.env, claim["source"], self.lineno, self.state.inliner)
            body += nodes.Text(f". Seen in: {claim['seen']} ({STATUSES[claim['status']][1]}).")
            listing += nodes.definition_list_item("", term, nodes.definition("", body))
        return [listing]


def setup(app: Sphinx) -> dict:
    """Register with Sphinx."""
    app.add_role("claim", ClaimRole())
    app.add_directive("claims-table", ClaimsTable)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

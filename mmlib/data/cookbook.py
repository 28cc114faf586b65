"""Recipes that people wrote down, some with a photograph: the public-domain recipes.

A recipe is a Markdown file: a title above, the list of ingredients under ``## Ingredients``, the
steps under ``## Directions``, photographs as ``![…](/pix/name.webp)``. The address, licence and
citation stand in ``catalogue``.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from mmlib.data.download import locate
from mmlib.files import DataError, list_files, read_text

_PICTURE = re.compile(r"!\[[^\]]*\]\(/(pix/[^)\s]+)")
_ITEM = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+(.*\S)", re.MULTILINE)


@dataclass(frozen=True)
class WrittenRecipe:
    """One recipe as it was typed, and a photograph of the dish if there is one."""

    title: str
    ingredients: tuple[str, ...]  # a line each, with amounts
    instructions: tuple[str, ...]  # a step each
    picture: Path | None


def public_domain_recipes(folder: Path | None = None) -> list[WrittenRecipe]:
    """Return the recipes in ``content/``, by file name; photographs lie in ``static/pix/``.

    Of several photographs it is the first that is there. A file without a list of ingredients or
    without steps, such as the site's own front page, is left aside.

    Args:
        folder: where the data set lies; ``None`` asks ``download.locate``.

    Raises:
        DataSetError: the data set is neither here nor to be had.
        DataError: there is no recipe, or a file is no UTF-8 text.
    """
    folder = locate("public-domain-recipes") if folder is None else Path(folder)
    files = list_files(folder / "content", ".md")
    found = [_recipe(read_text(path), path, folder) for path in files]
    recipes = [one for one in found if one.ingredients and one.instructions]
    if not recipes:
        raise DataError(f"{folder / 'content'} has no recipe: remove {folder} and fetch it again")
    return recipes


def _recipe(text: str, path: Path, folder: Path) -> WrittenRecipe:
    title = re.search(r"^title:\s*(.*\S)", text, re.MULTILINE)
    pictures = (folder / "static" / name for name in _PICTURE.findall(text))
    return WrittenRecipe(
        title[1].strip("\"'") if title else path.stem,
        _items(text, "Ingredients"),
        _items(text, "Directions"),
        next((picture for picture in pictures if picture.is_file()), None),
    )


def _items(text: str, heading: str) -> tuple[str, ...]:
    """Return the items of the lists under ``## heading``; a line that goes on is joined to its."""
    section = re.search(rf"^## {heading}\s*$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if section is None:
        return ()
    joined = re.sub(r"\n[ \t]+(?![-*+\s]|\d+[.)])", " ", section[1])
    return tuple(_ITEM.findall(joined))

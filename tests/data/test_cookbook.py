"""Recipes in Markdown, as the public-domain recipes have them."""

import pytest

from mmlib.data.cookbook import public_domain_recipes
from mmlib.files import DataError

SOUP = """---
title: "Apple Soup"
---

![Soup](/pix/lost.webp)
![Soup](/pix/soup.webp)

- ⏲️ Prep time: 30 min

## Ingredients

### Broth

- 900 g (4-5) apples
- Spices:
    - 1 tbsp salt

## Directions

1. Peel the apples and
   cut them.
2) Cook.

## Notes

- Serve hot.
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "content").mkdir()
    (tmp_path / "static" / "pix").mkdir(parents=True)
    (tmp_path / "static" / "pix" / "soup.webp").write_bytes(b"a picture")
    (tmp_path / "content" / "apple-soup.md").write_text(SOUP)
    (tmp_path / "content" / "_index.md").write_text("# Welcome\n\n- a list\n")
    return tmp_path


def test_lists_under_the_two_headings_are_read(folder):
    (soup,) = public_domain_recipes(folder)
    assert soup.title == "Apple Soup"
    assert soup.ingredients == ("900 g (4-5) apples", "Spices:", "1 tbsp salt")
    assert soup.instructions == ("Peel the apples and cut them.", "Cook.")


def test_the_picture_is_the_first_that_is_there(folder):
    (soup,) = public_domain_recipes(folder)
    assert soup.picture == folder / "static" / "pix" / "soup.webp"
    soup.picture.unlink()
    assert public_domain_recipes(folder)[0].picture is None


def test_a_recipe_without_a_title_is_called_as_its_file(folder):
    path = folder / "content" / "apple-soup.md"
    path.write_text(SOUP.replace('title: "Apple Soup"', ""))
    assert public_domain_recipes(folder)[0].title == "apple-soup"


def test_a_folder_without_recipes_is_refused(folder):
    (folder / "content" / "apple-soup.md").unlink()
    with pytest.raises(DataError, match="has no recipe: remove"):
        public_domain_recipes(folder)

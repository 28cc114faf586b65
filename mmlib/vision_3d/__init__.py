"""Into space: one module a chapter, in the order of book/map.yml."""

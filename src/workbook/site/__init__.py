"""What the Sphinx extension is made of: roles for numbers, charts, tables, and the pages' own look."""

"""Numbers that a change of names or structure must not change, held in files of reference/.

`pytest tests/invariant --update-reference` writes them anew.
"""

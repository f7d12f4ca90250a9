"""Texts that a page would be changed by, if it let them."""

HOSTILE = [
    "<script>alert(1)</script>",
    "a|b",
    "`rm -rf`",
    "![x](http://evil.example/x.png)",
    "[click](javascript:alert(1))",
    "one\n\n# two\n---\n",
    "$\\frac{1}{2}$",
    "```\nend",
    "{{ front }}{% raw %}",
    "https://evil.example",
    "see www.evil.example, @owner, :skull:",
    "\u202etxt.exe",
    "*bold* _it_ ~~no~~ &lt; <!-- -->",
    "-",
    "\\",
    "x" * 1000,
]

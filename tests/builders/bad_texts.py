"""Texts from outside that no door may take, with what each must say of them."""

MEGABYTE = "x" * 1_000_000

BAD_NAMES = {
    "long": (MEGABYTE, "has 1,000,000 characters; allowed are 1 to 256"),
    "one too many": ("x" * 257, "has 257 characters; allowed are 1 to 256"),
    "nul": ("a\x00b", "U+0000 (control character) as character 2"),
    "newline": ("a\nb", "U+000A (control character) as character 2"),
    "escape": ("\x1b[31m", "U+001B (control character) as character 1"),
    "next line": ("a\x85", "U+0085 (control character) as character 2"),
    "override": ("a\u202eb", "U+202E (RIGHT-TO-LEFT OVERRIDE) as character 2"),
    "isolate": ("\u2067a", "U+2067 (RIGHT-TO-LEFT ISOLATE) as character 1"),
    "line separator": ("a\u2028", "U+2028 (LINE SEPARATOR) as character 2"),
    "surrogate": ("a\ud800", "U+D800 (half of a surrogate pair) as character 2"),
}
"""By what is wrong: the text, and the words about it."""
BAD_REASONS = {
    **{kind: bad for kind, bad in BAD_NAMES.items() if kind not in {"newline", "one too many"}},
    "long": (MEGABYTE, "has 1,000,000 characters; allowed are 1 to 500"),
    "one too many": ("x" * 501, "has 501 characters; allowed are 1 to 500"),
    "blank": (" \n ", "is blank"),
}
GOOD_REASONS = [
    "late since noon",
    "x" * 500,
    "1. a\n2.\tb",
    "caf\u00e9\u00a0!",
    "\u0645\u06cc\u200c\u062e",
]

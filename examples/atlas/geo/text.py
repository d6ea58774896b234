"""Names as they are searched."""

import unicodedata

# Letters that Unicode does not take apart, as people type them without the key.
_PLAIN = str.maketrans({"ø": "o", "đ": "d", "ð": "d", "ł": "l", "ı": "i", "æ": "ae", "œ": "oe"})


def fold(text: str) -> str:
    """`text` without case and accents: "Łódź" and "LODZ" are one."""
    decomposed = unicodedata.normalize("NFKD", text.strip().casefold())
    plain = "".join(char for char in decomposed if not unicodedata.combining(char))
    return plain.translate(_PLAIN)

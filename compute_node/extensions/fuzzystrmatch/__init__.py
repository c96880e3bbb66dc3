"""fuzzystrmatch: soundex, Levenshtein's distance, metaphone, double metaphone (manual, F.17).

Sounds are those of ASCII letters; other bytes of a text are no letters.
"""

from compute_node.extensions.fuzzystrmatch import distance, double_metaphone, sounds

__all__ = ["distance", "double_metaphone", "sounds"]

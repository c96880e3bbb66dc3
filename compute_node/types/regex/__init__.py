"""Regular expressions (PostgreSQL manual, 9.7.3).

pattern → ``syntax`` (tokens) → ``parse`` (what it matches, and its pieces) → ``automaton`` (nodes for the kernel) →
``matcher`` (where matches and groups are) → ``functions`` (SQL). Matching takes time linear in the text, except with
back references; it pulses, so it never holds up other sessions and ends when it is canceled.
"""

from compute_node.types.regex import functions
from compute_node.types.regex.functions import regex_prefix
from compute_node.types.regex.matcher import Regex, compile_regex

__all__ = ["Regex", "compile_regex", "functions", "regex_prefix"]

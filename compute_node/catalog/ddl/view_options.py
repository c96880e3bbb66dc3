"""WITH (…) of a view: security_barrier, security_invoker."""

from __future__ import annotations

from collections.abc import Sequence

from pglast import ast

from aurora.errors import InvalidParameterValue, NotSupported
from compute_node.catalog.ddl.indexes import option_text

_WORDS = {"true": True, "on": True, "yes": True, "1": True, "false": False, "off": False, "no": False, "0": False}


def view_options(options: Sequence[ast.DefElem] | None) -> list[str]:
    """As reloptions; 22023 for unknown ones and bad values."""
    result = []
    for option in options or ():
        name, text = option.defname, option_text(option)
        if name in ("security_barrier", "security_invoker"):
            if text.lower() not in _WORDS:
                raise InvalidParameterValue(f'invalid value for boolean option "{name}": {text}')
            result.append(f"{name}={text}")
        elif name == "check_option":
            raise NotSupported("WITH CHECK OPTION is not supported")
        else:
            raise InvalidParameterValue(f'unrecognized parameter "{name}"')
    return result

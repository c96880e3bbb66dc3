"""Window functions: their rows of pg_proc (manual, 9.22). How they run is in ``compute_node/exec/window``."""

from __future__ import annotations

from compute_node.types.declare import window

window(
    """
3100 row_number() int8 nullable
3101 rank() int8 nullable
3102 dense_rank() int8 nullable
3103 percent_rank() float8 nullable
3104 cume_dist() float8 nullable
3105 ntile(int4) int4
3106 lag(anyelement) anyelement
3107 lag(anyelement, int4) anyelement
3108 lag(anycompatible, int4, anycompatible) anycompatible
3109 lead(anyelement) anyelement
3110 lead(anyelement, int4) anyelement
3111 lead(anycompatible, int4, anycompatible) anycompatible
3112 first_value(anyelement) anyelement
3113 last_value(anyelement) anyelement
3114 nth_value(anyelement, int4) anyelement
"""
)

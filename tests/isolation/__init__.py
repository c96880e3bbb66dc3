"""Several sessions side by side: scripts of steps, and what PostgreSQL 15 answered to each of them.

``scripts/FAMILY.txt`` (the format is told in ``script.py``) → ``player.py`` plays a script on a server → a transcript,
compared with ``expected/FAMILY.txt``, which ``record.py`` has recorded from PostgreSQL.
"""

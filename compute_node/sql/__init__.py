"""SQL: text → parse tree → typed query → plan.

``parse`` → ``analyze`` → ``planner``; ``expressions``, ``query`` and ``plan`` are what goes from one to the next. Pure:
what they know of the database comes through ``catalog_view``. Next stage: ``compute_node.exec``.
"""

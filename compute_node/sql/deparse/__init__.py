"""Analyzed expressions and queries → SQL text, in PostgreSQL's spelling and layout.

``expressions`` writes an expression with all its parentheses, ``pretty`` with those that it needs; ``layout`` knows
lines and indentation; ``names`` gives range entries and columns the names that they are written by; ``from_clause`` and
``queries`` write what has a FROM clause. The text parses and analyzes to the same query. Source: PostgreSQL's
``ruleutils``.
"""

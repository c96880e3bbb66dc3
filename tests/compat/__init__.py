"""Answers of PostgreSQL 15, recorded statement by statement, against ours."""

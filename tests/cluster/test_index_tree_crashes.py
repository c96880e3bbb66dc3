"""SIGKILL of the writer while GIN, GiST, SP-GiST and BRIN indexes and an exclusion constraint grow: afterwards they
agree with the table, and ``aurora check`` finds nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
import pytest

from aurora.programs.supervisor import Cluster
from tests.cluster.support import kill_while_writing

pytestmark = pytest.mark.cluster

SEED = 20261130
ROWS = 60
CONDITIONS = (
    "tags @> '{3}'",
    "tags <@ '{1,2,3}'",
    "doc @> '{\"k\": 4}'",
    "words @@ 'w5 & !w7'::tsquery",
    "place <@ '(20,20),(60,70)'::box",
    "place << '(9,0)'::point",
    "span && '[250,700)'::int4range",
    "span -|- '[90,100)'::int4range",
    "size BETWEEN 300 AND 700",
    "size = 777",
    "size IS NULL",
    "name LIKE '%e 12%'",
    "name ~ '^name.*[5-7]7 odd'",
    "note % 'note 33'",
)
TABLE = (
    "CREATE TABLE t (id int PRIMARY KEY, tags int[], doc jsonb, words tsvector, place point, span int4range, size int,"
    " name text, note text, EXCLUDE USING gist (span WITH &&))",
    "CREATE INDEX t_tags ON t USING gin (tags)",
    "CREATE INDEX t_doc ON t USING gin (doc jsonb_path_ops)",
    "CREATE INDEX t_words ON t USING gin (words)",
    "CREATE INDEX t_words_tree ON t USING gist (words)",
    "CREATE INDEX t_place ON t USING gist (place)",
    "CREATE INDEX t_place_parts ON t USING spgist (place)",
    "CREATE EXTENSION pg_trgm",
    "CREATE INDEX t_name ON t USING gin (name gin_trgm_ops)",
    "CREATE INDEX t_note ON t USING gist (note gist_trgm_ops)",
    "CREATE INDEX t_size ON t USING brin (size) WITH (pages_per_range = 1, autosummarize = on)",
    "CREATE INDEX t_sizes ON t USING brin (size int4_bloom_ops (n_distinct_per_range = 99)) WITH (pages_per_range = 2)",
)
ROW = (
    "n, ARRAY[n % 7, n % 11, NULL], jsonb_build_object('k', n % 13, 'n', n),"
    " to_tsvector('simple', 'w' || n % 9 || ' w' || n % 17), point(n % 101, n % 89), int4range(n * 10, n * 10 + 10),"
    " nullif(n, 5), 'name ' || n || CASE n % 2 WHEN 1 THEN ' odd' END, 'note ' || n"
)


def test_tree_indexes_agree_with_the_table_after_kills(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        for statement in TABLE:
            connection.execute(statement)

    def write(client: psycopg.Connection[Any], first: int) -> None:
        client.execute(f"INSERT INTO t SELECT {ROW} FROM generate_series({first}, {first + ROWS - 1}) n")
        client.execute(f"UPDATE t SET place = point(1, 1), tags = '{{3}}', size = 777 WHERE id = {first}")
        client.execute(
            f"SELECT brin_desummarize_range('t_sizes', {first // ROWS}), brin_summarize_new_values('t_sizes')"
        )

    kill_while_writing(cluster, SEED, ROWS, write, partial(check, cluster))


def check(cluster: Cluster, acknowledged: list[int]) -> None:
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        present = {row[0] for row in connection.execute("SELECT id FROM t").fetchall()}
        assert {first + offset for first in acknowledged for offset in range(ROWS)} <= present
        for condition in CONDITIONS:
            query = f"SELECT id FROM t WHERE {condition} ORDER BY id"
            found = []
            for by_index in (False, True):
                for setting in ("enable_indexscan", "enable_bitmapscan", "enable_indexonlyscan"):
                    connection.execute(f"SET {setting} = {by_index}")
                connection.execute(f"SET enable_seqscan = {not by_index}")
                found.append(connection.execute(query).fetchall())
            assert found[0] == found[1], condition
            shown = connection.execute(f"EXPLAIN (COSTS OFF) {query}").fetchall()
            assert any("Index" in line for (line,) in shown), (condition, shown)
        distances = connection.execute("SELECT place <-> '(50,50)' FROM t ORDER BY place <-> '(50,50)'").fetchall()
        assert distances == sorted(distances)
        assert len(distances) == len(present)
        with pytest.raises(psycopg.errors.ExclusionViolation):
            connection.execute(f"INSERT INTO t (id, span) VALUES (-1, '[{max(acknowledged) * 10},)')")
        assert not connection.execute("SELECT * FROM aurora_check()").fetchall()

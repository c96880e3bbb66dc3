"""What the catalog keeps as text calls things by their names: when a name changes, the texts follow.

Such texts are the queries of views, defaults (of columns, domains and arguments), generated columns, constraints,
expressions and predicates of indexes, expressions of partition keys, and the SQL-standard bodies of functions.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from aurora.errors import InvariantViolation, NotSupported, SqlError
from compute_node.catalog.ddl.context import (
    CLASS_CONSTRAINT,
    CLASS_DEFAULT,
    CLASS_POLICY,
    CLASS_PROC,
    CLASS_PUBLICATION_REL,
    CLASS_RELATION,
    CLASS_REWRITE,
    CLASS_STATISTIC_EXT,
    CLASS_TYPE,
    DdlContext,
)
from compute_node.catalog.ddl.expressions import index_text
from compute_node.catalog.functions.routines import analyzed_statement, only_reads, split_statements
from compute_node.catalog.routines import ATOMIC, END, RETURN, body_statements, split_texts, sql_function
from compute_node.catalog.rows import Record
from compute_node.hub import HUB
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.analyze import analyze
from compute_node.sql.analyze.rules import around_rule, stored_rule
from compute_node.sql.analyze.stored import analyze_domain_check, analyze_stored
from compute_node.sql.deparse.changes import kept_action, kept_qualification
from compute_node.sql.deparse.expressions import deparse_stored
from compute_node.sql.deparse.queries import kept_condition, kept_query, kept_result
from compute_node.sql.deparse.same import same_query
from compute_node.sql.expressions import Expr
from compute_node.sql.parse import parse
from compute_node.sql.query import Query

LOGGER = logging.getLogger(__name__)

_PART_OF_NAME = re.compile(r"\w+")
Again = Callable[[], str]
"""Writes a text again, of what it meant before."""
Finish = Callable[[Expr, str], str]


class Kept(NamedTuple):
    """A text of one row."""

    row: Record
    column: str
    touched: int
    """what has another descriptor when the text changes"""
    again: Again
    read: Callable[[str], Sequence[Query]] | None = None
    """how its queries are read; None for an expression, whose names have one table to mean something in"""
    queries: Sequence[Query] = ()


@contextmanager
def texts_follow(ctx: DdlContext, names: Iterable[str], *objects: tuple[int, int]) -> Iterator[None]:
    """The body gives ``objects`` (catalog and OID) other names, or what belongs to them: texts that use them call them
    so then. ``names``: a text without any of these words has nothing to follow. 0A000 for a text that cannot."""
    with _rewritten(ctx, _Finder(ctx, names, _WHERE, True).of(objects)):
        yield


@contextmanager
def queries_follow(ctx: DdlContext, desc: RelationDesc) -> Iterator[None]:
    """The body adds a column to a table or drops one: it may come between those that a list of aliases in a query
    stands for, or have the name of one."""
    finder = _Finder(ctx, [desc.name], (CLASS_REWRITE, CLASS_PROC), False)
    with _rewritten(ctx, finder.of([(CLASS_RELATION, desc.oid)])):
        yield


@contextmanager
def _rewritten(ctx: DdlContext, found: Iterable[tuple[str, dict[str, int], Kept]]) -> Iterator[None]:
    kept = list(found)
    yield
    # What the body has dropped is not there any more.
    kept = [(catalog, key, each) for catalog, key, each in kept if ctx.rows.one(catalog, **key) is not None]
    for catalog, key, each in kept:
        _write(ctx, catalog, key, each, each.again())
    # A view's query is read for those that use the view: when all are written.
    for catalog, key, each in kept:
        if each.read is None or _is_same(ctx, catalog, key, each):
            continue
        _write(ctx, catalog, key, each, getattr(each.row, each.column))
        if not _is_same(ctx, catalog, key, each):
            raise NotSupported(
                f"{_described(ctx, each)} cannot follow the change",
                detail="Its text would mean something else or nothing.",
            )


def _write(ctx: DdlContext, catalog: str, key: dict[str, int], kept: Kept, text: str) -> None:
    row = ctx.rows.one(catalog, **key)
    if row is not None and text != getattr(row, kept.column):
        ctx.rows.update(catalog, row, **{kept.column: text})
        ctx.changes.touch(kept.touched)


def _is_same(ctx: DdlContext, catalog: str, key: dict[str, int], kept: Kept) -> bool:
    if kept.read is None:
        return True
    try:
        again = kept.read(getattr(ctx.rows.one(catalog, **key), kept.column))
    except SqlError as error:
        LOGGER.info("a text does not come back: %s", error)
        return False
    # A statement that changes rows stays as it is; it has the columns of the table as it is now.
    pairs = zip(kept.queries, again, strict=True)
    return all(same_query(query, other) for query, other in pairs if only_reads(query))


def _described(ctx: DdlContext, kept: Kept) -> str:
    if kept.column == "ev_action":
        view = ctx.view.relation(kept.touched)
        return "a view" if view is None else f'view "{view.name}"'
    return f'function "{kept.row.proname}"'


def read_view(ctx: DdlContext, text: str) -> Query:
    """A view's query."""
    view = ctx.view.of_stored_text()
    return analyze(parse(text)[0].node, view, [], text, session=ctx.session, allow_params=False)


def _mentioning(name: str) -> str:
    """A pattern that texts match which have the name, however it is quoted."""
    core = max(_PART_OF_NAME.findall(name), key=len, default="")
    return rf"(?<!\w){re.escape(core)}(?!\w)" if core else ""


def checked_text(query: Query, read: Callable[[str], Query], *writers: Callable[[], str]) -> str:
    """A text of the query, from the first of the ``writers`` whose text is the same query when it is read again. 0A000
    where none is."""
    for write in writers:
        try:
            text = write()
            again = read(text)
        except (SqlError, InvariantViolation) as error:
            LOGGER.info("a query is kept in other words: %s", error)
            continue
        if same_query(query, again):
            return text
        LOGGER.info("a query is kept in other words, as these would mean something else: %s", text)
    raise NotSupported(
        "this query cannot be kept",
        detail="Its text, with all names written whole, would mean something else or nothing when it is read again.",
    )


class _Finder:
    """Finds the texts that may have one of some names in them. ``classes``: catalogs whose rows have them. ``strict``:
    0A000 for statements that cannot be written again."""

    def __init__(self, ctx: DdlContext, names: Iterable[str], classes: Container[int], strict: bool) -> None:
        self._ctx = ctx
        self._mentions = re.compile("|".join(map(_mentioning, names))).search
        self._classes = classes
        self._strict = strict

    def of(self, objects: Iterable[tuple[int, int]]) -> Iterator[tuple[str, dict[str, int], Kept]]:
        """Those of the objects and of what depends on them, at whatever distance: catalog and key of the row, the
        text."""
        for class_oid, oid in sorted(self._users(objects)):
            if class_oid not in _WHERE or class_oid not in self._classes:
                continue
            for catalog, name, columns, read in _WHERE[class_oid]:
                key = {name: oid}
                for row in self._ctx.rows.find(catalog, **key):
                    if not columns or any(self._mentions(getattr(row, column) or "") for column in columns):
                        yield from ((catalog, key, kept) for kept in read(self, row))

    def _users(self, objects: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
        found = set(objects)
        waiting = list(found)
        while waiting:
            HUB.pulse()
            class_oid, oid = waiting.pop()
            for record in self._ctx.rows.find("pg_depend", refclassid=class_oid, refobjid=oid):
                user = record.classid, record.objid
                if user not in found:
                    found.add(user)
                    waiting.append(user)
        return found

    # --- the texts of a row -----------------------------------------------------------------------------------------

    def rule(self, row: Record) -> Iterator[Kept]:
        """A view's query, or the condition and the actions of another rule."""
        ctx = self._ctx
        if row.ev_type != "1":
            yield from self._parts_of_rule(row)
            return
        query = read_view(ctx, row.ev_action)
        yield Kept(
            row, "ev_action", row.ev_class, lambda: kept_query(query, ctx.stored_view),
            lambda text: [read_view(ctx, text)], [query],
        )  # fmt: skip

    def _parts_of_rule(self, row: Record) -> Iterator[Kept]:
        ctx = self._ctx
        desc = ctx.view.relation(row.ev_class)
        if desc is None:
            raise InvariantViolation(f"relation {row.ev_class} has gone under its rules")
        rule = next(each for each in desc.rules if each.name == row.rulename)
        found = stored_rule(ctx.view, desc, rule, ctx.session)
        condition = found.qualification

        def around() -> Query:
            now = ctx.view.relation(row.ev_class)
            if now is None:
                raise InvariantViolation(f"relation {row.ev_class} has gone under its rules")
            return around_rule(now)

        def actions() -> str:
            return "".join(f"{kept_action(around(), each, ctx.stored_view)};\n" for each in found.actions).rstrip("\n")

        if condition is not None:
            expr = condition
            yield Kept(row, "ev_qual", row.ev_class, lambda: kept_qualification(around(), expr, ctx.stored_view))
        yield Kept(row, "ev_action", row.ev_class, actions)

    def default(self, row: Record) -> Iterator[Kept]:
        """A column's default, or what it is generated from."""
        desc = self._ctx.view.relation(row.adrelid)
        generated = desc is not None and desc.columns[row.adnum - 1].generated
        clause = "GENERATED" if generated else "DEFAULT"
        yield Kept(row, "adbin", row.adrelid, self._expression(row.adbin, clause, row.adrelid))

    def statistics(self, row: Record) -> Iterator[Kept]:
        """Expressions of a statistics object."""
        if row.stxexprs is not None:
            yield Kept(row, "stxexprs", row.stxrelid, self._list(row.stxexprs, "STATISTICS", row.stxrelid))

    def policy(self, row: Record) -> Iterator[Kept]:
        """USING and WITH CHECK."""
        for column in ("polqual", "polwithcheck"):
            text = getattr(row, column)
            if text is not None:
                yield Kept(row, column, row.polrelid, self._condition(text, row.polrelid))

    def row_filter(self, row: Record) -> Iterator[Kept]:
        """WHERE of a table in a publication."""
        ctx = self._ctx
        relation = row.prrelid
        found = analyze_stored(ctx.view, ctx.view.relation(relation), row.prqual, "PUBLICATION", session=ctx.session)
        yield Kept(row, "prqual", relation, lambda: deparse_stored(found, ctx.stored_view, ctx.view.relation(relation)))

    def _condition(self, text: str, relation: int) -> Again:
        """An expression with sub-selects."""
        ctx = self._ctx
        found = analyze_stored(ctx.view, ctx.view.relation(relation), text, "POLICY", session=ctx.session)

        def again() -> str:
            desc = ctx.view.relation(relation)
            if desc is None:
                raise InvariantViolation(f"relation {relation} has gone under its policies")
            return kept_condition(found, ctx.stored_view, desc)

        return again

    def constraint(self, row: Record) -> Iterator[Kept]:
        """A CHECK of a table or a domain."""
        ctx = self._ctx
        if row.contype != "c":
            return
        if not row.contypid:
            yield Kept(row, "conbin", row.conrelid, self._expression(row.conbin, "CHECK", row.conrelid))
            return
        domain = ctx.rows.one("pg_type", oid=row.contypid)
        found = analyze_domain_check(ctx.view, 0 if domain is None else domain.typbasetype, row.conbin)
        yield Kept(row, "conbin", row.contypid, lambda: deparse_stored(found, ctx.stored_view, None))

    def index(self, row: Record) -> Iterator[Kept]:
        """Expressions and the predicate of an index."""
        if row.indexprs is not None:
            yield Kept(row, "indexprs", row.indrelid, self._list(row.indexprs, "INDEX", row.indrelid, index_text))
        if row.indpred is not None:
            yield Kept(row, "indpred", row.indrelid, self._expression(row.indpred, "INDEX", row.indrelid))

    def partition_key(self, row: Record) -> Iterator[Kept]:
        """Expressions of a partition key."""
        if row.partexprs is None:
            return
        parts = json.loads(row.partexprs)
        texts = [self._expression(text, "INDEX", row.partrelid) for text, _, _ in parts]

        def again() -> str:
            return json.dumps([[write(), kind, typmod] for write, (_, kind, typmod) in zip(texts, parts, strict=True)])

        yield Kept(row, "partexprs", row.partrelid, again)

    def domain(self, row: Record) -> Iterator[Kept]:
        """A domain's default."""
        if row.typtype == "d" and row.typdefault is not None:
            text = self._expression(row.typdefault, "DEFAULT")
            yield Kept(row, "typdefault", row.oid, text)
            yield Kept(row, "typdefaultbin", row.oid, text)

    def routine(self, row: Record) -> Iterator[Kept]:
        """Defaults of arguments, and an SQL-standard body."""
        if row.proargdefaults is not None:
            yield Kept(row, "proargdefaults", row.oid, self._list(row.proargdefaults, "DEFAULT"))
        if row.prosqlbody is not None:
            yield self._body(row)

    def _expression(self, text: str, clause: str, relation: int = 0, finish: Finish | None = None) -> Again:
        ctx = self._ctx
        desc = ctx.view.relation(relation) if relation else None
        found = analyze_stored(ctx.view, desc, text, clause, session=ctx.session)

        def again() -> str:
            written = deparse_stored(found, ctx.stored_view, ctx.view.relation(relation) if relation else None)
            return written if finish is None else finish(found, written)

        return again

    def _list(self, text: str, clause: str, relation: int = 0, finish: Finish | None = None) -> Again:
        each = [self._expression(part, clause, relation, finish) for part in split_texts(text)]
        return lambda: "\n".join(again() for again in each)

    def _body(self, row: Record) -> Kept:
        ctx = self._ctx
        texts = split_statements(body_statements(row.prosqlbody))

        def read(text: str) -> list[Query]:
            function = sql_function(ctx.rows.one("pg_proc", oid=row.oid) or row)
            statements = split_statements(body_statements(text))
            return [analyzed_statement(ctx.view, ctx.session, function, each) for each in statements]

        queries = read(row.prosqlbody)
        for text, query in zip(texts, queries, strict=True):
            if self._strict and not only_reads(query) and self._mentions(text):
                raise NotSupported(
                    f'function "{row.proname}" cannot follow the change',
                    detail="Its body has an INSERT, UPDATE or DELETE that may use what gets another name.",
                    hint="Drop the function, and create it again after the change.",
                )

        def again() -> str:
            view = ctx.stored_view
            if row.prosqlbody.startswith(RETURN):
                return RETURN + kept_result(queries[0], view)
            both = zip(texts, queries, strict=True)
            return (
                ATOMIC
                + "".join(
                    f"{kept_query(query, view) if only_reads(query) else text};\n" for text, query in both
                ).rstrip("\n")
                + END
            )

        return Kept(row, "prosqlbody", row.oid, again, read, queries)


_Source = tuple[str, str, tuple[str, ...], Callable[[_Finder, Record], Iterator[Kept]]]
_WHERE: dict[int, tuple[_Source, ...]] = {
    CLASS_REWRITE: (("pg_rewrite", "oid", ("ev_qual", "ev_action"), _Finder.rule),),
    CLASS_DEFAULT: (("pg_attrdef", "oid", ("adbin",), _Finder.default),),
    CLASS_CONSTRAINT: (("pg_constraint", "oid", ("conbin",), _Finder.constraint),),
    CLASS_RELATION: (
        ("pg_index", "indexrelid", ("indexprs", "indpred"), _Finder.index),
        ("pg_partitioned_table", "partrelid", (), _Finder.partition_key),
    ),
    CLASS_TYPE: (("pg_type", "oid", ("typdefault", "typdefaultbin"), _Finder.domain),),
    CLASS_POLICY: (("pg_policy", "oid", ("polqual", "polwithcheck"), _Finder.policy),),
    CLASS_PUBLICATION_REL: (("pg_publication_rel", "oid", ("prqual",), _Finder.row_filter),),
    CLASS_STATISTIC_EXT: (("pg_statistic_ext", "oid", ("stxexprs",), _Finder.statistics),),
    CLASS_PROC: (("pg_proc", "oid", ("proargdefaults", "prosqlbody"), _Finder.routine),),
}
"""Catalogs with texts: the name of each, its key, the columns (none: what they say is not looked at), and what reads
them."""

"""Views' queries are kept as text that calls things by their names: when a name changes, the text follows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from compute_node.catalog.ddl.context import CLASS_REWRITE, DdlContext
from compute_node.catalog.rows import Record
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.sql.analyze import analyze
from compute_node.sql.deparse.queries import kept_query
from compute_node.sql.parse import parse
from compute_node.sql.query import Query


@contextmanager
def views_follow(ctx: DdlContext, *objects: tuple[int, int]) -> Iterator[None]:
    """The body gives ``objects`` (catalog and OID) other names, or their columns: views that use them call them so
    then."""
    found: dict[int, Record] = {}
    for class_oid, oid in objects:
        for record in ctx.rows.find("pg_depend", refclassid=class_oid, refobjid=oid):
            if record.classid == CLASS_REWRITE and record.objid not in found and record.deptype == "n":
                rule = ctx.rows.one("pg_rewrite", oid=record.objid)
                if rule is not None:
                    found[rule.oid] = rule
    with _rewritten(ctx, found.values()):
        yield


@contextmanager
def all_views_follow(ctx: DdlContext, word: str) -> Iterator[None]:
    """The same for what views have no dependency on: ``word`` is in the text of those that may use it."""
    rules = [rule for rule in ctx.rows.find("pg_rewrite") if rule.ev_class >= FIRST_NORMAL_OID]
    with _rewritten(ctx, (rule for rule in rules if word in rule.ev_action)):
        yield


@contextmanager
def _rewritten(ctx: DdlContext, rules: Iterable[Record]) -> Iterator[None]:
    kept = [(rule, _query(ctx, rule.ev_action)) for rule in rules]
    yield
    for rule, query in kept:
        text = kept_query(query, ctx.stored_view)
        if text != rule.ev_action:
            ctx.rows.update("pg_rewrite", rule, ev_action=text)
            ctx.changes.touch(rule.ev_class)


def _query(ctx: DdlContext, text: str) -> Query:
    view = ctx.view.of_stored_text()
    return analyze(parse(text)[0].node, view, [], text, session=ctx.session, allow_params=False)

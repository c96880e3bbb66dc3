"""Running a script: its statements, one after the other, in this transaction, what they make joining the extension.

The environment is PostgreSQL's: the extension's schema before those of the extensions that it requires on the search
path, no notices, no checks of function bodies, and for a trusted extension the rights of a superuser.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from aurora.errors import InsufficientPrivilege
from compute_node.catalog.ddl.context import DdlContext
from compute_node.catalog.ddl.extensions import members
from compute_node.extensions.controls import Control, script
from compute_node.relations.schema import ROLE_POSTGRES
from compute_node.session import nested
from compute_node.session.acting import as_owner
from compute_node.sql.parse import parse
from compute_node.types.acl import CREATE
from compute_node.types.string_functions import quote_identifier

_QUIET = ("warning", "error")
"""client_min_messages that tell no notices"""


def run_script(
    ctx: DdlContext, item: Control, oid: int, versions: tuple[str, str], schema: str, required: Sequence[str]
) -> None:
    """Run the script between two versions (the first ``""``: the installation script). ``required``: the schemas of the
    extensions that it requires. Errors: 42501, and what the statements raise."""
    source, target = versions
    text = script(item, source, target)
    with _as_installer(ctx, item, bool(source)), _environment(ctx, [schema, *required]), _creating(ctx, oid):
        text = text.replace("@extowner@", quote_identifier(ctx.session.user))
        if not item.relocatable:
            text = text.replace("@extschema@", quote_identifier(schema))
        if item.module is not None:
            text = text.replace("MODULE_PATHNAME", item.module)
        for raw in parse(text):
            nested.run(ctx.session, text[raw.start : raw.start + raw.length], (), (), None)
            members.adopt(ctx, oid)


@contextmanager
def _creating(ctx: DdlContext, oid: int) -> Iterator[None]:
    """Its statements know that they are a script's, and what they make is noted."""
    ctx.session.creating_extension, ctx.rows.made = oid, []
    try:
        yield
    finally:
        ctx.session.creating_extension, ctx.rows.made = 0, None


def check_installer(ctx: DdlContext, item: Control, *, updates: bool) -> bool:
    """Whether the script has to run as another role, a superuser. 42501 for who may not run it."""
    if not item.superuser or ctx.rights.superuser:
        return False
    if item.trusted and ctx.rights.database(ctx.view.layer.database_oid, CREATE):
        return True
    verb = "update" if updates else "create"
    needed = "Must have CREATE privilege on current database" if item.trusted else "Must be superuser"
    raise InsufficientPrivilege(
        f'permission denied to {verb} extension "{item.name}"', hint=f"{needed} to {verb} this extension."
    )


def _as_installer(ctx: DdlContext, item: Control, updates: bool) -> AbstractContextManager[None]:
    return as_owner(ctx.session, ROLE_POSTGRES) if check_installer(ctx, item, updates=updates) else nullcontext()


@contextmanager
def _environment(ctx: DdlContext, schemas: Sequence[str]) -> Iterator[None]:
    settings = ctx.session.settings
    path = ", ".join(quote_identifier(each) for each in dict.fromkeys([*schemas, "pg_temp"]))
    mark = settings.mark()
    settings.set("search_path", path, local=True)
    settings.set("check_function_bodies", "off", local=True)
    if settings.show("client_min_messages") not in _QUIET:
        settings.set("client_min_messages", "warning", local=True)
    ctx.session.environment_changed()
    try:
        yield
    finally:
        settings.rollback_to(mark)
        ctx.session.environment_changed()

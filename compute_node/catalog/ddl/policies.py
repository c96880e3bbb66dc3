"""CREATE, ALTER, DROP POLICY, and ALTER TABLE … ROW LEVEL SECURITY → pg_policy and pg_class (manual, ch. 5.8).

What a policy says is kept as SQL over its table's columns. It depends on the table, and on what it names; a role that
it is for cannot be dropped (``pg_shdepend``, deptype r).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pglast import ast, enums

from aurora.errors import (
    DuplicateObject,
    InsufficientPrivilege,
    SqlError,
    SqlSyntaxError,
    UndefinedObject,
    UndefinedTable,
    WrongObjectType,
)
from compute_node.catalog.ddl import shared_depend
from compute_node.catalog.ddl.context import CLASS_POLICY, CLASS_RELATION, DdlContext, cut_name
from compute_node.catalog.ddl.dependencies import drop
from compute_node.catalog.ddl.expressions import named_objects
from compute_node.catalog.ddl.relation import class_record
from compute_node.catalog.ddl.role_names import grantee_oid
from compute_node.catalog.rows import Record
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.sql.analyze.stored import analyze_expression
from compute_node.sql.deparse.queries import kept_condition
from compute_node.sql.expressions import Expr, SubLink, Var, walk
from compute_node.sql.parse import parse
from compute_node.sql.required import read_by
from compute_node.sql.rewrite import deep_walk
from compute_node.txn.locks import ACCESS_EXCLUSIVE

_T = enums.AlterTableType
_COMMANDS: Final = {"all": "*", "select": "r", "insert": "a", "update": "w", "delete": "d"}


def policy_table(ctx: DdlContext, name: ast.RangeVar) -> RelationDesc:
    """The table of a policy, locked. 42P01, 42501, 42809."""
    desc = ctx.find(name)
    if desc is None:
        raise UndefinedTable(f'relation "{name.relname}" does not exist')
    ctx.check_owner(desc)
    if desc.oid < FIRST_NORMAL_OID:
        raise InsufficientPrivilege(f'permission denied: "{desc.name}" is a system catalog')
    if desc.kind not in "rp":
        raise WrongObjectType(f'"{desc.name}" is not a table')
    ctx.lock(desc, ACCESS_EXCLUSIVE)
    found = ctx.view.relation(desc.oid)
    if found is None:
        raise UndefinedTable(f'relation "{name.relname}" does not exist')
    ctx.check_owner(found)
    return found


def _policy(ctx: DdlContext, desc: RelationDesc, name: str) -> Record | None:
    return ctx.rows.one("pg_policy", polrelid=desc.oid, polname=name)


def find_policy(ctx: DdlContext, desc: RelationDesc, name: str) -> Record:
    """A policy by name; 42704."""
    found = _policy(ctx, desc, name)
    if found is None:
        raise UndefinedObject(f'policy "{name}" for table "{desc.name}" does not exist')
    return found


def create_policy(ctx: DdlContext, node: ast.CreatePolicyStmt) -> str:
    """CREATE POLICY. 42601, 42710, 42804 and what its expressions raise."""
    command = _COMMANDS[node.cmd_name]
    if command in "rd" and node.with_check is not None:
        raise SqlSyntaxError("WITH CHECK cannot be applied to SELECT or DELETE")
    if command == "a" and node.qual is not None:
        raise SqlSyntaxError("only WITH CHECK expression allowed for INSERT")
    roles = _roles(ctx, node.roles)
    desc = policy_table(ctx, node.table)
    name = cut_name(node.policy_name)
    using = _Expression(ctx, desc, node.qual)
    check = _Expression(ctx, desc, node.with_check)
    if _policy(ctx, desc, name) is not None:
        raise DuplicateObject(f'policy "{name}" for table "{desc.name}" already exists')
    oid = ctx.next_oid()
    ctx.rows.insert(
        "pg_policy",
        oid=oid,
        polname=name,
        polrelid=desc.oid,
        polcmd=command,
        polpermissive=bool(node.permissive),
        polroles=roles,
        polqual=using.text,
        polwithcheck=check.text,
    )
    _depend(ctx, oid, desc, roles, (using, check))
    ctx.changes.touch(desc.oid)
    return "CREATE POLICY"


def alter_policy(ctx: DdlContext, node: ast.AlterPolicyStmt) -> str:
    """ALTER POLICY … TO … USING … WITH CHECK …"""
    roles = None if node.roles is None else _roles(ctx, node.roles)
    desc = policy_table(ctx, node.table)
    using = _Expression(ctx, desc, node.qual)
    check = _Expression(ctx, desc, node.with_check)
    record = find_policy(ctx, desc, node.policy_name)
    if record.polcmd in "rd" and node.with_check is not None:
        raise SqlSyntaxError("only USING expression allowed for SELECT, DELETE")
    if record.polcmd == "a" and node.qual is not None:
        raise SqlSyntaxError("only WITH CHECK expression allowed for INSERT")
    kept_using = using if node.qual is not None else _Expression.kept(ctx, desc, record.polqual)
    kept_check = check if node.with_check is not None else _Expression.kept(ctx, desc, record.polwithcheck)
    new_roles = list(record.polroles) if roles is None else roles
    ctx.rows.update("pg_policy", record, polroles=new_roles, polqual=kept_using.text, polwithcheck=kept_check.text)
    ctx.rows.delete_where("pg_depend", classid=CLASS_POLICY, objid=record.oid)
    shared_depend.forget(ctx, CLASS_POLICY, record.oid)
    _depend(ctx, record.oid, desc, new_roles, (kept_using, kept_check))
    ctx.changes.touch(desc.oid)
    return "ALTER POLICY"


def rename_policy(ctx: DdlContext, node: ast.RenameStmt, new: str) -> str:
    """ALTER POLICY … RENAME TO. 42704, 42710."""
    desc = policy_table(ctx, node.relation)
    if _policy(ctx, desc, new) is not None:
        raise DuplicateObject(f'policy "{new}" for table "{desc.name}" already exists')
    ctx.rows.update("pg_policy", find_policy(ctx, desc, node.subname), polname=new)
    ctx.changes.touch(desc.oid)
    return "ALTER POLICY"


def drop_policies(ctx: DdlContext, node: ast.DropStmt) -> str:
    """DROP POLICY … ON …; what is not there is a notice with IF EXISTS."""
    targets = []
    for item in node.objects:
        names = [part.sval for part in item]
        table = ast.RangeVar(relname=names[-2], schemaname=names[-3] if len(names) > 2 else None, location=-1)
        if node.missing_ok and len(names) > 2 and ctx.view.layer.namespace_oid(names[-3]) is None:
            ctx.notice(f'schema "{names[-3]}" does not exist, skipping')
            continue
        desc = ctx.find(table, missing_ok=True)
        record = None if desc is None else _policy(ctx, desc, names[-1])
        if desc is not None and record is not None:
            ctx.check_owner(desc, "relation")
            ctx.lock(desc, ACCESS_EXCLUSIVE)
            # Somebody else may have dropped it meanwhile.
            desc = ctx.view.relation(desc.oid)
            record = None if desc is None else _policy(ctx, desc, names[-1])
        if desc is None or record is None:
            if not node.missing_ok:
                if desc is None:
                    raise UndefinedTable(f'relation "{names[-2]}" does not exist')
                raise UndefinedObject(f'policy "{names[-1]}" for table "{desc.name}" does not exist')
            shown = ".".join(names[:-1])
            ctx.notice(
                f'relation "{shown}" does not exist, skipping'
                if desc is None
                else f'policy "{names[-1]}" for relation "{desc.name}" does not exist, skipping'
            )
            continue
        ctx.check_owner(desc, "relation")
        targets.append((CLASS_POLICY, int(record.oid), 0))
    if targets:
        drop(ctx, targets, cascade=node.behavior == enums.DropBehavior.DROP_CASCADE)
    return "DROP POLICY"


def set_row_security(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd) -> None:
    """ALTER TABLE … [NO] FORCE, ENABLE, DISABLE ROW LEVEL SECURITY."""
    record = class_record(ctx, desc.oid)
    column, value = {
        _T.AT_EnableRowSecurity: ("relrowsecurity", True),
        _T.AT_DisableRowSecurity: ("relrowsecurity", False),
        _T.AT_ForceRowSecurity: ("relforcerowsecurity", True),
        _T.AT_NoForceRowSecurity: ("relforcerowsecurity", False),
    }[command.subtype]
    ctx.rows.update("pg_class", record, **{column: value})
    ctx.changes.touch(desc.oid)


def forget_role(ctx: DdlContext, oid: int, role: int) -> bool:
    """DROP OWNED of a role that a policy is for: it is for the others; whether it is for nobody now."""
    record = ctx.rows.one("pg_policy", oid=oid)
    if record is None:
        return False
    left = [each for each in record.polroles if each != role]
    if not left:
        return True
    ctx.rows.update("pg_policy", record, polroles=left)
    shared_depend.forget_role(ctx, CLASS_POLICY, oid, role)
    ctx.changes.touch(record.polrelid)
    return False


class _Expression:
    """USING or WITH CHECK: its text as it is kept, and what it names."""

    def __init__(self, ctx: DdlContext, desc: RelationDesc, node: ast.Node | None) -> None:
        self.text: str | None = None
        self.names: set[tuple[int, int, int]] = set()
        if node is None:
            return
        view = ctx.tracing()
        try:
            expr = analyze_expression(view, desc, node, ctx.source, "POLICY", ctx.session)
        except SqlError as error:
            error.position = None
            raise
        nodes = [each for each, _ in deep_walk(expr, 0, False)]
        text = kept_condition(expr, ctx.stored_view, desc)
        self.text = ctx.keep(text, view, named_objects(nodes))
        self.names = _named(desc, expr)

    @classmethod
    def kept(cls, ctx: DdlContext, desc: RelationDesc, text: str | None) -> _Expression:
        """One that stays as it is."""
        made = cls(ctx, desc, None)
        if text is not None:
            node = parse(f"SELECT {text}")[0].node.targetList[0].val
            made = cls(ctx, desc, node)
        return made


def _named(desc: RelationDesc, expr: Expr) -> set[tuple[int, int, int]]:
    """The columns of its table, and what its sub-selects read."""
    found: set[tuple[int, int, int]] = {
        (CLASS_RELATION, desc.oid, node.attno)
        for node, depth in deep_walk(expr, 0, False)
        if isinstance(node, Var) and node.levels_up == depth and node.attno > 0
    }
    if any(isinstance(node, SubLink) for node in walk(expr)):
        for access in read_by(expr):
            if not access.in_view:
                found.add((CLASS_RELATION, access.relation.oid, 0))
                found |= {(CLASS_RELATION, access.relation.oid, attno) for attno in access.selected if attno > 0}
    return found


def _roles(ctx: DdlContext, specs: Sequence[ast.RoleSpec] | None) -> list[int]:
    """OIDs, 0 for PUBLIC, which leaves the others out (a warning)."""
    if not specs:
        return [0]
    public = enums.RoleSpecType.ROLESPEC_PUBLIC
    if any(spec.roletype == public for spec in specs):
        if len(specs) > 1:
            ctx.notice(
                "ignoring specified roles other than PUBLIC",
                severity="WARNING",
                sqlstate="22023",
                hint="All roles are members of the PUBLIC role.",
            )
        return [0]
    return [grantee_oid(ctx, spec) for spec in specs]


def _depend(
    ctx: DdlContext, oid: int, desc: RelationDesc, roles: Sequence[int], expressions: Sequence[_Expression]
) -> None:
    address = (CLASS_POLICY, oid, 0)
    ctx.depend(address, (CLASS_RELATION, desc.oid, 0), "a")
    for expression in expressions:
        if expression.text is not None:
            for name in sorted(expression.names):
                ctx.depend(address, name, "n")
            ctx.depend_on_text(address, expression.text)
    for role in roles:
        shared_depend.record_policy(ctx, CLASS_POLICY, oid, role)

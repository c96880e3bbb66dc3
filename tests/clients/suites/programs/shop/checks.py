"""What an application asks of the database through Django."""

from __future__ import annotations

import datetime
import decimal
import io
import uuid
from collections.abc import Callable

from django.contrib.auth.models import Permission, User
from django.contrib.postgres.aggregates import ArrayAgg, StringAgg
from django.contrib.postgres.indexes import BrinIndex, GinIndex
from django.contrib.postgres.search import SearchQuery, SearchRank, SearchVector
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import Avg, Count, Exists, F, Index, OuterRef, Subquery, Sum, Window
from django.db.models.functions import Coalesce, Rank, TruncMonth
from django.test import Client
from report import check

from shop.models import Maker, Thing


def _command(*arguments: str) -> list[str]:
    output = io.StringIO()
    call_command(*arguments, stdout=output, no_color=True)
    return output.getvalue().splitlines()


def _rows(statement: str) -> list[list[str]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return [[str(value) for value in row] for row in cursor.fetchall()]


def _fill() -> int:
    first = Maker.objects.create(name="First", about="lamps and chairs")
    second = Maker.objects.create(name="Second", parent=first)
    start = datetime.datetime(2026, 1, 15, 12, 30, tzinfo=datetime.UTC)
    Thing.objects.bulk_create(
        Thing(
            code=uuid.UUID(int=n), maker=first if n % 3 else second, label=f"thing {n:02}",
            price=decimal.Decimal(n) / 4,
            weight=n * 1.5, made=start + datetime.timedelta(days=n * 9), day=start.date(), hour=start.time(),
            lasts=datetime.timedelta(hours=n), extra={"n": n, "deep": {"list": [n, n + 1]}}, tags=[f"t{n % 2}", "all"],
            sizes=(n, n + 5), address=f"10.0.0.{n}", data=bytes([n]), flag=n % 2 == 0, small=n,
        )
        for n in range(1, 21)
    )  # fmt: skip
    thing = Thing.objects.get(small=1)
    thing.friends.add(*Thing.objects.filter(small__lt=5))
    return Thing.objects.count()


def _refused(change: Callable[[], object]) -> str:
    try:
        with transaction.atomic():
            change()
    except IntegrityError as error:
        return f"{error.__cause__.sqlstate} {str(error).splitlines()[0]}"
    return "accepted"


def _admin() -> list[object]:
    User.objects.create_superuser("chief", "chief@example.org", "secret words")
    client = Client()
    told: list[object] = [client.login(username="chief", password="secret words")]
    maker = Maker.objects.first()
    for page in (
        "", "shop/thing/", "shop/thing/?q=thing+0&flag__exact=1", "shop/thing/?made__year=2026", "shop/maker/add/",
        f"shop/maker/{maker.pk}/change/", f"shop/maker/{maker.pk}/delete/", "auth/user/", "auth/group/add/",
    ):  # fmt: skip
        told.append([page, client.get(f"/admin/{page}").status_code])
    told.append(client.post("/admin/shop/maker/add/", {"name": "By the admin", "about": "x"}).status_code)
    told.append(Maker.objects.filter(name="By the admin").count())
    told.append(_rows("SELECT count(*), max(action_flag) FROM django_admin_log"))
    return told


def _savepoints() -> list[str]:
    names = []
    with transaction.atomic():
        Maker.objects.create(name="outer")
        try:
            with transaction.atomic():
                Maker.objects.create(name="inner")
                raise ValueError
        except ValueError:
            names = [maker.name for maker in Maker.objects.select_for_update().order_by("name")]
        transaction.set_rollback(True)
    return names


def _index(index: Index) -> str:
    with connection.schema_editor() as editor:
        editor.add_index(Thing, index)
    return index.name


def _introspection() -> list[object]:
    told: list[object] = []
    with connection.cursor() as cursor:
        for table in sorted(connection.introspection.table_names()):
            found = connection.introspection.get_constraints(cursor, table)
            told.append([table, sorted((name, sorted(map(str, one.items()))) for name, one in found.items())])
    return told


def run() -> None:
    """All checks in order."""
    check("makemigrations", lambda: _command("makemigrations", "shop"))
    check("sqlmigrate", lambda: _command("sqlmigrate", "shop", "0001"))
    check("migrate", lambda: _command("migrate", "--verbosity=1"))
    check("migrate again", lambda: _command("migrate"))
    check("showmigrations", lambda: _command("showmigrations", "--plan"))
    check("makemigrations finds nothing", lambda: _command("makemigrations", "--check", "--dry-run"))
    check("permissions", Permission.objects.count)
    check("fill", _fill)
    check("read back", lambda: list(Thing.objects.order_by("small").values())[:3])
    check("twice is generated", lambda: Thing.objects.get(small=4).twice)
    check(
        "join and count",
        lambda: list(Maker.objects.annotate(n=Count("things"), all=Sum("things__price")).order_by("pk").values()),
    )
    check(
        "by month",
        lambda: list(
            Thing.objects.annotate(month=TruncMonth("made"))
            .values("month")
            .annotate(n=Count("*"), mean=Avg("price"))
            .order_by("month")
        ),
    )
    check(
        "json path", lambda: list(Thing.objects.filter(extra__deep__list__contains=[3]).values_list("small", flat=True))
    )
    check(
        "json key", lambda: list(Thing.objects.filter(extra__n__gt=17).values_list("extra__deep__list__0", flat=True))
    )
    check(
        "array", lambda: list(Thing.objects.filter(tags__contains=["t1"], tags__len=2).values_list("small", flat=True))
    )
    check(
        "range",
        lambda: list(Thing.objects.filter(sizes__contains=7, sizes__overlap=(1, 4)).values_list("small", flat=True)),
    )
    check(
        "aggregates",
        lambda: Thing.objects.aggregate(
            a=ArrayAgg("small", order_by="small"), s=StringAgg("label", delimiter=",", order_by="label")
        ),
    )
    check(
        "search",
        lambda: list(
            Maker.objects.annotate(
                v=SearchVector("name", "about"), r=SearchRank(SearchVector("about"), SearchQuery("lamp"))
            )
            .filter(v=SearchQuery("chair"))
            .values_list("name", "r")
        ),
    )
    check(
        "window",
        lambda: list(
            Thing.objects.annotate(r=Window(Rank(), partition_by="maker", order_by="-price"))
            .filter(r__lte=2)
            .order_by("maker", "r")
            .values_list("maker__name", "r", "label")
        ),
    )
    check(
        "subquery",
        lambda: list(
            Maker.objects.annotate(
                last=Subquery(Thing.objects.filter(maker=OuterRef("pk")).order_by("-made").values("label")[:1]),
                dear=Exists(Thing.objects.filter(maker=OuterRef("pk"), price__gt=4)),
            )
            .order_by("pk")
            .values_list("name", "last", "dear")
        ),
    )
    check(
        "prefetch",
        lambda: [
            [m.name, sorted(t.small for t in m.things.all())]
            for m in Maker.objects.prefetch_related("things").order_by("pk")
        ],
    )
    check(
        "update", lambda: Thing.objects.filter(flag=True).update(price=F("price") + 1, weight=Coalesce("weight", 0.0))
    )
    check("update_or_create", lambda: Maker.objects.update_or_create(name="First", defaults={"about": "lamps"})[1])
    check(
        "ignore conflicts",
        lambda: len(Maker.objects.bulk_create([Maker(name="First"), Maker(name="Third")], ignore_conflicts=True)),
    )
    check(
        "upsert",
        lambda: len(
            Maker.objects.bulk_create(
                [Maker(name="Third", about="again")],
                update_conflicts=True,
                unique_fields=["name"],
                update_fields=["about"],
            )
        ),
    )
    check("iterator", lambda: sum(thing.small for thing in Thing.objects.iterator(chunk_size=3)))
    check("explain", lambda: Thing.objects.filter(small=3).explain().splitlines()[0].split(" ")[0])
    check(
        "union",
        lambda: sorted(Maker.objects.values_list("name").union(Thing.objects.filter(small__lt=3).values_list("label"))),
    )
    check(
        "raw",
        lambda: [m.name for m in Maker.objects.raw("SELECT * FROM shop_maker WHERE name LIKE %s ORDER BY 1", ["%ir%"])],
    )
    check("savepoints", _savepoints)
    check("refused: unique", lambda: _refused(lambda: Maker.objects.create(name="First")))
    check("refused: check", lambda: _refused(lambda: Thing.objects.filter(small=1).update(price=-1)))
    check("refused: expression", lambda: _refused(lambda: Thing.objects.filter(small=2).update(label="THING 01")))
    check("delete with children", lambda: Maker.objects.filter(name="Second").delete()[0])
    check("admin", _admin)
    check("inspectdb", lambda: _command("inspectdb"))
    check("sqlsequencereset", lambda: _command("sqlsequencereset", "shop", "auth"))
    check("a GIN index", lambda: _index(GinIndex(fields=["tags"], name="thing_tags_gin")))
    check("a BRIN index", lambda: _index(BrinIndex(fields=["made"], name="thing_made_brin")))
    check("introspection", _introspection)
    check("dumpdata", lambda: [len(line) > 0 for line in _command("dumpdata", "shop.maker")])
    check("flush", lambda: _command("flush", "--no-input"))
    check("migrate back", lambda: _command("migrate", "shop", "zero"))

"""Fields, indexes and constraints of many kinds."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField, DateTimeRangeField, IntegerRangeField
from django.contrib.postgres.indexes import HashIndex
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower


class Maker(models.Model):
    name = models.CharField(max_length=50, unique=True)
    about = models.TextField(blank=True, db_comment="what they make")
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL)

    class Meta:
        db_table_comment = "who makes things"

    def __str__(self) -> str:
        return self.name


class Thing(models.Model):
    code = models.UUIDField(primary_key=True, default=uuid.uuid4)
    maker = models.ForeignKey(Maker, on_delete=models.CASCADE, related_name="things")
    label = models.CharField(max_length=40, db_collation="C")
    price = models.DecimalField(max_digits=10, decimal_places=2, default=0)
    weight = models.FloatField(null=True)
    made = models.DateTimeField(db_index=True)
    day = models.DateField(null=True)
    hour = models.TimeField(null=True)
    lasts = models.DurationField(null=True)
    extra = models.JSONField(default=dict)
    tags = ArrayField(models.CharField(max_length=10), default=list)
    sizes = IntegerRangeField(null=True)
    sold = DateTimeRangeField(null=True)
    address = models.GenericIPAddressField(null=True)
    data = models.BinaryField(null=True)
    flag = models.BooleanField(default=False)
    small = models.PositiveSmallIntegerField(default=1)
    twice = models.GeneratedField(expression=F("small") * 2, output_field=models.IntegerField(), db_persist=True)
    friends = models.ManyToManyField("self", symmetrical=False)

    class Meta:
        ordering = ["label"]
        indexes = [
            models.Index(fields=["maker", "-made"], name="thing_maker_made", include=["price"]),
            models.Index(Lower("label"), name="thing_lower_label", condition=Q(flag=True)),
            HashIndex(fields=["label"], name="thing_label_hash"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(price__gte=0), name="thing_price_positive"),
            models.UniqueConstraint(
                fields=["maker", "label"], name="thing_once", deferrable=models.Deferrable.DEFERRED
            ),
            models.UniqueConstraint(Lower("label"), "maker", name="thing_once_any_case"),
        ]

"""Both models in the admin."""

from django.contrib import admin

from shop.models import Maker, Thing

admin.site.register(Maker)


@admin.register(Thing)
class ThingAdmin(admin.ModelAdmin):
    list_display = ("label", "maker", "price")
    list_filter = ("flag", "maker")
    search_fields = ("label",)
    date_hierarchy = "made"

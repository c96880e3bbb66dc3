"""A Django project in one file: migrations of the contributed applications, the admin, models of many field types,
queries, constraints, and ``inspectdb`` of what came out. Database: libpq's variables."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import django
from django.conf import settings

made = Path.cwd() / "made_migrations"
made.mkdir(exist_ok=True)
(made / "__init__.py").touch()
sys.path.insert(0, str(Path.cwd()))
settings.configure(
    SECRET_KEY="for tests alone",
    DEBUG=False,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="shop.urls",
    MIGRATION_MODULES={"shop": "made_migrations"},
    USE_TZ=True,
    TIME_ZONE="UTC",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
        "django.contrib.messages", "django.contrib.postgres", "shop",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
        "OPTIONS": {"context_processors": [
            "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
            "django.contrib.messages.context_processors.messages",
        ]},
    }],
    DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql", "NAME": os.environ["PGDATABASE"], "USER": os.environ["PGUSER"],
        "HOST": os.environ["PGHOST"], "PORT": os.environ["PGPORT"],
    }},
)  # fmt: skip
django.setup()
importlib.import_module("shop.checks").run()

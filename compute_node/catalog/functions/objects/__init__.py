"""Objects by catalog, OID and column number, and by kind and name: pg_describe_object, pg_identify_object,
pg_identify_object_as_address, pg_get_object_address (manual, 9.26.5).

``classes`` knows each catalog's objects: how people call one (``describe``), how machines do (``identity``).
"""

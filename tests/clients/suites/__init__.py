"""Other people's test suites, and small programs over real clients, run against our cluster and against PostgreSQL 15.

``make clients POSTGRES="host=… port=… user=…"`` downloads what they need into a cache folder, runs each on both
servers, compares the outcomes test by test, and writes ``docs/clients.md``. pytest does not collect anything here, so
``make test`` runs none of it. The suites' sources stay in the cache folder.

``catalogue`` says what there is and how it is run, ``fetch`` gets it, ``outcomes`` reads and compares, ``page`` writes.
"""

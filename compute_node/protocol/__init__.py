"""PostgreSQL's frontend/backend messages as bytes (manual, chapter 55), for sessions and for the wire's server."""

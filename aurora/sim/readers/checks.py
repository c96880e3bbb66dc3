"""The promises that readers add; the compute half's hold as well."""

from __future__ import annotations

from typing import Final

from aurora.sim.compute import checks as compute
from aurora.sim.compute.checks import Promise

PAGES, FORWARD, ONE_WRITER, NEEDED = "reader-pages", "reads-go-forward", "one-writer", "needed-is-kept"
NOTED, DURABLE_ONLY = "locks-in-the-log", "durable-only"

CATALOGUE: Final = (
    Promise(PAGES, "a reader's page at its applied LSN is the writer's at that LSN"),
    Promise(DURABLE_ONLY, "a reader applies nothing that recovery could still cut off"),
    Promise(FORWARD, "what a reader, and a session there, reads never goes back"),
    Promise(ONE_WRITER, "nobody acknowledges a commit that is not in the log that goes on"),
    Promise(NEEDED, "what a reader reads is not collected while its hold stands"),
    Promise(NOTED, "a reader changes no table under a session that has locked it"),
    *(each for each in compute.CATALOGUE if each.name != compute.LOG),
)

"""Whether what lies in the pages is what it should be: a relation's pages, its rows, its index entries.

    index pages ─► order, links, entries ─┐
    heap pages  ─► bounds, tuples, chains ┴─► each visible row has its entry, each entry a row that was there
    rows        ─► values, TOAST chunks   ───► each chunk belongs to a visible row

Nothing is changed. Writers may go on; vacuum is kept out by whoever calls this (SHARE UPDATE EXCLUSIVE). Indexes are
read before the heap: an entry that is there then names a row whose line pointer stays until the end. What is found is
a ``Fault``; a page that makes no sense is one too, and the check goes on with the next.

| module | looks at |
| --- | --- |
| ``heap`` | pages, tuples, version chains; gives the rows |
| ``btree`` | levels, order of keys, right links, downlinks |
| ``hash`` | buckets and their overflow pages |
| ``gin`` | a B-tree's, for each item of a value |
| ``gist`` | keys within the keys above them |
| ``brin`` | the map and the summaries, and that they hold the visible rows |
| ``relation`` | all of one table together |
"""

from __future__ import annotations

from compute_node.access.check.findings import Fault
from compute_node.access.check.relation import check_relation

__all__ = ["Fault", "check_relation"]

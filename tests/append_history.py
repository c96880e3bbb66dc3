"""A history of transactions that append to lists and read them, and whether some serial order explains it.

Each value is appended once, so the final lists say in which order the appends to a key came, and a read says which of
them it has seen. From these follow the edges between committed transactions: who overwrote whom (ww), who read whose
value (wr), who did not see whose (rw). A history is serializable if they make no cycle (Adya 1999; the method is that
of Kingsbury and Alvaro's Elle, VLDB 2020). Transactions whose commit was sent and never answered count as committed if
a value of theirs is in a list, or was read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

COMMITTED, ABORTED, UNKNOWN = "committed", "aborted", "unknown"


@dataclass
class Transaction:
    """What one transaction has done, in order: (key, value appended, None) or (key, None, list read)."""

    number: int
    steps: list[tuple[int, int | None, tuple[int, ...] | None]] = field(default_factory=list)
    outcome: str = UNKNOWN

    def appends(self) -> Iterator[tuple[int, int]]:
        """(key, value) of its appends."""
        for key, value, _ in self.steps:
            if value is not None:
                yield key, value

    def reads(self) -> Iterator[tuple[int, tuple[int, ...], list[int]]]:
        """(key, what it read, what it had appended there before)."""
        own: dict[int, list[int]] = {}
        for key, value, found in self.steps:
            if value is not None:
                own.setdefault(key, []).append(value)
            elif found is not None:
                yield key, found, list(own.get(key, ()))


def anomalies(history: Sequence[Transaction], lists: Mapping[int, Sequence[int]]) -> list[str]:
    """What no serial order explains; ``lists`` are the final ones by key."""
    found: list[str] = []
    writer: dict[int, Transaction] = {}
    for txn in history:
        for _, value in txn.appends():
            writer[value] = txn
    present = {value for values in lists.values() for value in values}
    for key, values in lists.items():
        if len(set(values)) != len(values):
            found.append(f"key {key} has a value twice: {values}")
        found += [f"key {key} has {value} of an aborted transaction" for value in values if _failed(writer, value)]
    committed: dict[int, Transaction] = {}
    for txn in history:
        here = [value in present for _, value in txn.appends()]
        if txn.outcome == COMMITTED or (txn.outcome == UNKNOWN and any(here)):
            committed[txn.number] = txn
            if not all(here):
                found.append(f"transaction {txn.number} was {txn.outcome}, and not all that it appended is there")
    edges: dict[int, set[int]] = {number: set() for number in committed}
    for txn in committed.values():
        for key, seen, own in txn.reads():
            final = list(lists.get(key, ()))
            if list(seen) != final[: len(seen)]:
                # A value between those of others that never became final would be a read of something rolled back.
                found.append(f"transaction {txn.number} read {list(seen)} of key {key}, which became {final}")
                continue
            if own and list(seen[-len(own) :]) != own:
                found.append(f"transaction {txn.number} read {list(seen)} of key {key}, and had appended {own}")
            _edge(edges, writer, seen[-1] if seen else None, txn.number)
            following = final[len(seen)] if len(seen) < len(final) else None
            if following is not None and writer[following].number in edges:
                edges[txn.number].add(writer[following].number)
    for values in lists.values():
        for one, other in pairwise(values):
            if writer[other].number in edges:
                _edge(edges, writer, one, writer[other].number)
    for number, targets in edges.items():
        targets.discard(number)
    found += [f"cycle of transactions {each}" for each in cycles(edges)]
    return found


def _failed(writer: Mapping[int, Transaction], value: int) -> bool:
    return value not in writer or writer[value].outcome == ABORTED


def _edge(edges: dict[int, set[int]], writer: Mapping[int, Transaction], value: int | None, to: int) -> None:
    if value is not None and writer[value].number in edges:
        edges[writer[value].number].add(to)


def cycles(edges: Mapping[int, Iterable[int]]) -> list[list[int]]:
    """The strongly connected components of more than one node (Tarjan 1972), without recursion."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    on_stack: set[int] = set()
    stack: list[int] = []
    found: list[list[int]] = []
    for root in edges:
        if root in index:
            continue
        work = [(root, iter(edges[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, targets = work[-1]
            for target in targets:
                if target not in index:
                    index[target] = low[target] = len(index)
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(edges.get(target, ()))))
                    break
                if target in on_stack:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    component = []
                    while True:
                        member = stack.pop()
                        on_stack.discard(member)
                        component.append(member)
                        if member == node:
                            break
                    if len(component) > 1:
                        found.append(sorted(component))
    return found

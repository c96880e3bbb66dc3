"""Transactions: xids, commit and abort, snapshots, locks.

session → ``manager.TransactionManager`` → commit log and redo. Invariants: row locks pass on when the commit LSN is
allocated, not when it is durable; what has seen an LSN above the VDL carries it in its ``Dependency``, and the session
holds its output back until the VDL is there.
"""

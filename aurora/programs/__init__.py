"""The programs of a cluster: what people start and ask (cli, supervisor, status, embedded, restore).

They stand on top of everything: they start storage nodes and compute nodes as processes, or in this one, and nothing
below imports them.
"""

"""Accepted sockets passed to the process that is to serve them, over a Unix socket (SCM_RIGHTS), with no byte read.

A link is one SOCK_SEQPACKET connection from a router (``aurora.programs.endpoints``) to an instance
(``compute_node.wire.handover``)::

    router                                          instance
      GIVE 7 + descriptor ───────────────────────────►
      ◄─────────────────────────────────────── TAKEN 7   then it reads: startup packet, TLS, …
      ◄──────────────────────────────────────── GONE 7   its socket is closed
      ◄────────────────────────── CANCEL (pid, secret)   fits no session there: the router asks the other instances
      ◄──────────────────────────────────────── BACK 7   it cannot be taken now: the router gives it to another
      ◄─────────────────────────────────────── CHANGED   its role changes: the router asks what it is

The instance sends TAKEN before it reads or writes anything of a connection, and drops one whose TAKEN it cannot send.
So a router that shuts down its reading side and then reads what is queued (``FrameLink.settle``) knows exactly which
connections are its own still: those without TAKEN. It may give them to another instance, even when this one is only
stopped and goes on later.

Only processes of the same user may link: the socket's file is 0600, and each side looks at the other's credentials.
Where the system has no such sockets (``frames.AVAILABLE``), connections are forwarded byte by byte instead.
"""

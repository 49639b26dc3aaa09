"""What `gatelodge doctor` looks at.

findings   one thing that was looked at, with its fix
machine    this machine: what confines servers, their state, journal and policy
written    a server as a host's file has it, without starting it
started    the same started as the host would, in each protocol revision
asked      what only a server itself can tell, by asking it: the database's role, the token's scopes
"""

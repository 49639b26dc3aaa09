"""What happened: the journal, a keyed chain of records that is written before a call runs, or the call doesn't run.

canonical   the one byte form of a JSON value, and its digest
records     what is written down, field by field
chain       the MAC chain, its keys, and what they can and can't show
folder      the journal's directory: who owns it, what it may hold
anchor      the last durable MAC, kept outside the file
sink        one file; one write per record, or none
writer      chain, file, rotation and the halted state together
journal     the part that servers use: order, durability, threads
scan        one file against its chain
verify      a whole directory
prune       retention with tombstones
query       reading, filtering, following
texts       texts made fit to be looked at
progress    what is said of long work
export      JSON lines, OCSF, OpenTelemetry
report      one self-contained HTML page
cli         `gatelodge audit`
"""

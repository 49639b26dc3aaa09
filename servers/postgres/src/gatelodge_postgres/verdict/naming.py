"""What PostgreSQL itself has that tells of relations, and so is closed to a caller's text where some aren't to be told of.

Of the catalog's relations those are open that name none; the others are closed, with those that a later version brings.
Functions are told by their types: one that takes or gives a relation's number or name can tell of any. There is no way
from a number to a name without such a function, or a type that is printed as a name.
"""

from __future__ import annotations

from typing import LiteralString

_NAMELESS = """
pg_settings pg_roles pg_user pg_group pg_auth_members pg_database pg_tablespace pg_namespace pg_language pg_am pg_extension
pg_available_extensions pg_available_extension_versions pg_collation pg_conversion pg_timezone_names pg_timezone_abbrevs
pg_cast pg_operator pg_opclass pg_opfamily pg_range pg_ts_config pg_ts_dict pg_ts_parser pg_ts_template pg_config pg_locks
pg_stat_database pg_stat_database_conflicts pg_stat_bgwriter pg_stat_checkpointer pg_stat_wal pg_stat_archiver pg_stat_io
pg_stat_slru pg_stat_ssl pg_stat_gssapi pg_stat_replication pg_stat_wal_receiver pg_replication_slots pg_prepared_xacts
information_schema_catalog_name schemata sql_features sql_implementation_info sql_parts sql_sizing character_sets collations
applicable_roles enabled_roles administrable_role_authorizations
"""
NAMELESS = frozenset(_NAMELESS.split())
"""Relations of PostgreSQL's own that name no relation of users."""

_TYPES = "oid oidvector regclass regtype regprocedure regoperator pg_node_tree"
_PRINTED = _TYPES.split()[2:6]
PRINTED_TYPES = frozenset((*_PRINTED, *(f"_{one}" for one in _PRINTED)))
"""Types whose values are numbers, and are printed as names of relations or of their row types."""

NAMING: LiteralString = (
    "(p.proargtypes::oid[] || coalesce(p.proallargtypes, '{}') || p.prorettype)"
    " && '{26,30,194,1028,2202,2204,2205,2206,2207,2209,2210,2211}'::oid[]"
)
"""Whether the function ``p`` takes or gives such a number or name: oid, oidvector, pg_node_tree, `PRINTED_TYPES`, and arrays."""

BY_TEXT = frozenset(
    (
        "pg_get_serial_sequence",
        "pg_input_is_valid",
        "pg_input_error_info",
        "to_regtypemod",
        "pg_get_backend_memory_contexts",
    )
)
"""The same of functions whose types don't show it."""

_UNRELATED = """
max min int8 nextval has_database_privilege has_schema_privilege has_tablespace_privilege has_language_privilege
has_parameter_privilege has_foreign_data_wrapper_privilege has_server_privilege pg_has_role pg_get_userbyid pg_database_size
pg_tablespace_size pg_tablespace_location shobj_description pg_lock_status pg_prepared_xact ts_parse ts_token_type
"""
UNRELATED = frozenset(_UNRELATED.split())
"""Functions with such types that tell of no relation: aggregates, roles, databases, schemas."""


def tells_of_relations(name: str, *, typed: bool) -> bool:
    """Whether a function of PostgreSQL's, or of an extension, can tell of a relation.

    Args:
        name: Its own.
        typed: What `NAMING` says of it, or of another one of the name.
    """
    return name in BY_TEXT or (typed and name not in UNRELATED)


def row_types(name: str) -> tuple[str, ...]:
    """Names of the relations whose row type, or an array of it, can be called `name`."""
    return tuple(dict.fromkeys((name, name.lstrip("_"))))

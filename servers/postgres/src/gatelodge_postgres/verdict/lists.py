"""Names that the rules treat apart, each for a reason."""

from __future__ import annotations

_SQL_RUNNERS = """
query_to_xml query_to_xmlschema query_to_xml_and_xmlschema cursor_to_xml cursor_to_xmlschema table_to_xml table_to_xmlschema
table_to_xml_and_xmlschema schema_to_xml schema_to_xmlschema schema_to_xml_and_xmlschema database_to_xml
database_to_xmlschema database_to_xml_and_xmlschema ts_stat ts_rewrite crosstab crosstab2 crosstab3 crosstab4 crosstab_hash
connectby xpath_table dblink dblink_exec dblink_open dblink_fetch dblink_close dblink_send_query dblink_get_result
dblink_connect dblink_connect_u dblink_build_sql_insert dblink_build_sql_update dblink_build_sql_delete
"""
SQL_RUNNERS = frozenset(_SQL_RUNNERS.split())
"""Functions that run a text as SQL, or read whole tables by name: what they do can't be seen."""

RUNNING_EXTENSIONS = frozenset(("dblink", "pgrouting", "pg_background", "pg_cron", "http", "pg_net"))
"""Extensions that are there to run SQL texts, or to reach the network."""

_HARMLESS = """
random random_normal clock_timestamp timeofday gen_random_uuid uuidv4 uuidv7 currval lastval pg_is_in_recovery
pg_is_wal_replay_paused pg_get_wal_replay_pause_state pg_current_wal_lsn pg_current_wal_insert_lsn pg_current_wal_flush_lsn
pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp pg_last_committed_xact pg_xact_commit_timestamp
pg_xact_status txid_status pg_blocking_pids pg_safe_snapshot_blocking_pids pg_lock_status pg_prepared_xact
pg_notification_queue_usage pg_sequence_last_value pg_database_size pg_indexes_size pg_relation_size pg_table_size
pg_tablespace_size pg_total_relation_size pg_partition_tree pg_partition_ancestors pg_collation_actual_version
pg_database_collation_actual_version pg_control_checkpoint pg_control_init pg_control_recovery pg_control_system
pg_jit_available current_query pg_stat_have_stats pg_get_shmem_allocations pg_get_backend_memory_contexts
pg_show_replication_origin_status pg_get_multixact_members pg_replication_origin_progress
"""
HARMLESS = frozenset(_HARMLESS.split())
"""PostgreSQL's own volatile functions that change nothing: clocks, chance, sizes and states."""

HARMLESS_PREFIXES = ("pg_stat_get_",)

HARMLESS_IN = {
    "uuid-ossp": ("uuid_generate_v1", "uuid_generate_v1mc", "uuid_generate_v4"),
    "pgcrypto": ("gen_random_bytes", "gen_random_uuid", "gen_salt"),
    "pg_stat_statements": ("pg_stat_statements", "pg_stat_statements_info"),
    "pg_buffercache": ("pg_buffercache_pages", "pg_buffercache_summary", "pg_buffercache_usage_counts"),
    "tablefunc": ("normal_rand",),
    "pgstattuple": ("pgstattuple", "pgstatindex", "pgstattuple_approx", "pg_relpages"),
    "tsm_system_rows": ("system_rows",),
}
"""The same of extensions."""

_CLOSED = """
pg_authid pg_shadow pg_user_mapping pg_user_mappings pg_subscription pg_largeobject pg_hba_file_rules pg_ident_file_mappings
pg_file_settings pg_statistic pg_statistic_ext_data user_mapping_options _pg_user_mappings
"""
SECRET_RELATIONS = frozenset(_CLOSED.split())
"""Parts of the catalog that hold passwords, connection strings, or contents."""

VALUE_RELATIONS = frozenset(("pg_stats", "pg_stats_ext", "pg_stats_ext_exprs"))
"""Parts of the catalog that hold values of columns that the role may read: masked ones, a superuser's passwords."""

STATEMENT_RELATIONS = frozenset(("pg_stat_activity", "pg_stat_statements"))
"""Views of what others' statements say, with the values in them."""
STATEMENT_FUNCTIONS = frozenset(("pg_stat_get_activity", "pg_stat_get_backend_activity", "pg_stat_statements"))
"""The functions behind them."""

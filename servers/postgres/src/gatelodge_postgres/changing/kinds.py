"""Which statements may change something here, and why the others may not: by the name of the statement's node."""

from __future__ import annotations

DML = {"InsertStmt": "INSERT", "UpdateStmt": "UPDATE", "DeleteStmt": "DELETE", "MergeStmt": "MERGE"}

DDL = {
    "CreateStmt": "CREATE TABLE",
    "CreateTableAsStmt": "CREATE TABLE AS",
    "AlterTableStmt": "ALTER",
    "RenameStmt": "ALTER ... RENAME",
    "AlterObjectSchemaStmt": "ALTER ... SET SCHEMA",
    "IndexStmt": "CREATE INDEX",
    "DropStmt": "DROP",
    "TruncateStmt": "TRUNCATE",
    "CreateSchemaStmt": "CREATE SCHEMA",
    "ViewStmt": "CREATE VIEW",
    "RefreshMatViewStmt": "REFRESH MATERIALIZED VIEW",
    "CreateSeqStmt": "CREATE SEQUENCE",
    "AlterSeqStmt": "ALTER SEQUENCE",
    "CreateEnumStmt": "CREATE TYPE",
    "AlterEnumStmt": "ALTER TYPE",
    "CompositeTypeStmt": "CREATE TYPE",
    "CreateRangeStmt": "CREATE TYPE",
    "CreateDomainStmt": "CREATE DOMAIN",
    "AlterDomainStmt": "ALTER DOMAIN",
    "CommentStmt": "COMMENT",
    "CreateStatsStmt": "CREATE STATISTICS",
    "AlterStatsStmt": "ALTER STATISTICS",
    "CreatePolicyStmt": "CREATE POLICY",
    "AlterPolicyStmt": "ALTER POLICY",
    "CreateFunctionStmt": "CREATE FUNCTION",
    "AlterFunctionStmt": "ALTER FUNCTION",
    "CreateTrigStmt": "CREATE TRIGGER",
}

OBJECTS = frozenset(
    f"OBJECT_{name}"
    for name in (
        "TABLE", "COLUMN", "INDEX", "VIEW", "MATVIEW", "SEQUENCE", "SCHEMA", "TYPE", "DOMAIN", "TABCONSTRAINT",
        "DOMCONSTRAINT", "TRIGGER", "FUNCTION", "PROCEDURE", "ROUTINE", "ATTRIBUTE", "POLICY", "STATISTIC_EXT", "RULE",
    )
)  # fmt: skip
"""What DROP, RENAME, SET SCHEMA and COMMENT may be about; the rest is the cluster's, or reaches out of the database."""

_NO_ROLLBACK = "can't run inside a transaction, so it can't be previewed or undone"
_ESCAPES = "would end or change the transaction that holds the change"
_SESSION = "changes the session, not the data"
_RIGHTS = "changes rights or roles, which are the person's to give"
_HIDES = "runs code that can't be judged"
_OUTSIDE = "reaches files, programs or other servers, which no rollback undoes"
_UPKEEP = "is upkeep of the server, not a change of data or definitions"

REFUSED = {
    "TransactionStmt": ("BEGIN, COMMIT, ROLLBACK and the like", _ESCAPES),
    "PrepareStmt": ("PREPARE", _SESSION),
    "ExecuteStmt": ("EXECUTE", _HIDES),
    "DeallocateStmt": ("DEALLOCATE", _SESSION),
    "DeclareCursorStmt": ("DECLARE", _SESSION),
    "FetchStmt": ("FETCH", _SESSION),
    "ClosePortalStmt": ("CLOSE", _SESSION),
    "VariableSetStmt": ("SET", _SESSION),
    "VariableShowStmt": ("SHOW", "changes nothing; use run_query with current_setting"),
    "ConstraintsSetStmt": ("SET CONSTRAINTS", _SESSION),
    "DiscardStmt": ("DISCARD", _SESSION),
    "ListenStmt": ("LISTEN", _SESSION),
    "UnlistenStmt": ("UNLISTEN", _SESSION),
    "NotifyStmt": ("NOTIFY", "reaches other sessions"),
    "LockStmt": ("LOCK", "only holds others up"),
    "LoadStmt": ("LOAD", _OUTSIDE),
    "CopyStmt": ("COPY", _OUTSIDE),
    "DoStmt": ("DO", _HIDES),
    "CallStmt": ("CALL", "runs code that can't be judged, and that may commit"),
    "VacuumStmt": ("VACUUM and ANALYZE", _UPKEEP),
    "ClusterStmt": ("CLUSTER", _UPKEEP),
    "RepackStmt": ("REPACK", _UPKEEP),
    "ReindexStmt": ("REINDEX", _UPKEEP),
    "CheckPointStmt": ("CHECKPOINT", _UPKEEP),
    "AlterSystemStmt": ("ALTER SYSTEM", _NO_ROLLBACK),
    "CreatedbStmt": ("CREATE DATABASE", _NO_ROLLBACK),
    "DropdbStmt": ("DROP DATABASE", _NO_ROLLBACK),
    "AlterDatabaseStmt": ("ALTER DATABASE", _RIGHTS),
    "AlterDatabaseSetStmt": ("ALTER DATABASE", _RIGHTS),
    "AlterDatabaseRefreshCollStmt": ("ALTER DATABASE", _UPKEEP),
    "CreateTableSpaceStmt": ("CREATE TABLESPACE", _NO_ROLLBACK),
    "DropTableSpaceStmt": ("DROP TABLESPACE", _NO_ROLLBACK),
    "AlterTableMoveAllStmt": ("ALTER ... ALL IN TABLESPACE", _UPKEEP),
    "CreateSubscriptionStmt": ("CREATE SUBSCRIPTION", _OUTSIDE),
    "AlterSubscriptionStmt": ("ALTER SUBSCRIPTION", _OUTSIDE),
    "DropSubscriptionStmt": ("DROP SUBSCRIPTION", _OUTSIDE),
    "GrantStmt": ("GRANT and REVOKE", _RIGHTS),
    "GrantRoleStmt": ("GRANT and REVOKE", _RIGHTS),
    "AlterDefaultPrivilegesStmt": ("ALTER DEFAULT PRIVILEGES", _RIGHTS),
    "CreateRoleStmt": ("CREATE ROLE", _RIGHTS),
    "AlterRoleStmt": ("ALTER ROLE", _RIGHTS),
    "AlterRoleSetStmt": ("ALTER ROLE", _RIGHTS),
    "DropRoleStmt": ("DROP ROLE", _RIGHTS),
    "AlterOwnerStmt": ("OWNER TO", _RIGHTS),
    "DropOwnedStmt": ("DROP OWNED", _RIGHTS),
    "ReassignOwnedStmt": ("REASSIGN OWNED", _RIGHTS),
    "SecLabelStmt": ("SECURITY LABEL", _RIGHTS),
    "CreateExtensionStmt": ("CREATE EXTENSION", "runs a script of the server's disk, often as superuser"),
    "AlterExtensionStmt": ("ALTER EXTENSION", "runs a script of the server's disk, often as superuser"),
    "CreatePLangStmt": ("CREATE LANGUAGE", _HIDES),
    "CreateEventTrigStmt": ("CREATE EVENT TRIGGER", _HIDES),
    "AlterEventTrigStmt": ("ALTER EVENT TRIGGER", _HIDES),
    "RuleStmt": ("CREATE RULE", "makes other statements do something else"),
    "CreateFdwStmt": ("CREATE FOREIGN DATA WRAPPER", _OUTSIDE),
    "CreateForeignServerStmt": ("CREATE SERVER", _OUTSIDE),
    "CreateForeignTableStmt": ("CREATE FOREIGN TABLE", _OUTSIDE),
    "ImportForeignSchemaStmt": ("IMPORT FOREIGN SCHEMA", _OUTSIDE),
    "CreateUserMappingStmt": ("CREATE USER MAPPING", _RIGHTS),
    "ExplainStmt": ("EXPLAIN", "belongs to explain_query"),
}
"""(how SQL calls it, why it isn't run)."""

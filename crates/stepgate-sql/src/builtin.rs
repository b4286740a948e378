//! What of the server's own is harmless: pure functions, catalog relations, types, keywords.
//!
//! Allow-lists: what is not here is `unknown`. Never to be listed: functions that run SQL given as text
//! (`query_to_xml` and kin, `ts_stat`, `ts_rewrite`), that read tables by name (`table_to_xml`,
//! `pg_sequence_last_value`), files or large objects (`pg_read_file`, `lo_get`), statistics or other sessions
//! (`pg_stat_get_activity`), or that change settings (`set_config`).

use std::collections::HashSet;
use std::sync::LazyLock;

use crate::facts::SinkKind;

type Words = LazyLock<HashSet<&'static str>>;

/// Functions of pg_catalog that read nothing but their arguments, or only harmless catalog relations.
static PURE_FUNCTIONS: Words = LazyLock::new(|| {
    "abs acos acosd acosh age any_value area array_agg array_append array_cat array_dims array_length \
     array_lower array_ndims array_position array_positions array_prepend array_remove array_replace \
     array_to_json array_to_string array_upper ascii asin asind asinh atan atan2 atan2d atand atanh avg \
     bit_and bit_count bit_length bit_or bit_xor bool_and bool_or broadcast btrim cardinality cbrt ceil ceiling \
     char_length character_length chr clock_timestamp concat concat_ws convert convert_from convert_to corr \
     cos cosd cosh cot cotd count covar_pop covar_samp crc32 crc32c cume_dist current_database \
     current_query current_schema current_schemas current_setting date date_bin date_part date_trunc decode \
     degrees dense_rank div encode enum_first enum_last enum_range erf erfc every exp extract factorial family \
     first_value float4 float8 floor format format_encoding format_type gcd gen_random_uuid getdatabaseencoding \
     generate_series generate_subscripts get_bit get_byte get_current_ts_config greatest grouping \
     has_any_column_privilege has_column_privilege has_database_privilege has_foreign_data_wrapper_privilege \
     has_function_privilege has_language_privilege has_schema_privilege has_sequence_privilege \
     has_server_privilege has_table_privilege has_tablespace_privilege has_type_privilege hashtext \
     hashtextextended host hostmask \
     inet_client_addr inet_client_port inet_merge inet_same_family inet_server_addr inet_server_port \
     initcap int2 int4 int8 isempty isfinite json_agg json_array_elements json_array_elements_text \
     json_array_length json_build_array json_build_object json_to_record json_to_recordset json_each json_each_text json_extract_path \
     json_extract_path_text json_object json_object_agg json_object_keys json_strip_nulls json_typeof \
     jsonb_agg jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array \
     jsonb_build_object jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_insert \
     jsonb_object jsonb_object_agg jsonb_object_keys jsonb_path_exists jsonb_path_match jsonb_path_query \
     jsonb_path_query_array jsonb_path_query_first jsonb_pretty jsonb_set jsonb_set_lax jsonb_strip_nulls \
     jsonb_to_record jsonb_to_recordset jsonb_typeof justify_days justify_hours justify_interval lag last_value lcm lead least left length ln \
     localtime localtimestamp log log10 lower lower_inc lower_inf lpad ltrim make_date make_interval \
     make_time make_timestamp make_timestamptz masklen max md5 merge_action min min_scale mod mode multirange network \
     normalize now nth_value ntile num_nonnulls num_nulls numeric numnode octet_length overlay \
     parse_ident percent_rank percentile_cont percentile_disc phraseto_tsquery pi plainto_tsquery point \
     position pow power quote_ident quote_literal quote_nullable radians random random_normal \
     range_agg range_intersect_agg range_merge rank \
     regexp_count regexp_instr regexp_like regexp_match regexp_matches regexp_replace \
     regexp_split_to_array regexp_split_to_table regexp_substr regr_avgx regr_avgy regr_count regr_intercept \
     regr_r2 regr_slope regr_sxx regr_sxy regr_syy repeat replace reverse right round row_number row_to_json \
     rpad rtrim scale session_user set_bit set_byte set_masklen setweight sha224 sha256 sha384 sha512 sign \
     sin sind sinh split_part sqrt starts_with statement_timestamp stddev stddev_pop stddev_samp string_agg \
     string_to_array string_to_table strip strpos substr substring sum tan tand tanh text timeofday timestamp \
     timestamptz timezone to_ascii to_char to_date to_hex to_json to_jsonb to_number to_timestamp to_tsquery to_tsvector \
     transaction_timestamp translate trim trim_array trim_scale trunc ts_headline ts_rank ts_rank_cd unistr \
     unnest upper upper_inc upper_inf user uuid_extract_timestamp uuid_extract_version uuidv4 uuidv7 var_pop \
     var_samp variance version websearch_to_tsquery width width_bucket coalesce nullif \
     aclexplode acldefault col_description makeaclitem obj_description shobj_description \
     pg_backend_pid pg_blocking_pids pg_char_to_encoding pg_client_encoding pg_collation_for pg_collation_is_visible \
     pg_is_in_recovery pg_jit_available pg_my_temp_schema pg_notification_queue_usage \
     pg_stat_get_bgwriter_timed_checkpoints pg_stat_get_bgwriter_requested_checkpoints pg_stat_get_snapshot_timestamp \
     pg_stat_get_archiver pg_stat_get_bgwriter_buf_written_checkpoints pg_stat_get_bgwriter_buf_written_clean \
     pg_stat_get_bgwriter_maxwritten_clean pg_stat_get_bgwriter_stat_reset_time pg_stat_get_buf_alloc \
     pg_stat_get_buf_fsync_backend pg_stat_get_buf_written_backend pg_stat_get_checkpoint_sync_time \
     pg_stat_get_checkpoint_write_time \
     pg_stat_get_numscans pg_stat_get_tuples_returned pg_stat_get_tuples_fetched pg_stat_get_live_tuples \
     pg_stat_get_dead_tuples \
     pg_column_size pg_current_wal_lsn pg_current_xact_id_if_assigned txid_current_if_assigned \
     pg_conf_load_time pg_conversion_is_visible pg_database_size pg_describe_object pg_encoding_to_char \
     pg_encoding_max_length pg_function_is_visible pg_get_constraintdef pg_get_expr \
     pg_get_function_arg_default pg_get_function_arguments pg_get_function_identity_arguments \
     pg_get_function_result pg_get_function_sqlbody pg_get_functiondef pg_get_indexdef pg_get_keywords \
     pg_get_partition_constraintdef pg_get_partkeydef pg_get_ruledef pg_get_serial_sequence \
     pg_get_statisticsobjdef pg_get_statisticsobjdef_columns pg_get_statisticsobjdef_expressions \
     pg_get_triggerdef pg_get_userbyid pg_get_viewdef pg_has_role pg_identify_object pg_index_column_has_property \
     pg_index_has_property pg_indexam_has_property pg_indexes_size pg_is_in_recovery pg_is_other_temp_schema \
     pg_my_temp_schema pg_opclass_is_visible pg_operator_is_visible pg_opfamily_is_visible \
     pg_options_to_table pg_partition_ancestors pg_partition_root pg_partition_tree \
     pg_postmaster_start_time pg_relation_is_publishable pg_relation_size pg_size_bytes \
     pg_size_pretty pg_statistics_obj_is_visible pg_table_is_visible pg_table_size pg_tablespace_location \
     pg_tablespace_size pg_total_relation_size pg_ts_config_is_visible pg_ts_dict_is_visible \
     pg_ts_parser_is_visible pg_ts_template_is_visible pg_type_is_visible pg_typeof \
     anytextcat bpcharsend cash_in cash_out currval date_cmp_timestamptz date_eq_timestamptz \
     date_ge_timestamptz date_gt_timestamptz date_le_timestamptz date_lt_timestamptz date_ne_timestamptz \
     date_in date_out getpgusername has_parameter_privilege integer_pl_date interval_in interval_out \
     interval_pl_date interval_pl_time interval_pl_timestamp interval_pl_timestamptz interval_pl_timetz \
     json_to_tsvector jsonb_path_exists_tz jsonb_path_match_tz jsonb_path_query_array_tz \
     jsonb_path_query_first_tz jsonb_path_query_tz jsonb_to_tsvector lastval money mxid_age numeric_pl_pg_lsn \
     oidvectortypes overlaps pg_column_compression pg_column_is_updatable pg_current_snapshot \
     pg_current_wal_flush_lsn pg_current_wal_insert_lsn pg_filenode_relation pg_get_object_address \
     pg_get_replica_identity_index pg_get_wal_replay_pause_state pg_identify_object_as_address \
     pg_is_wal_replay_paused pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp \
     pg_listening_channels pg_relation_filenode pg_relation_filepath pg_relation_is_updatable \
     pg_sequence_parameters pg_settings_get_flags pg_show_all_settings pg_sleep \
     pg_trigger_depth polygon textanycat textsend time time_in time_out timedate_pl timestamp_cmp_timestamptz \
     timestamp_eq_timestamptz timestamp_ge_timestamptz timestamp_gt_timestamptz timestamp_le_timestamptz \
     timestamp_lt_timestamptz timestamp_ne_timestamptz timestamp_in timestamp_out timestamptz_cmp_date \
     timestamptz_cmp_timestamp timestamptz_eq_date timestamptz_eq_timestamp timestamptz_ge_date \
     timestamptz_ge_timestamp timestamptz_gt_date timestamptz_gt_timestamp timestamptz_le_date \
     timestamptz_le_timestamp timestamptz_lt_date timestamptz_lt_timestamp timestamptz_ne_date \
     timestamptz_ne_timestamp timestamptz_in timestamptz_mi_interval timestamptz_out timestamptz_pl_interval \
     timetz timetz_in timetz_out timetzdate_pl to_regcollation ts_match_tq ts_match_tt txid_current_snapshot \
     varcharsend xml xml_is_well_formed xml_is_well_formed_content xml_is_well_formed_document xpath \
     xpath_exists \
     row_security_active to_regclass to_regnamespace to_regoper to_regoperator to_regproc to_regprocedure to_regrole \
     to_regtype"
        .split_ascii_whitespace()
        .collect()
});

/// Harmless as well, but they change something: a sequence, a lock.
static HARMLESS_WRITERS: Words = LazyLock::new(|| {
    "nextval pg_current_xact_id txid_current pg_advisory_lock pg_advisory_lock_shared pg_advisory_unlock \
     pg_advisory_unlock_all \
     pg_advisory_unlock_shared pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_try_advisory_lock \
     pg_try_advisory_lock_shared pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared"
        .split_ascii_whitespace()
        .collect()
});

/// Those of the pure functions that may return many rows.
static SET_RETURNING: Words = LazyLock::new(|| {
    "generate_series generate_subscripts unnest json_array_elements json_array_elements_text json_each \
     json_each_text json_object_keys jsonb_array_elements jsonb_array_elements_text jsonb_each \
     jsonb_each_text jsonb_object_keys jsonb_path_query jsonb_path_query_tz json_to_recordset jsonb_to_recordset regexp_matches regexp_split_to_table string_to_table \
     aclexplode pg_get_keywords pg_listening_channels pg_options_to_table pg_partition_ancestors pg_partition_tree \
     pg_show_all_settings pg_snapshot_xip txid_snapshot_xip"
        .split_ascii_whitespace()
        .collect()
});

/// Those of the pure functions and harmless writers that are volatile (`pg_proc.provolatile`).
static VOLATILE: Words = LazyLock::new(|| {
    "clock_timestamp current_query currval gen_random_uuid lastval nextval pg_advisory_lock pg_advisory_lock_shared \
     pg_advisory_unlock pg_advisory_unlock_all pg_advisory_unlock_shared pg_advisory_xact_lock \
     pg_advisory_xact_lock_shared pg_blocking_pids pg_current_wal_flush_lsn pg_current_wal_insert_lsn pg_current_wal_lsn \
     pg_current_xact_id pg_database_size pg_get_wal_replay_pause_state pg_indexes_size pg_is_in_recovery \
     pg_is_wal_replay_paused pg_jit_available pg_last_wal_receive_lsn pg_last_wal_replay_lsn \
     pg_last_xact_replay_timestamp pg_notification_queue_usage pg_partition_ancestors pg_partition_tree pg_relation_size \
     pg_sleep pg_table_size pg_tablespace_size pg_total_relation_size pg_try_advisory_lock pg_try_advisory_lock_shared \
     pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared random random_normal timeofday txid_current uuidv4 uuidv7"
        .split_ascii_whitespace()
        .collect()
});

/// Aggregates: without GROUP BY they make one row of all.
static AGGREGATES: Words = LazyLock::new(|| {
    "any_value array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp every \
     json_agg json_object_agg jsonb_agg jsonb_object_agg max min mode percentile_cont percentile_disc \
     stddev stddev_pop stddev_samp string_agg sum var_pop var_samp variance"
        .split_ascii_whitespace()
        .collect()
});

/// Relations of pg_catalog that hold definitions only: no rows of users' tables, no samples of them, no
/// other session's statements, no secrets. The `pg_stat` views among them count scans, rows, blocks and calls.
static HARMLESS_RELATIONS: Words = LazyLock::new(|| {
    "pg_aggregate pg_am pg_amop pg_amproc pg_attrdef pg_attribute pg_auth_members pg_available_extension_versions \
     pg_available_extensions pg_cast pg_class pg_collation pg_config pg_constraint pg_conversion pg_database \
     pg_db_role_setting pg_default_acl pg_depend pg_description pg_enum pg_event_trigger pg_extension \
     pg_foreign_data_wrapper pg_foreign_server pg_foreign_table pg_group pg_index pg_indexes pg_inherits pg_init_privs pg_language pg_locks pg_matviews \
     pg_namespace pg_opclass pg_operator pg_opfamily pg_partitioned_table pg_policies pg_policy pg_proc \
     pg_publication pg_publication_namespace pg_publication_rel pg_publication_tables pg_range pg_replication_slots pg_rewrite \
     pg_roles pg_rules pg_seclabel pg_seclabels pg_sequence pg_sequences pg_settings pg_shdepend \
     pg_stat_activity pg_stat_all_indexes pg_stat_all_tables pg_stat_archiver pg_stat_bgwriter pg_stat_database pg_stat_gssapi pg_stat_slru pg_stat_ssl pg_stat_sys_indexes \
     pg_stat_sys_tables pg_stat_user_functions pg_stat_user_indexes pg_stat_user_tables pg_stat_wal pg_statio_all_indexes \
     pg_statio_all_sequences pg_statio_all_tables \
     pg_statio_user_indexes pg_statio_user_tables \
     pg_shdescription pg_shseclabel pg_statistic_ext pg_subscription pg_tables pg_tablespace pg_timezone_abbrevs pg_timezone_names \
     pg_transform pg_trigger pg_ts_config pg_ts_config_map pg_ts_dict pg_ts_parser pg_ts_template pg_type \
     pg_user pg_views"
        .split_ascii_whitespace()
        .collect()
});

/// The same of information_schema.
static HARMLESS_INFORMATION: Words = LazyLock::new(|| {
    "applicable_roles attributes character_sets check_constraint_routine_usage check_constraints collations \
     collation_character_set_applicability column_column_usage column_domain_usage column_privileges \
     column_udt_usage columns constraint_column_usage constraint_table_usage domain_constraints \
     domain_udt_usage domains element_types enabled_roles information_schema_catalog_name \
     key_column_usage parameters referential_constraints role_column_grants role_routine_grants \
     role_table_grants role_udt_grants role_usage_grants routine_privileges routines schemata sequences \
     table_constraints table_privileges tables triggered_update_columns triggers udt_privileges \
     usage_privileges user_defined_types view_column_usage view_routine_usage view_table_usage views"
        .split_ascii_whitespace()
        .collect()
});

/// Types of pg_catalog whose input and output read nothing.
static TYPES: Words = LazyLock::new(|| {
    "bigint bit bool boolean box bpchar bytea char character cid cidr circle date datemultirange daterange dec \
     decimal double float float4 float8 inet int int2 int2vector int4 int4multirange int4range int8 \
     int8multirange int8range integer interval json jsonb jsonpath line lseg macaddr macaddr8 money name \
     national nchar numeric nummultirange numrange oid oidvector path pg_lsn point polygon real refcursor \
     regclass regcollation regconfig regdictionary regnamespace regoper regoperator regproc regprocedure \
     regrole regtype smallint text tid time timestamp timestamptz timetz tsmultirange tsquery tsrange \
     tstzmultirange tstzrange tsvector uuid varbit varchar xid xid8 xml cstring record pg_snapshot txid_snapshot aclitem anyarray pg_node_tree unknown"
        .split_ascii_whitespace()
        .collect()
});

/// Operator classes of pg_catalog. Only a superuser can make another of such a name.
static OPERATOR_CLASSES: Words = LazyLock::new(|| {
    "text_ops text_pattern_ops varchar_ops varchar_pattern_ops bpchar_ops bpchar_pattern_ops name_ops \
     char_ops bool_ops bytea_ops int2_ops int4_ops int8_ops numeric_ops float4_ops float8_ops money_ops \
     date_ops time_ops timetz_ops timestamp_ops timestamptz_ops interval_ops uuid_ops inet_ops cidr_ops \
     macaddr_ops macaddr8_ops oid_ops oidvector_ops pg_lsn_ops array_ops range_ops multirange_ops \
     enum_ops record_ops record_image_ops bit_ops varbit_ops jsonb_ops jsonb_path_ops tsvector_ops \
     tsquery_ops point_ops box_ops poly_ops circle_ops quad_point_ops kd_point_ops inet_inclusion_ops \
     range_inclusion_ops"
        .split_ascii_whitespace()
        .collect()
});

/// Type names that are grammar: no schema can hide them.
static GRAMMAR_TYPES: Words = LazyLock::new(|| {
    "bigint bit boolean char character dec decimal double float int integer interval national nchar numeric \
     real smallint time timestamp varchar"
        .split_ascii_whitespace()
        .collect()
});

/// Keywords that may stand before a parenthesis without calling a function, as `pg_get_viewdef` prints.
static PAREN_KEYWORDS: Words = LazyLock::new(|| {
    "all and any array as between by case cast char character coalesce cross cube distinct else except \
     exists extract filter for from greatest group grouping having in inner intersect is join least left like \
     limit materialized not nullif numeric nullif offset on or order outer over overlaps overlay partition position \
     recursive right rollup row select sets similar some substring then time timestamp trim union using values \
     varchar bit varying when where window with within interval lateral tablesample xor precision decimal \
     xmlattributes xmlconcat xmlelement xmlforest xmlparse xmlpi xmlroot"
        .split_ascii_whitespace()
        .collect()
});

/// Words that a normalised statement shows whether or not the catalog knows them: the language's own.
static SHOWN_WORDS: Words = LazyLock::new(|| {
    "abort add after all alter analyze and any array as asc asymmetric at authorization begin between both by \
     call cascade case cast check checkpoint close cluster coalesce collate column comment commit concurrently \
     conflict constraint copy create cross cube current current_catalog current_date current_role \
     current_schema current_time current_timestamp current_user cursor database deallocate declare default \
     delete desc discard distinct do domain drop each else end escape except excluded execute exists explain \
     extension extract false fetch filter first following for foreign format from full function grant greatest group \
     grouping having hold if ilike immutable in index inherits inner insert instead intersect into is isolation \
     join key last lateral leading least left level like limit listen local localtime localtimestamp lock \
     materialized merge move names natural next no not nothing notify null nullif nulls of off offset on \
     only operator or order outer over overlaps overlay owner partition password placing plans policy \
     position preceding prepare prepared primary procedure publication range read reassign recursive \
     references refresh reindex release rename replace reset restrict returning returns revoke right \
     role rollback rollup row rows rule savepoint schema security select sequence serializable server \
     session session_user set sets show similar some start statement stdin stdout subscription substring \
     symmetric system table tablesample temp temporary then tablespace ties time timestamp to trailing \
     transaction trigger trim true truncate type unbounded union unique unknown unlisten unlogged update user \
     using vacuum values verbose view when where window with within without work write zone date interval"
        .split_ascii_whitespace()
        .collect()
});

/// Operators that a normalised statement may show: the grammar's own, pg_catalog's of PostgreSQL 13 to 18 (pg_operator.dat),
/// and those of extensions that are seldom missing (contrib, PostGIS, pgvector), which the catalog is not asked for.
static SHOWN_OPERATORS: Words = LazyLock::new(|| {
    "=> := != \
     ! !! !~ !~* !~~ !~~* ## # #- #> #>> % && & &< &<| &> * *< *<= *<> *= *> *>= + - -> ->> -|- / < <-> << <<= <<| <= <> \
     <@ <^ = > >= >> >>= >^ ?# ?& ? ?- ?-| ?| ?|| @ @-@ @> @? @@ @@@ ^ ^@ |&> | |/ |>> || ||/ ~ ~* ~<=~ ~<~ ~= ~>=~ \
     ~>~ ~~ ~~* \
     #= %% %# <% %> <<% %>> <<-> <->> <<<-> <->>> <#> <=> ~> ~~= ^@> ^<@ ^~ ^? ?@> ?<@ ?~ ?@ &&& @@= &/& @>> <<@ |=| \
     <<#>> <<->> &|> <+> <~>"
        .split_ascii_whitespace()
        .collect()
});

pub(crate) fn pure_function(name: &str) -> bool {
    PURE_FUNCTIONS.contains(name)
}

pub(crate) fn harmless_writer(name: &str) -> bool {
    HARMLESS_WRITERS.contains(name)
}

/// Whether what that function is given can be seen by others, or later, without a read of any relation: there.
pub(crate) fn shows_in(name: &str) -> Option<SinkKind> {
    match name {
        "set_config" => Some(SinkKind::Setting),
        _ if name.contains("_advisory_") && name.contains("lock") && !name.contains("unlock") => {
            Some(SinkKind::AdvisoryLock)
        }
        _ => None,
    }
}

pub(crate) fn returns_a_set(name: &str) -> bool {
    SET_RETURNING.contains(name)
}

/// Whether the server calls that function whether or not anybody asks for what it returns.
pub(crate) fn is_volatile(name: &str) -> bool {
    VOLATILE.contains(name)
}

pub(crate) fn aggregates(name: &str) -> bool {
    AGGREGATES.contains(name)
}

/// Aggregates whose one value holds all those that they were given.
pub(crate) fn collects(name: &str) -> bool {
    matches!(
        name,
        "array_agg"
            | "json_agg"
            | "json_arrayagg"
            | "json_object_agg"
            | "json_objectagg"
            | "jsonb_agg"
            | "jsonb_object_agg"
            | "string_agg"
            | "xmlagg"
    )
}

/// Whether reading that relation of pg_catalog is harmless.
pub(crate) fn harmless_relation(name: &str) -> bool {
    HARMLESS_RELATIONS.contains(name)
}

/// The function by which a relation of pg_catalog tells of the session that reads it.
fn tells_of_session(relation: &str) -> Option<&'static str> {
    Some(match relation {
        "pg_settings" => "pg_show_all_settings",
        "pg_cursors" => "pg_cursor",
        "pg_prepared_statements" => "pg_prepared_statement",
        "pg_locks" => "pg_lock_status",
        "pg_backend_memory_contexts" => "pg_get_backend_memory_contexts",
        "pg_stat_activity" | "pg_stat_gssapi" | "pg_stat_ssl" => "pg_stat_get_activity",
        name if name.starts_with("pg_stat_xact_") => "pg_stat_get_xact_numscans",
        _ => return None,
    })
}

/// Functions that give in each session what was set or done there, or go on with it: descriptors of large objects are the
/// transaction's.
const OF_SESSION: [&str; 53] = [
    "current_setting",
    "currval",
    "get_current_ts_config",
    "inet_client_addr",
    "inet_client_port",
    "inet_server_addr",
    "inet_server_port",
    "lastval",
    "lo_close",
    "lo_lseek",
    "lo_lseek64",
    "lo_tell",
    "lo_tell64",
    "lo_truncate",
    "lo_truncate64",
    "loread",
    "lowrite",
    "pg_advisory_unlock",
    "pg_advisory_unlock_shared",
    "pg_backend_pid",
    "pg_client_encoding",
    "pg_current_snapshot",
    "pg_current_xact_id",
    "pg_current_xact_id_if_assigned",
    "pg_cursor",
    "pg_export_snapshot",
    "pg_get_backend_memory_contexts",
    "pg_is_other_temp_schema",
    "pg_listening_channels",
    "pg_lock_status",
    "pg_my_temp_schema",
    "pg_prepared_statement",
    "pg_show_all_settings",
    "pg_stat_get_activity",
    "pg_stat_get_backend_activity",
    "pg_stat_get_xact_blocks_fetched",
    "pg_stat_get_xact_blocks_hit",
    "pg_stat_get_xact_function_calls",
    "pg_stat_get_xact_numscans",
    "pg_stat_get_xact_tuples_deleted",
    "pg_stat_get_xact_tuples_fetched",
    "pg_stat_get_xact_tuples_hot_updated",
    "pg_stat_get_xact_tuples_inserted",
    "pg_stat_get_xact_tuples_returned",
    "pg_stat_get_xact_tuples_updated",
    "pg_try_advisory_lock",
    "pg_try_advisory_lock_shared",
    "pg_try_advisory_xact_lock",
    "pg_try_advisory_xact_lock_shared",
    "set_config",
    "txid_current",
    "txid_current_if_assigned",
    "txid_current_snapshot",
];

/// What a word names by which results hang on the session: such a function, or what a relation of pg_catalog calls.
pub(crate) fn of_session(word: &str) -> Option<&'static str> {
    let known = || OF_SESSION.binary_search(&word).ok().and_then(|at| OF_SESSION.get(at).copied());
    tells_of_session(word).or_else(known)
}

/// The column of pg_catalog that has values of others: those that rows from before ADD COLUMN … DEFAULT show.
pub(crate) const MISSING_VALUES: (&str, &str) = ("pg_attribute", "attmissingval");

/// Columns of such a relation that are not harmless: statements and addresses of others, and who they are, passwords.
enum Secrets {
    Of(&'static [&'static str]),
    /// Only how many rows it has is no secret.
    All,
}

fn secrets(name: &str) -> Secrets {
    match name {
        "pg_replication_slots" => Secrets::All,
        "pg_stat_activity" => Secrets::Of(&["query", "application_name", "client_addr", "client_hostname"]),
        "pg_stat_gssapi" => Secrets::Of(&["principal"]),
        "pg_stat_ssl" => Secrets::Of(&["client_dn", "client_serial", "issuer_dn"]),
        "pg_subscription" => Secrets::Of(&["subconninfo"]),
        _ => Secrets::Of(&[]),
    }
}

/// Whether a harmless relation of pg_catalog has columns that are not.
pub(crate) fn has_secrets(relation: &str) -> bool {
    !matches!(secrets(relation), Secrets::Of([]))
}

/// Whether that column is one of them.
pub(crate) fn is_secret(relation: &str, column: &str) -> bool {
    match secrets(relation) {
        Secrets::Of(columns) => columns.contains(&column),
        Secrets::All => true,
    }
}

/// Whether reading that view of information_schema is harmless.
pub(crate) fn harmless_information(name: &str) -> bool {
    HARMLESS_INFORMATION.contains(name)
}

pub(crate) fn builtin_type(name: &str) -> bool {
    TYPES.contains(name)
}

/// Whether that names an operator class of the server's, or the server's schema.
pub(crate) fn operator_class(name: &str) -> bool {
    OPERATOR_CLASSES.contains(name) || name == "pg_catalog"
}

/// Whether the grammar itself reads that word as a type.
pub(crate) fn grammar_type(name: &str) -> bool {
    GRAMMAR_TYPES.contains(name)
}

/// Whether a word before a parenthesis is a keyword or a pure function.
pub(crate) fn may_precede_paren(name: &str) -> bool {
    PAREN_KEYWORDS.contains(name) || pure_function(name)
}

/// Whether a normalised statement may show that word.
pub(crate) fn shown_word(name: &str) -> bool {
    SHOWN_WORDS.contains(name) || pure_function(name) || builtin_type(name)
}

/// Whether a normalised statement may show that operator, whatever the database.
pub(crate) fn shown_operator(name: &str) -> bool {
    SHOWN_OPERATORS.contains(name)
}

/// The columns of a set-returning function with more than one; `None` for any other.
pub(crate) fn function_columns(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "json_each" | "json_each_text" | "jsonb_each" | "jsonb_each_text" => &["key", "value"],
        "aclexplode" => &["grantor", "grantee", "privilege_type", "is_grantable"],
        "pg_options_to_table" => &["option_name", "option_value"],
        "pg_show_all_settings" => &[
            "name",
            "setting",
            "unit",
            "category",
            "short_desc",
            "extra_desc",
            "context",
            "vartype",
            "source",
            "min_val",
            "max_val",
            "enumvals",
            "boot_val",
            "reset_val",
            "sourcefile",
            "sourceline",
            "pending_restart",
        ],
        "pg_partition_tree" => &["relid", "parentrelid", "isleaf", "level"],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use stepgate_testkit::Cluster;

    use super::*;

    #[test]
    fn what_tells_of_a_session_is_found_by_its_name() {
        assert!(OF_SESSION.is_sorted());
        for word in ["current_setting", "pg_settings", "pg_stat_xact_user_tables", "pg_locks"] {
            let function = of_session(word).unwrap();
            assert_eq!(of_session(function), Some(function), "{word}");
        }
        assert_eq!(of_session("customers"), None);
    }

    #[test]
    fn functions_that_run_sql_read_files_or_change_settings_are_never_listed() {
        for name in [
            "query_to_xml",
            "query_to_xml_and_xmlschema",
            "table_to_xml",
            "schema_to_xml",
            "database_to_xml",
            "cursor_to_xml",
            "ts_stat",
            "ts_rewrite",
            "pg_read_file",
            "pg_read_binary_file",
            "pg_ls_dir",
            "lo_import",
            "lo_export",
            "lo_get",
            "loread",
            "set_config",
            "pg_stat_get_activity",
            "setval",
            "pg_sequence_last_value",
            "pg_reload_conf",
            "pg_terminate_backend",
            "dblink",
            "json_populate_record",
            "pg_logical_slot_get_changes",
            "pg_stat_file",
            "pg_export_snapshot",
            "pg_logical_emit_message",
            "pg_notify",
            // They take the OID of a type, which may be a domain.
            "array_in",
            "domain_in",
            "range_in",
            "record_in",
            "pg_stat_statements",
        ] {
            assert!(!pure_function(name) && !harmless_writer(name), "{name}");
        }
        for name in [
            "pg_stats",
            "pg_stats_ext",
            "pg_stats_ext_exprs",
            "pg_statistic",
            "pg_statistic_ext_data",
            "pg_authid",
            "pg_shadow",
            "pg_user_mapping",
            "pg_user_mappings",
            "pg_largeobject",
            "pg_prepared_statements",
            "pg_cursors",
            "pg_file_settings",
            "pg_hba_file_rules",
            "pg_stat_replication",
            "pg_stat_subscription",
            "pg_stat_wal_receiver",
            "pg_stat_progress_copy",
            "pg_stat_statements",
        ] {
            assert!(!harmless_relation(name), "{name}");
        }
        for name in
            ["pg_replication_slots", "pg_stat_activity", "pg_stat_gssapi", "pg_stat_ssl", "pg_subscription"]
        {
            assert!(harmless_relation(name) && has_secrets(name), "{name}");
        }
    }

    #[test]
    fn what_the_server_calls_volatile_or_returns_sets_is_known_to_be() {
        let cluster = Cluster::start().unwrap();
        let names = |which: &str| {
            let sql = format!(
                "select distinct proname from pg_proc p where pronamespace = 'pg_catalog'::regnamespace and {which}"
            );
            cluster.psql("postgres", &sql).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let volatile = names("provolatile = 'v'");
        assert!(volatile.len() > 200);
        for name in &volatile {
            let is_called = pure_function(name) || harmless_writer(name);
            assert_eq!(is_volatile(name), is_called, "{name}");
        }
        let pure = names(
            "proretset and prorettype <> 'internal'::regtype and not exists (select from pg_proc o \
             where o.proname = p.proname and o.pronamespace = p.pronamespace and o.provolatile <> 'i')",
        );
        for name in names("proretset").iter().filter(|name| pure_function(name)).chain(&pure) {
            assert!(returns_a_set(name), "{name}");
        }
        // Of servers that are newer.
        for name in ["random_normal", "uuidv4", "uuidv7"] {
            assert!(is_volatile(name), "{name}");
        }
    }
}

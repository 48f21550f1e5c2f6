//! Which kinds of resources hold data, or are what other things hang on: losing one is not undone by planning again.
//!
//! Terraform's data does not tell, so the kinds of the common providers are listed by name, and words that mean the same
//! everywhere are known besides. A kind that is not known is not warned of; its destruction is shown all the same.

/// Kinds whose names would not say it, or would say something else.
const EXACT: &[(&str, &str)] = &[
    ("aws_acm_certificate", "certificate"),
    ("aws_backup_vault", "backups"),
    ("aws_cloudtrail", "audit log"),
    ("aws_cloudwatch_log_group", "logs"),
    ("aws_cognito_user_pool", "user accounts"),
    ("aws_docdb_cluster", "database"),
    ("aws_docdb_cluster_instance", "database"),
    ("aws_dynamodb_table", "database"),
    ("aws_ebs_snapshot", "snapshot"),
    ("aws_ebs_volume", "disk"),
    ("aws_ecr_repository", "registry"),
    ("aws_efs_file_system", "file system"),
    ("aws_eip", "public address"),
    ("aws_eks_cluster", "cluster"),
    ("aws_elasticache_cluster", "database"),
    ("aws_elasticache_replication_group", "database"),
    ("aws_elasticsearch_domain", "database"),
    ("aws_fsx_lustre_file_system", "file system"),
    ("aws_fsx_windows_file_system", "file system"),
    ("aws_iam_access_key", "key"),
    ("aws_iam_user", "user account"),
    ("aws_keyspaces_table", "database"),
    ("aws_kinesis_stream", "stream"),
    ("aws_kms_key", "key"),
    ("aws_memorydb_cluster", "database"),
    ("aws_mq_broker", "queue"),
    ("aws_msk_cluster", "stream"),
    ("aws_neptune_cluster", "database"),
    ("aws_opensearch_domain", "database"),
    ("aws_rds_cluster", "database"),
    ("aws_rds_cluster_instance", "database"),
    ("aws_rds_global_cluster", "database"),
    ("aws_redshift_cluster", "database"),
    ("aws_route53_zone", "DNS zone"),
    ("aws_secretsmanager_secret", "secret"),
    ("aws_sqs_queue", "queue"),
    ("aws_ssm_parameter", "parameter"),
    ("aws_timestreamwrite_table", "database"),
    ("azurerm_container_registry", "registry"),
    ("azurerm_cosmosdb_account", "database"),
    ("azurerm_dns_zone", "DNS zone"),
    ("azurerm_key_vault", "keys"),
    ("azurerm_key_vault_key", "key"),
    ("azurerm_key_vault_secret", "secret"),
    ("azurerm_kubernetes_cluster", "cluster"),
    ("azurerm_log_analytics_workspace", "logs"),
    ("azurerm_managed_disk", "disk"),
    ("azurerm_mssql_server", "database"),
    ("azurerm_private_dns_zone", "DNS zone"),
    ("azurerm_public_ip", "public address"),
    ("azurerm_redis_cache", "database"),
    ("azurerm_resource_group", "everything in it"),
    ("azurerm_servicebus_queue", "queue"),
    ("azurerm_storage_account", "storage"),
    ("azurerm_storage_container", "storage"),
    ("azurerm_storage_share", "storage"),
    ("cloudflare_zone", "DNS zone"),
    ("digitalocean_domain", "DNS zone"),
    ("digitalocean_volume", "disk"),
    ("github_repository", "repository"),
    ("gitlab_project", "repository"),
    ("google_artifact_registry_repository", "registry"),
    ("google_bigquery_dataset", "database"),
    ("google_bigquery_table", "database"),
    ("google_bigtable_instance", "database"),
    ("google_compute_address", "public address"),
    ("google_compute_disk", "disk"),
    ("google_compute_global_address", "public address"),
    ("google_container_cluster", "cluster"),
    ("google_dns_managed_zone", "DNS zone"),
    ("google_filestore_instance", "file system"),
    ("google_firestore_database", "database"),
    ("google_kms_crypto_key", "key"),
    ("google_kms_key_ring", "keys"),
    ("google_project", "everything in it"),
    ("google_pubsub_topic", "stream"),
    ("google_redis_instance", "database"),
    ("google_secret_manager_secret", "secret"),
    ("google_spanner_instance", "database"),
    ("hcloud_volume", "disk"),
    ("kubernetes_namespace", "everything in it"),
    ("kubernetes_namespace_v1", "everything in it"),
    ("kubernetes_persistent_volume", "disk"),
    ("kubernetes_persistent_volume_claim", "disk"),
    ("kubernetes_persistent_volume_claim_v1", "disk"),
    ("kubernetes_secret", "secret"),
    ("kubernetes_stateful_set", "disks"),
    ("kubernetes_stateful_set_v1", "disks"),
    ("openstack_blockstorage_volume_v3", "disk"),
    ("random_password", "password"),
    ("tls_private_key", "key"),
    ("vault_mount", "secrets"),
];

/// What the last words of a kind's name say, whatever the provider.
const ENDINGS: &[(&str, &str)] = &[
    ("_bucket", "bucket"),
    ("_database", "database"),
    ("_db_cluster", "database"),
    ("_db_instance", "database"),
    ("_database_cluster", "database"),
    ("_database_instance", "database"),
    ("_dns_zone", "DNS zone"),
    ("_file_system", "file system"),
    ("_filesystem", "file system"),
    ("_hosted_zone", "DNS zone"),
    ("_mysql_flexible_server", "database"),
    ("_mysql_server", "database"),
    ("_postgresql_flexible_server", "database"),
    ("_postgresql_server", "database"),
    ("_snapshot", "snapshot"),
    ("_sql_database_instance", "database"),
];

/// What people would miss of a resource of this kind; `None` for kinds that can be made anew without loss.
#[must_use]
pub fn stateful(kind: &str) -> Option<&'static str> {
    let exact = EXACT.binary_search_by_key(&kind, |(name, _)| name).ok().map(|at| EXACT[at].1);
    exact.or_else(|| ENDINGS.iter().find(|(ending, _)| kind.ends_with(ending)).map(|(_, what)| *what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_buckets_disks_keys_and_zones_are_known_and_what_hangs_on_them_is_not_one() {
        let table = [
            ("aws_db_instance", Some("database")),
            ("aws_db_parameter_group", None),
            ("aws_db_subnet_group", None),
            ("aws_s3_bucket", Some("bucket")),
            ("aws_s3_bucket_policy", None),
            ("google_storage_bucket", Some("bucket")),
            ("google_storage_bucket_iam_member", None),
            ("google_sql_database_instance", Some("database")),
            ("azurerm_postgresql_flexible_server", Some("database")),
            ("azurerm_managed_disk", Some("disk")),
            ("aws_kms_key", Some("key")),
            ("aws_kms_alias", None),
            ("aws_route53_zone", Some("DNS zone")),
            ("aws_route53_record", None),
            ("terraform_data", None),
            ("null_resource", None),
        ];
        for (kind, what) in table {
            assert_eq!(stateful(kind), what, "{kind}");
        }
    }

    #[test]
    fn the_table_is_sorted_for_it_is_searched_by_halves() {
        assert!(EXACT.is_sorted_by_key(|(name, _)| *name));
    }
}

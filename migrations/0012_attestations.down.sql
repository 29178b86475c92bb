-- destroys: what was said of backups that were made elsewhere

DROP TABLE annals_attestations;

-- destroys: the catalogue of backups in the database; the manifests beside the files stay

DROP TABLE annals_jobs;
DROP TABLE annals_backups;

"""Administration of a database: health checks, migrations, backup and restore, copies of studies."""

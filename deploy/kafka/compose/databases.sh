#!/bin/bash
# PostgreSQL's image runs this once, when the data is made: a database for each
# service, which belongs to a role of the same name and which no other may enter.
set -euo pipefail
for name in replicator inventory billing; do
	psql -v ON_ERROR_STOP=1 -q -U "${POSTGRES_USER:-postgres}" -d postgres -v name="$name" -v password="$(<"/run/secrets/$name")" <<-'SQL'
		CREATE ROLE :"name" LOGIN PASSWORD :'password';
		CREATE DATABASE :"name" OWNER :"name";
		REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
	SQL
done

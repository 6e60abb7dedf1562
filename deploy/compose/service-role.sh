#!/bin/sh
# The postgres image runs this once, when the database is new. Creates the service's login: a member of
# rally_app and of nothing else, which owns nothing.
set -eu
psql --set=ON_ERROR_STOP=1 --set=password="$RALLY_API_PASSWORD" --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" <<'SQL'
CREATE ROLE rally_app NOLOGIN;
CREATE ROLE rally_api LOGIN PASSWORD :'password' IN ROLE rally_app;
SQL

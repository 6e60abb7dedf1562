-- Who looks something up, or notes what was used, waits for an answer for some seconds and then goes away with the
-- connection. PostgreSQL does not see that while it waits for a lock itself, and would wait on: behind a table that is
-- locked for long, sessions that nobody needs any more pile up, until nobody else can connect. So it gives up first.
ALTER FUNCTION find_tenant(text) SET lock_timeout = '1500ms';
ALTER FUNCTION find_api_key_secrets(uuid[], bytea[]) SET lock_timeout = '1500ms';
ALTER FUNCTION note_usage(uuid, bigint, uuid[], timestamptz[], bytea[], text[], text[], text[], text[], text[], text[],
                          text[]) SET lock_timeout = '4s';

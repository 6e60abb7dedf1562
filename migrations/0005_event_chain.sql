-- Each event carries the hash of its tenant's previous one, so that a change to the audit trail by
-- somebody who gets past the triggers is found: `rally-api-keys events verify`.

ALTER TABLE api_key_events
    -- Counts a tenant's events from 1, without gaps.
    ADD COLUMN seq           bigint CHECK (seq > 0),
    ADD COLUMN previous_hash bytea  CHECK (octet_length(previous_hash) = 32),
    -- SHA-256 over the event's canonical form (RFC 8785), its number and the previous hash in it.
    ADD COLUMN hash          bytea  CHECK (octet_length(hash) = 32),
    -- Events from before this migration have none; every new one has.
    ADD CONSTRAINT chained CHECK (seq IS NOT NULL AND previous_hash IS NOT NULL AND hash IS NOT NULL) NOT VALID;
CREATE UNIQUE INDEX api_key_events_chain ON api_key_events (tenant_id, seq);

-- The last event of each tenant's chain. Who appends one holds this row's lock until it commits:
-- appends wait for one another within a tenant, and for no other tenant.
CREATE TABLE api_key_event_heads (
    tenant_id uuid   PRIMARY KEY REFERENCES tenants,
    seq       bigint NOT NULL CHECK (seq >= 0),
    hash      bytea  NOT NULL CHECK (octet_length(hash) = 32)
) WITH (fillfactor = 50);
ALTER TABLE api_key_event_heads ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON api_key_event_heads TO rally_app
    USING      (tenant_id = nullif(current_setting('rally.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('rally.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT ON api_key_event_heads TO rally_app;
GRANT UPDATE (seq, hash) ON api_key_event_heads TO rally_app;

// The service that .ci/with-service has started.
import assert from 'node:assert/strict';

const { SERVICE_TENANT_URL, SERVICE_TOKEN } = process.env;
assert(SERVICE_TENANT_URL && SERVICE_TOKEN, 'run by .ci/generated-clients');

/** The tenant's host. */
export const url = SERVICE_TENANT_URL;
/** A JWT of the tenant's admin. */
export const token = SERVICE_TOKEN;

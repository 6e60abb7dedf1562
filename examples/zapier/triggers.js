'use strict';

const sample = {
  id: '01a2073f-ad52-724d-9ab3-01acd5b13093',
  type: 'revoked',
  keyId: 'a1b2c3d4-e5f6-7890-abcd-ef1234567890',
  occurredAt: '2026-11-26T16:00:00Z',
  actor: 'admin@acme.com',
  address: '203.0.113.7',
  requestId: '8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10',
  details: { name: 'Zapier Sync', keyHint: 'rk_live_…1b4c', scopes: 'read,write', expiresAt: null },
};

// Newest first, each with an id of its own: what Zapier needs to tell new ones from those it has seen.
const perform = async (z, bundle) => {
  const response = await z.request({
    url: `${bundle.authData.url}/api/v1/api-keys/events`,
    params: { limit: 100, type: bundle.inputData.type },
    removeMissingValuesFrom: { params: true },
  });
  return response.data;
};

module.exports = {
  new_event: {
    key: 'new_event',
    noun: 'Event',
    display: { label: 'New Event', description: 'Triggers when an API key is created, changed, rotated or revoked.' },
    operation: {
      inputFields: [
        {
          key: 'type',
          label: 'Type',
          choices: ['created', 'updated', 'rotated', 'previous_secret_ended', 'suspended', 'resumed', 'revoked', 'receipt', 'secret_reused', 'idle_notice', 'leaked', 'decoy_used', 'exposed', 'policy_changed'],
        },
      ],
      perform,
      sample,
    },
  },
};

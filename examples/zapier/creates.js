'use strict';

// 204, also if the key was revoked before: a repeated run does no harm.
const perform = async (z, bundle) => {
  const { url } = bundle.authData;
  const id = encodeURIComponent(bundle.inputData.id);
  await z.request({ method: 'DELETE', url: `${url}/api/v1/api-keys/${id}` });
  return { id: bundle.inputData.id };
};

module.exports = {
  revoke_key: {
    key: 'revoke_key',
    noun: 'API Key',
    display: { label: 'Revoke API Key', description: 'Revokes an API key for good.' },
    operation: {
      inputFields: [{ key: 'id', label: 'Key ID', required: true }],
      perform,
      sample: { id: 'a1b2c3d4-e5f6-7890-abcd-ef1234567890' },
    },
  },
};

'use strict';

// The key itself answers whether it works, whatever its scopes are.
const test = async (z, bundle) => {
  const response = await z.request({ url: `${bundle.authData.url}/api/v1/api-keys/self` });
  return response.data;
};

const addKey = (request, z, bundle) => {
  request.headers['X-Api-Key'] = bundle.authData.apiKey;
  return request;
};

// Problem documents (RFC 9457) become Zapier's errors: what to wait for, what to reconnect, what to show.
const explainRefusal = (response, z) => {
  if (response.status < 400) return response;
  const problem = response.json ?? {};
  const detail = problem.detail ?? `The service responded with ${response.status}.`;
  const retryAfter = Number(response.getHeader('retry-after'));
  if (retryAfter > 0) throw new z.errors.ThrottledError(detail, retryAfter);
  if (response.status === 401) throw new z.errors.ExpiredAuthError(detail);
  throw new z.errors.Error(`${detail} (request ${problem.requestId})`, problem.code, response.status);
};

module.exports = {
  authentication: {
    type: 'custom',
    fields: [
      { key: 'url', label: 'URL', required: true, placeholder: 'https://your-tenant.rallycrm.io' },
      { key: 'apiKey', label: 'API key', required: true, type: 'password' },
    ],
    test,
    connectionLabel: '{{name}} ({{keyHint}})',
  },
  befores: [addKey],
  afters: [explainRefusal],
};

'use strict';

const { authentication, befores, afters } = require('./authentication');

module.exports = {
  version: require('./package.json').version,
  platformVersion: require('zapier-platform-core').version,
  authentication,
  beforeRequest: befores,
  afterResponse: afters,
  flags: { skipThrowForStatus: true },
  triggers: require('./triggers'),
  creates: require('./creates'),
  searches: {},
  resources: {},
};

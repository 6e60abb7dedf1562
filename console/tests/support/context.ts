import { Service } from './service.js';

/** Shared by all tests: started once, by suite.ts. */
export const service = new Service();

import { Service } from './service.js';

/** Shared by all tests: started once, in all.test.ts. */
export const service = new Service();

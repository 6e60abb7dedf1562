// One of two processes that run at the same time: keys.
import './support/suite.js';
import './list.test.js';
import './create.test.js';
import './key.test.js';
import './rotation.test.js';
import './secrecy.test.js';

// One of two processes that run at the same time: the page, and the element in other pages.
import './support/suite.js';
import './states.test.js';
import './tenant.test.js';
import './sign-in.test.js';
import './element.test.js';
import './speed.test.js';

import { baseStyles } from './base-styles.js';
import { chartStyles } from './chart-styles.js';
import { dialogStyles } from './dialog-styles.js';
import { keyStyles } from './key-styles.js';
import { listStyles } from './list-styles.js';
import { narrowStyles } from './narrow-styles.js';
import { noteStyles } from './note-styles.js';
import { tenantStyles } from './tenant-styles.js';

/** The style sheets of the element and of the console, in the order in which they apply. Hosts theme them by the `--rally-…` properties and by parts. */
export const styles = [baseStyles, listStyles, keyStyles, chartStyles, noteStyles, dialogStyles, tenantStyles, narrowStyles];

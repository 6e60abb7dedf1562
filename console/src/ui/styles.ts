import { css } from 'lit';

/** The one style sheet of the element and of the console. Hosts theme it by the `--rally-…` properties and by parts. */
export const styles = css`
  :host {
    --accent: var(--rally-accent, light-dark(#3b5bdb, #91a7ff));
    --on-accent: var(--rally-on-accent, light-dark(#fff, #10131c));
    --bg: var(--rally-background, light-dark(#fff, #14171d));
    --surface: var(--rally-surface, light-dark(#fff, #1a1e26));
    --sunken: var(--rally-sunken, light-dark(#f5f6f8, #111419));
    --text: var(--rally-text, light-dark(#1b2130, #e6e9f0));
    --muted: var(--rally-muted, light-dark(#5a6376, #a3adbf));
    --border: var(--rally-border, light-dark(#dfe3ea, #2e3542));
    --control: var(--rally-control-border, light-dark(#868fa3, #6b7689));
    --good: var(--rally-good, light-dark(#1a7242, #6dd49a));
    --warn: var(--rally-warning, light-dark(#8a5300, #f0b95b));
    --bad: var(--rally-danger, light-dark(#c0262f, #ff9a9a));
    --good-soft: light-dark(#e7f6ed, #16301f);
    --warn-soft: light-dark(#fff4de, #33270f);
    --bad-soft: light-dark(#fdecec, #3a191b);
    --accent-soft: light-dark(#edf1ff, #1e2748);
    --radius: var(--rally-radius, 8px);
    --mono: var(--rally-font-mono, ui-monospace, 'SF Mono', 'Cascadia Mono', 'DejaVu Sans Mono', Menlo, Consolas, monospace);
    color-scheme: light dark;
    display: block;
    container-type: inline-size;
    font: 14px/1.5 var(--rally-font, system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif);
    color: var(--text);
    text-align: start;
  }
  :host([theme='light']) {
    color-scheme: light;
  }
  :host([theme='dark']) {
    color-scheme: dark;
  }
  :host([hidden]),
  [hidden] {
    display: none !important;
  }
  *,
  *::before,
  *::after {
    box-sizing: border-box;
  }
  h1,
  h2,
  h3,
  p,
  ul,
  ol,
  dl,
  dd,
  fieldset,
  legend,
  pre {
    margin: 0;
    padding: 0;
    border: 0;
    min-inline-size: 0;
  }
  ul,
  ol {
    list-style: none;
  }
  code,
  .code,
  pre {
    font-family: var(--mono);
    font-size: 0.93em;
  }
  rally-key-list,
  rally-key-view,
  rally-audit-view,
  rally-policy-view,
  rally-usage-view {
    display: block;
  }
  .muted {
    color: var(--muted);
  }
  .small {
    font-size: 13px;
  }
  .long {
    overflow-wrap: anywhere;
    white-space: pre-line;
  }
  .visually-hidden {
    position: absolute;
    inline-size: 1px;
    block-size: 1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  .icon {
    flex: none;
    vertical-align: -0.15em;
  }
  time[title],
  span[title] {
    text-decoration: none;
  }
  :focus-visible {
    outline: 2px solid var(--accent);
    outline-offset: 2px;
  }
  .title:focus-visible,
  .dialog-title:focus-visible,
  .problem:focus-visible {
    outline: none;
  }

  /* Buttons, links, fields */
  button,
  input,
  select,
  textarea {
    font: inherit;
    color: inherit;
  }
  .button {
    display: inline-flex;
    align-items: center;
    justify-content: center;
    gap: 6px;
    min-block-size: 34px;
    padding: 5px 12px;
    border: 1px solid var(--border);
    border-radius: calc(var(--radius) - 2px);
    background: var(--surface);
    font-weight: 550;
    white-space: nowrap;
    cursor: pointer;
  }
  .button:hover:not(:disabled) {
    background: var(--sunken);
    border-color: var(--control);
  }
  .button.primary {
    background: var(--accent);
    border-color: var(--accent);
    color: var(--on-accent);
  }
  .button.primary:hover:not(:disabled) {
    background: color-mix(in oklab, var(--accent) 88%, var(--text));
  }
  .button.danger {
    background: light-dark(#c0262f, #ff9a9a);
    border-color: transparent;
    color: light-dark(#fff, #2a0c0d);
  }
  .button.danger:hover:not(:disabled) {
    background: light-dark(#a51d26, #ffb3b3);
  }
  .button.danger-quiet {
    color: var(--bad);
  }
  .button:disabled {
    cursor: default;
    background: var(--sunken);
    border-color: var(--border);
    color: color-mix(in oklab, var(--muted) 75%, var(--sunken));
  }
  .icon-button {
    display: inline-grid;
    place-items: center;
    inline-size: 32px;
    block-size: 32px;
    padding: 0;
    border: 0;
    border-radius: 6px;
    background: none;
    color: var(--muted);
    cursor: pointer;
  }
  .icon-button:hover {
    background: var(--sunken);
    color: var(--text);
  }
  .link {
    display: inline;
    padding: 0;
    border: 0;
    background: none;
    color: inherit;
    text-align: start;
    text-decoration: none;
    cursor: pointer;
  }
  .link:hover {
    text-decoration: underline;
    text-underline-offset: 3px;
  }
  a.plain-link {
    color: var(--accent);
  }
  input:where([type='text'], [type='search'], [type='password'], [type='number'], [type='date'], [type='datetime-local']),
  select,
  textarea {
    block-size: 36px;
    max-inline-size: 100%;
    padding: 5px 10px;
    border: 1px solid var(--control);
    border-radius: calc(var(--radius) - 2px);
    background: var(--surface);
  }
  textarea {
    block-size: auto;
    resize: vertical;
    display: block;
  }
  ::placeholder {
    color: var(--muted);
    opacity: 1;
  }
  [aria-invalid='true'] {
    border-color: var(--bad) !important;
    box-shadow: inset 0 0 0 1px var(--bad);
  }
  input[type='radio'],
  input[type='checkbox'] {
    accent-color: var(--accent);
    inline-size: 16px;
    block-size: 16px;
    margin: 2px 0 0;
    flex: none;
  }

  /* Views */
  .view-head {
    display: flex;
    flex-wrap: wrap;
    justify-content: space-between;
    align-items: flex-start;
    gap: 12px 24px;
    margin-block-end: 20px;
  }
  .view-head > div:first-child {
    flex: 1 1 260px;
    min-inline-size: 0;
  }
  .title {
    font-size: 22px;
    line-height: 1.3;
    font-weight: 650;
    letter-spacing: -0.01em;
    overflow-wrap: anywhere;
  }
  .title .badge {
    vertical-align: 3px;
    margin-inline-start: 6px;
    letter-spacing: 0;
  }
  .section-title {
    display: flex;
    align-items: center;
    gap: 8px;
    font-size: 14px;
    font-weight: 650;
  }
  .crumb {
    margin-block-end: 8px;
    color: var(--muted);
  }
  .actions {
    display: flex;
    flex-wrap: wrap;
    gap: 8px;
  }
  .slow {
    margin-block: 12px;
    color: var(--muted);
  }
  .card {
    margin-block-end: 16px;
    padding: 16px;
    border: 1px solid var(--border);
    border-radius: var(--radius);
    background: var(--surface);
  }
  .card > .section-title:not(:last-child) {
    margin-block-end: 12px;
  }
  .card-head {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    justify-content: space-between;
    gap: 8px;
    margin-block-end: 12px;
  }
  .columns {
    display: grid;
    grid-template-columns: minmax(0, 1fr) 300px;
    gap: 16px;
    align-items: start;
  }
  .column {
    min-inline-size: 0;
  }

  /* List */
  .filters {
    display: flex;
    flex-wrap: wrap;
    gap: 2px;
    border-block-end: 1px solid var(--border);
    margin-block-end: 12px;
  }
  .filter {
    padding: 7px 12px;
    margin-block-end: -1px;
    border: 0;
    border-block-end: 2px solid transparent;
    background: none;
    color: var(--muted);
    font-weight: 550;
    cursor: pointer;
  }
  .filter:hover {
    color: var(--text);
  }
  .filter[aria-pressed='true'] {
    color: var(--text);
    border-block-end-color: var(--accent);
  }
  .count {
    margin-inline-start: 4px;
    padding: 1px 7px;
    border-radius: 99px;
    background: var(--sunken);
    color: var(--muted);
    font-size: 12px;
    font-variant-numeric: tabular-nums;
  }
  .tools {
    display: flex;
    flex-wrap: wrap;
    gap: 10px;
    align-items: end;
    margin-block-end: 10px;
  }
  .search {
    position: relative;
    flex: 1 1 240px;
    color: var(--muted);
  }
  .search .icon {
    position: absolute;
    inset-inline-start: 10px;
    inset-block-start: 10px;
  }
  .search input {
    inline-size: 100%;
    padding-inline-start: 32px;
    color: var(--text);
  }
  .select {
    display: flex;
    flex-direction: column;
    gap: 2px;
    min-inline-size: 0;
  }
  .select label {
    font-size: 12px;
    color: var(--muted);
  }
  .chips {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 6px;
    margin-block-end: 14px;
  }
  .chips-label {
    margin-inline-end: 4px;
    font-size: 12px;
    color: var(--muted);
  }
  .chip {
    padding: 3px 6px 3px 10px;
    border: 1px solid var(--border);
    border-radius: 99px;
    background: var(--surface);
    font-size: 13px;
    cursor: pointer;
  }
  .chip:hover {
    border-color: var(--control);
  }
  .chip.none {
    color: var(--muted);
    background: none;
  }
  .chip[aria-pressed='true'] {
    background: var(--accent-soft);
    border-color: var(--accent);
  }
  .chip[aria-pressed='true'] .count {
    background: var(--surface);
  }
  .keys {
    inline-size: 100%;
    border-collapse: separate;
    border-spacing: 0;
    border: 1px solid var(--border);
    border-radius: var(--radius);
    background: var(--surface);
  }
  .keys.busy {
    border-block-start-color: var(--accent);
    cursor: progress;
  }
  .keys th,
  .keys td {
    padding: 10px 12px;
    text-align: start;
    vertical-align: top;
    font-weight: 400;
  }
  .keys thead th {
    padding-block: 6px;
    vertical-align: middle;
    background: var(--sunken);
    border-block-end: 1px solid var(--border);
    font-size: 12px;
    color: var(--muted);
    white-space: nowrap;
  }
  .keys thead th:first-child {
    border-start-start-radius: var(--radius);
  }
  .keys thead th:last-child {
    border-start-end-radius: var(--radius);
  }
  .key + .key > * {
    border-block-start: 1px solid var(--border);
  }
  .key {
    cursor: pointer;
  }
  .key:hover > * {
    background: color-mix(in oklab, var(--sunken) 70%, var(--surface));
  }
  .key:last-child > :first-child {
    border-end-start-radius: var(--radius);
  }
  .key:last-child > :last-child {
    border-end-end-radius: var(--radius);
  }
  .cell-name {
    min-inline-size: 220px;
    max-inline-size: 380px;
  }
  .key-name {
    font-weight: 600;
    overflow-wrap: anywhere;
  }
  .key.inactive .key-name {
    color: var(--muted);
  }
  .description {
    display: block;
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
    color: var(--muted);
  }
  .under {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 4px 8px;
    margin-block-start: 2px;
  }
  .hint {
    color: var(--muted);
    font-size: 12px;
  }
  .cell-created .creator {
    display: block;
    max-inline-size: 170px;
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
    font-size: 13px;
  }
  .keys td {
    white-space: nowrap;
  }
  .sort {
    padding: 2px 4px;
    margin-inline-start: -4px;
    border: 0;
    border-radius: 4px;
    background: none;
    color: inherit;
    cursor: pointer;
  }
  .sort:enabled:hover {
    color: var(--text);
  }
  .sort:disabled {
    cursor: default;
  }
  [aria-sort='ascending'] .sort::after {
    content: ' ↑';
  }
  [aria-sort='descending'] .sort::after {
    content: ' ↓';
  }
  [aria-sort='ascending'] .sort,
  [aria-sort='descending'] .sort {
    color: var(--text);
    font-weight: 600;
  }
  .pages {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    justify-content: flex-end;
    gap: 8px;
    margin-block-start: 12px;
  }
  .pages > :first-child {
    flex: 1;
    white-space: nowrap;
  }

  .badge,
  .mark,
  .scope {
    display: inline-block;
    padding: 0 8px;
    border-radius: 99px;
    font-size: 12px;
    line-height: 20px;
    font-weight: 550;
    white-space: nowrap;
  }
  .badge.active {
    background: var(--good-soft);
    color: var(--good);
  }
  .badge.suspended {
    background: var(--warn-soft);
    color: var(--warn);
  }
  .badge.expired,
  .badge.revoked {
    background: var(--sunken);
    color: var(--muted);
  }
  .badge.expired {
    background: var(--bad-soft);
    color: var(--bad);
  }
  .mark {
    background: var(--warn-soft);
    color: var(--warn);
  }
  .mark.quiet {
    background: var(--sunken);
    color: var(--muted);
  }
  .scope {
    padding: 0;
    border-radius: 0;
    font-size: 14px;
    font-weight: 400;
  }
  .scope.admin {
    color: var(--warn);
    font-weight: 550;
  }

  .spark {
    display: inline-flex;
    align-items: flex-end;
    gap: 8px;
  }
  .spark-base {
    stroke: var(--border);
  }
  .spark-bars {
    fill: var(--accent);
  }
  .spark-total {
    min-inline-size: 3ch;
    font-size: 12px;
    color: var(--muted);
    font-variant-numeric: tabular-nums;
  }
  .key.inactive .spark-bars {
    fill: var(--control);
  }

  .empty {
    max-inline-size: 560px;
    margin: 24px auto;
    padding: 32px;
    border: 1px dashed var(--control);
    border-radius: calc(var(--radius) + 4px);
    text-align: center;
  }
  .empty.small {
    border-style: solid;
    border-color: var(--border);
    padding: 28px;
  }
  .empty h2 {
    font-size: 17px;
    margin-block-end: 6px;
  }
  .empty-icon {
    display: inline-grid;
    place-items: center;
    inline-size: 44px;
    block-size: 44px;
    margin-block-end: 12px;
    border-radius: 50%;
    background: var(--accent-soft);
    color: var(--accent);
  }
  .empty ul {
    margin-block: 16px 20px;
    text-align: start;
    display: grid;
    gap: 8px;
  }
  .empty li {
    display: flex;
    gap: 8px;
  }
  .empty li .icon {
    color: var(--good);
    margin-block-start: 3px;
  }
  .empty .button {
    margin-block-start: 12px;
  }

  .skeleton {
    border: 1px solid var(--border);
    border-radius: var(--radius);
  }
  .skeleton-row {
    display: flex;
    gap: 24px;
    padding: 18px 12px;
  }
  .skeleton-row + .skeleton-row {
    border-block-start: 1px solid var(--border);
  }
  .skeleton-row span {
    flex: 1;
    block-size: 12px;
    border-radius: 4px;
    background: var(--sunken);
  }
  .skeleton-row span:first-child {
    flex: 2;
  }

  /* One key */
  .facts {
    display: grid;
    gap: 12px;
  }
  .facts dt {
    font-size: 12px;
    color: var(--muted);
  }
  .facts dd {
    overflow-wrap: anywhere;
  }
  .fact-hint {
    display: block;
    font-size: 13px;
    color: var(--muted);
  }
  .id-line {
    display: flex;
    align-items: center;
    gap: 4px;
  }
  .id {
    font-size: 12px;
  }
  .meter {
    display: block;
    appearance: none;
    inline-size: 100%;
    block-size: 6px;
    margin-block: 6px;
    border: 0;
    border-radius: 3px;
    overflow: hidden;
    background: var(--sunken);
    box-shadow: inset 0 0 0 1px var(--border);
  }
  .meter::-webkit-progress-bar {
    background: var(--sunken);
  }
  .meter::-webkit-progress-value {
    background: var(--accent);
  }
  .meter::-moz-progress-bar {
    background: var(--accent);
  }
  .rotation {
    border-color: var(--accent);
  }
  .rotation-state {
    display: flex;
    gap: 8px;
    margin-block-start: 4px;
    font-weight: 550;
  }
  .rotation-state .icon {
    margin-block-start: 3px;
  }
  .rotation-state.warn {
    color: var(--warn);
  }
  .rotation-state.good {
    color: var(--good);
  }
  .programs {
    margin-block-start: 10px;
    border-block-start: 1px solid var(--border);
  }
  .programs li {
    display: grid;
    grid-template-columns: 210px minmax(0, 1fr) auto;
    gap: 4px 12px;
    padding-block: 8px;
    border-block-end: 1px solid var(--border);
  }
  .programs li:last-child {
    border: 0;
    padding-block-end: 0;
  }
  .program-state.old {
    color: var(--warn);
  }
  .program-state.moved {
    color: var(--good);
  }
  .program-state.silent {
    color: var(--muted);
  }
  .program {
    display: inline-block;
    overflow-wrap: anywhere;
  }
  .plain .program {
    min-inline-size: 100px;
  }
  .plain .key-name {
    overflow-wrap: break-word;
  }

  .timeline {
    display: grid;
    gap: 14px;
  }
  .timeline li {
    display: grid;
    grid-template-columns: 10px minmax(0, 1fr);
    gap: 10px;
  }
  .timeline + .button {
    margin-block-start: 14px;
  }
  .dot {
    inline-size: 8px;
    block-size: 8px;
    margin-block-start: 7px;
    border-radius: 50%;
    background: var(--control);
  }
  .dot.good {
    background: var(--good);
  }
  .dot.bad {
    background: var(--bad);
  }
  .dot.warn {
    background: var(--warn);
  }
  .dot.accent {
    background: var(--accent);
  }

  .plain {
    inline-size: 100%;
    border-collapse: collapse;
  }
  .plain th,
  .plain td {
    padding: 6px 12px 6px 0;
    text-align: start;
    vertical-align: top;
    font-weight: 400;
  }
  .plain thead th {
    font-size: 12px;
    color: var(--muted);
    white-space: nowrap;
  }
  .plain tbody tr > * {
    border-block-start: 1px solid var(--border);
  }
  .plain .number {
    text-align: end;
    font-variant-numeric: tabular-nums;
  }
  .plain time,
  .plain code,
  .caller-list time {
    white-space: nowrap;
  }
  .scroll {
    overflow-x: auto;
  }
  .compare td,
  .compare th {
    min-inline-size: 90px;
    overflow-wrap: anywhere;
  }
  .compare .differs {
    font-weight: 600;
  }

  /* Charts */
  .chart-numbers {
    display: flex;
    gap: 24px;
    margin-block-end: 8px;
  }
  .big {
    font-size: 22px;
    font-weight: 650;
    font-variant-numeric: tabular-nums;
  }
  .refused {
    color: var(--bad);
  }
  .chart-frame {
    display: grid;
    grid-template-columns: auto minmax(0, 1fr);
    gap: 4px 8px;
  }
  .chart {
    inline-size: 100%;
    block-size: 160px;
    display: block;
  }
  .chart-scale {
    display: flex;
    flex-direction: column;
    justify-content: space-between;
    font-size: 12px;
    line-height: 1;
    text-align: end;
    color: var(--muted);
    font-variant-numeric: tabular-nums;
  }
  .chart-axis {
    grid-column: 2;
    display: flex;
    justify-content: space-between;
    gap: 8px;
    font-size: 12px;
    color: var(--muted);
  }
  .chart-grid {
    stroke: var(--border);
    vector-effect: non-scaling-stroke;
  }
  .bucket-back {
    fill: transparent;
  }
  .bucket.selected .bucket-back {
    fill: color-mix(in oklab, var(--accent) 14%, transparent);
  }
  .bar {
    fill: currentColor;
  }
  .bar.accepted,
  .swatch.accepted {
    color: var(--accent);
  }
  .bar.expired,
  .swatch.expired {
    color: light-dark(#a8324a, #ff8fa3);
  }
  .bar.scope,
  .swatch.scope {
    color: light-dark(#c77700, #f0b95b);
  }
  .bar.revoked,
  .swatch.revoked {
    color: light-dark(#c0262f, #ff6b6b);
  }
  .bar.suspended,
  .swatch.suspended {
    color: light-dark(#8d6e20, #cdb26a);
  }
  .bar.address,
  .swatch.address {
    color: light-dark(#8f3fa8, #d79aec);
  }
  .bar.rateLimit,
  .swatch.rateLimit {
    color: light-dark(#0d7a86, #63d1dd);
  }
  .bar.quota,
  .swatch.quota {
    color: light-dark(#5c6470, #aab3c2);
  }
  .chart-readout {
    min-block-size: 21px;
    margin-block: 8px;
    font-size: 13px;
    color: var(--muted);
  }
  .chart-readout b {
    color: var(--text);
  }
  .legend {
    display: flex;
    flex-wrap: wrap;
    gap: 4px 16px;
    font-size: 13px;
  }
  .swatch {
    display: inline-block;
    inline-size: 10px;
    block-size: 10px;
    margin-inline-end: 6px;
    border-radius: 2px;
    background: currentColor;
  }
  .chart-table {
    margin-block-start: 10px;
    font-size: 13px;
  }
  .chart-table summary {
    color: var(--muted);
    cursor: pointer;
  }
  .chart-table .scroll {
    max-block-size: 320px;
    overflow: auto;
  }

  /* Notes and problems */
  .note {
    display: flex;
    gap: 8px;
    margin-block: 12px;
    padding: 8px 12px;
    border-radius: calc(var(--radius) - 2px);
    background: var(--sunken);
  }
  .note.block {
    display: block;
  }
  .note .icon {
    margin-block-start: 3px;
  }
  .note.warn {
    background: var(--warn-soft);
  }
  .note.warn .icon {
    color: var(--warn);
  }
  .note.good {
    background: var(--good-soft);
  }
  .caller-list {
    margin-block-start: 4px;
    display: grid;
    gap: 2px;
  }
  .note .muted,
  .problem .muted {
    color: color-mix(in oklab, var(--muted) 70%, var(--text));
  }
  .problem {
    display: flex;
    gap: 10px;
    margin-block: 12px;
    padding: 12px 14px;
    border: 1px solid var(--bad);
    border-radius: var(--radius);
    background: var(--bad-soft);
    text-align: start;
  }
  .problem > .icon {
    margin-block-start: 3px;
    color: var(--bad);
  }
  .problem.warn {
    border-color: var(--warn);
    background: var(--warn-soft);
  }
  .problem.warn > .icon {
    color: var(--warn);
  }
  .problem-text {
    min-inline-size: 0;
    overflow-wrap: anywhere;
  }
  .problem-title {
    font-weight: 650;
  }
  .problem .button {
    margin-block-start: 8px;
    font-variant-numeric: tabular-nums;
  }
  .request-id {
    font-size: 12px;
    color: color-mix(in oklab, var(--muted) 70%, var(--text));
  }
  .problem-fields {
    list-style: disc;
    padding-inline-start: 18px;
  }

  /* Dialogs and forms */
  .dialog {
    inline-size: min(520px, 100vw - 24px);
    max-block-size: min(92vh, 900px);
    padding: 0;
    border: 1px solid var(--border);
    border-radius: calc(var(--radius) + 4px);
    background: var(--surface);
    color: var(--text);
    box-shadow: 0 16px 48px rgb(10 14 25 / 0.28);
    text-align: start;
  }
  .dialog.wide {
    inline-size: min(640px, 100vw - 24px);
  }
  .dialog[open] {
    display: flex;
    flex-direction: column;
  }
  .dialog::backdrop {
    background: rgb(10 14 25 / 0.45);
  }
  .dialog-head {
    display: flex;
    align-items: flex-start;
    justify-content: space-between;
    gap: 12px;
    padding: 16px 20px 8px;
  }
  .dialog-title {
    font-size: 17px;
    font-weight: 650;
    overflow-wrap: anywhere;
  }
  .dialog-body {
    padding: 0 20px 16px;
    overflow-y: auto;
  }
  .dialog-foot {
    display: flex;
    flex-wrap: wrap;
    justify-content: flex-end;
    gap: 8px;
    padding: 12px 20px;
    border-block-start: 1px solid var(--border);
  }
  .dialog-foot .confirm {
    flex: 1 1 260px;
    display: flex;
    gap: 8px;
    align-items: flex-start;
    padding-block: 5px;
  }
  .field {
    margin-block: 14px;
  }
  .field > label,
  .field > legend {
    display: block;
    margin-block-end: 4px;
    font-weight: 600;
  }
  .optional {
    font-weight: 400;
    font-size: 13px;
    color: var(--muted);
  }
  .field > input,
  .field > textarea {
    inline-size: 100%;
  }
  .hint-text {
    margin-block-start: 4px;
    font-size: 13px;
    color: var(--muted);
  }
  .field-error {
    display: flex;
    gap: 6px;
    margin-block-start: 4px;
    font-size: 13px;
    color: var(--bad);
  }
  .field-error .icon {
    margin-block-start: 2px;
  }
  .choices {
    border: 1px solid var(--border);
    border-radius: var(--radius);
  }
  .choice {
    display: flex;
    gap: 10px;
    padding: 9px 12px;
    cursor: pointer;
  }
  .choice + .choice {
    border-block-start: 1px solid var(--border);
  }
  .choice:has(:checked) {
    background: var(--accent-soft);
  }
  .choice b,
  .more b {
    font-weight: 600;
  }
  .choice-hint {
    display: block;
    font-size: 13px;
    color: color-mix(in oklab, var(--muted) 80%, var(--text));
  }
  .off {
    cursor: not-allowed;
  }
  .choice.off b {
    font-weight: 400;
    color: var(--muted);
  }
  .segments {
    display: flex;
    flex-wrap: wrap;
    gap: 6px;
  }
  .segment {
    position: relative;
    display: inline-flex;
    align-items: center;
    min-block-size: 34px;
    padding: 4px 12px;
    border: 1px solid var(--control);
    border-radius: calc(var(--radius) - 2px);
    background: var(--surface);
    cursor: pointer;
  }
  .segment input {
    position: absolute;
    inset: 0;
    inline-size: 100%;
    block-size: 100%;
    margin: 0;
    opacity: 0;
    cursor: inherit;
  }
  .segment:has(:checked),
  .segment[aria-pressed='true'] {
    border-color: var(--accent);
    background: var(--accent-soft);
    box-shadow: inset 0 0 0 1px var(--accent);
    font-weight: 550;
  }
  .segment:has(:focus-visible) {
    outline: 2px solid var(--accent);
    outline-offset: 2px;
  }
  .segment.off {
    border-style: dashed;
    border-color: var(--border);
    color: var(--muted);
    cursor: not-allowed;
    text-decoration: line-through;
  }
  .segments.small .segment {
    min-block-size: 28px;
    padding: 2px 9px;
    border-color: var(--border);
    font-size: 13px;
  }
  .segments.small .segment[aria-pressed='true'] {
    border-color: var(--accent);
  }
  .inline-field {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 8px;
    margin-block-start: 10px;
  }
  .pair {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 8px;
  }
  .pair .number {
    inline-size: 130px;
  }
  .more {
    margin-block: 14px;
    padding: 10px 12px;
    border: 1px solid var(--border);
    border-radius: var(--radius);
  }
  .more summary {
    cursor: pointer;
  }
  .steps {
    margin-block: 10px;
    padding-inline-start: 20px;
    list-style: decimal;
    color: var(--muted);
  }
  .suggestion {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    justify-content: space-between;
    gap: 8px;
    margin-block: 12px;
  }
  .suggestion > span {
    flex: 1 1 220px;
  }
  .secret {
    display: flex;
    flex-wrap: wrap;
    gap: 8px;
    margin-block: 12px 18px;
  }
  .secret input {
    flex: 1 1 260px;
    min-inline-size: 0;
    min-block-size: 40px;
    background: var(--sunken);
    font-size: 14px;
    text-overflow: ellipsis;
  }
  .secret .button {
    min-block-size: 40px;
  }
  .tabs {
    display: flex;
    gap: 2px;
    margin-block: 6px 0;
  }
  .tab {
    padding: 4px 10px;
    border: 0;
    border-block-end: 2px solid transparent;
    background: none;
    color: var(--muted);
    cursor: pointer;
  }
  .tab[aria-selected='true'] {
    color: var(--text);
    border-block-end-color: var(--accent);
    font-weight: 550;
  }
  .snippet {
    position: relative;
    border: 1px solid var(--border);
    border-radius: calc(var(--radius) - 2px);
    background: var(--sunken);
  }
  .snippet pre {
    overflow-x: auto;
    padding: 10px 44px 10px 12px;
    font-size: 12.5px;
    direction: ltr;
    text-align: left;
  }
  .snippet rally-copy-button {
    position: absolute;
    inset-block-start: 4px;
    inset-inline-end: 4px;
    background: var(--sunken);
  }

  /* Tenant views */
  .event-list {
    border: 1px solid var(--border);
    border-radius: var(--radius);
    background: var(--surface);
  }
  .event-list > li {
    display: grid;
    grid-template-columns: 10px minmax(0, 1fr) auto;
    gap: 4px 10px;
    padding: 11px 14px;
  }
  .event-list > li + li {
    border-block-start: 1px solid var(--border);
  }
  .event-when {
    text-align: end;
    font-size: 13px;
    color: var(--muted);
  }
  .rules {
    display: grid;
    grid-template-columns: repeat(2, minmax(0, 1fr));
    gap: 0 24px;
  }
  .rules .field {
    margin-block: 8px;
  }
  .rules .check {
    display: flex;
    gap: 8px;
  }
  .form-foot + .scroll {
    margin-block-start: 16px;
  }
  .event-when .link {
    color: var(--accent);
  }
  .form-foot {
    display: flex;
    flex-wrap: wrap;
    gap: 8px 16px;
    align-items: center;
    margin-block-start: 12px;
  }
  .verdict {
    display: flex;
    gap: 8px;
    align-items: flex-start;
    font-weight: 600;
  }
  .verdict .icon {
    margin-block-start: 3px;
  }
  .verdict.warn {
    color: var(--warn);
  }
  .verdict.good {
    color: var(--good);
  }

  /* A narrow page, or a narrow place in a page */
  @container (max-width: 860px) {
    .columns {
      grid-template-columns: minmax(0, 1fr);
    }
    .column.side {
      order: -1;
    }
    .side .facts {
      grid-template-columns: repeat(auto-fill, minmax(130px, 1fr));
    }
    .keys,
    .keys tbody,
    .keys tr,
    .keys th,
    .keys td {
      display: block;
    }
    .keys thead {
      display: none;
    }
    .key {
      display: grid !important;
      grid-template-columns: repeat(auto-fill, minmax(140px, 1fr));
      gap: 6px 12px;
      padding: 12px;
      position: relative;
    }
    .key + .key {
      border-block-start: 1px solid var(--border);
    }
    .key > *,
    .key + .key > * {
      border: 0 !important;
    }
    .keys th,
    .keys td {
      padding: 0;
    }
    .keys .cell-name {
      grid-column: 1 / -1;
      max-inline-size: none;
      padding-inline-end: 90px;
    }
    .keys .cell-status {
      position: absolute;
      inset-block-start: 12px;
      inset-inline-end: 12px;
    }
    .keys td:not(.cell-status)::before {
      content: attr(data-label);
      display: block;
      font-size: 12px;
      color: var(--muted);
    }
    .rules {
      grid-template-columns: minmax(0, 1fr);
    }
  }
  @container (max-width: 560px) {
    .tools .select {
      flex: 1 1 130px;
    }
    .tools .select select {
      inline-size: 100%;
    }
    .plain .spark-chart {
      display: none;
    }
    .plain thead th,
    .plain time {
      white-space: normal;
    }
    .filter {
      padding-inline: 8px;
      white-space: nowrap;
    }
    .actions {
      inline-size: 100%;
    }
    .actions .button {
      flex: 1 1 auto;
    }
    .programs li {
      grid-template-columns: minmax(0, 1fr);
    }
    .event-list > li {
      grid-template-columns: 10px minmax(0, 1fr);
    }
    .event-when {
      grid-column: 2;
      text-align: start;
    }
  }
  @media (max-width: 480px) {
    .dialog-head,
    .dialog-body,
    .dialog-foot {
      padding-inline: 14px;
    }
  }
  @media (prefers-reduced-motion: reduce) {
    * {
      transition: none !important;
    }
  }
  @media (forced-colors: active) {
    .segment:has(:checked),
    .segment[aria-pressed='true'],
    .filter[aria-pressed='true'],
    .chip[aria-pressed='true'] {
      outline: 2px solid Highlight;
    }
    .bar,
    .spark-bars {
      fill: CanvasText;
    }
  }
`;

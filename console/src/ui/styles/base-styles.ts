import { css } from 'lit';

/** Colors and sizes, which hosts set by the `--rally-…` properties; buttons, links, fields; views. */
export const baseStyles = css`
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
`;

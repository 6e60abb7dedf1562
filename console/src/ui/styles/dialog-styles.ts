import { css } from 'lit';

/** Dialogs and forms. */
export const dialogStyles = css`
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
`;

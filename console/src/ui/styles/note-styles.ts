import { css } from 'lit';

/** Notes and problems. */
export const noteStyles = css`
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
`;

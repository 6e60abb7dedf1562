import { css } from 'lit';

/** One key. */
export const keyStyles = css`
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
`;

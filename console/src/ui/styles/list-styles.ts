import { css } from 'lit';

/** The list of keys. */
export const listStyles = css`
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
`;

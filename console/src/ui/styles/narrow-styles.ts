import { css } from 'lit';

/** A narrow page, or a narrow place in a page; after all others. */
export const narrowStyles = css`
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

import { css } from 'lit';

/** Charts. */
export const chartStyles = css`
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
`;

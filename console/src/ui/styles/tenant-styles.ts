import { css } from 'lit';

/** The views of the tenant. */
export const tenantStyles = css`
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
`;

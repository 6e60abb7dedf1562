import { css } from 'lit';

/** The page around the views. */
export const shellStyles = css`
  :host {
    min-block-size: 100vh;
    background: var(--bg);
  }
  .skip {
    position: absolute;
    inset-inline-start: 8px;
    inset-block-start: -60px;
    z-index: 1;
    padding: 8px 14px;
    border: 0;
    border-radius: 6px;
    background: var(--accent);
    color: var(--on-accent);
  }
  .skip:focus {
    inset-block-start: 8px;
  }
  .bar {
    border-block-end: 1px solid var(--border);
    background: var(--surface);
  }
  .bar-in {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 0 24px;
    max-inline-size: 1200px;
    min-block-size: 54px;
    margin-inline: auto;
    padding-inline: 20px;
  }
  .brand {
    min-inline-size: 0;
    display: inline-flex;
    align-items: center;
    gap: 8px;
    font-weight: 650;
  }
  .brand .icon {
    color: var(--accent);
  }
  .nav {
    display: flex;
    gap: 4px;
    align-self: stretch;
    overflow-x: auto;
  }
  .nav-link {
    display: inline-flex;
    align-items: center;
    padding-inline: 10px;
    border-block: 2px solid transparent;
    color: var(--muted);
    text-decoration: none;
    font-weight: 550;
    white-space: nowrap;
  }
  .nav-link:hover {
    color: var(--text);
  }
  .nav-link:focus-visible {
    outline-offset: -2px;
  }
  .nav-link[aria-current] {
    color: var(--text);
    border-block-end-color: var(--accent);
  }
  .account {
    display: flex;
    align-items: center;
    gap: 12px;
    margin-inline-start: auto;
    min-inline-size: 0;
  }
  .who {
    max-inline-size: 220px;
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
    color: var(--muted);
  }
  .page {
    max-inline-size: 1200px;
    margin-inline: auto;
    padding: 24px 20px 64px;
  }
  .page:focus-visible {
    outline: none;
  }
  .entry {
    max-inline-size: 520px;
    margin: 8vh auto 0;
    padding: 24px;
  }
  .entry .title {
    margin-block-end: 10px;
  }
  .entry p {
    margin-block-end: 8px;
  }
  .entry pre {
    white-space: pre-wrap;
    margin-block: 4px 12px;
    font-size: 13px;
  }
  @media (max-width: 720px) {
    .bar-in {
      padding: 8px 14px 0;
    }
    .nav {
      order: 1;
      inline-size: 100%;
      min-block-size: 40px;
      margin-inline: -10px;
    }
    .nav-link {
      padding-inline: 9px;
    }
    .bar-in {
      gap: 0 12px;
    }
    .account {
      gap: 8px;
    }
    .who {
      max-inline-size: 30vw;
      font-size: 13px;
    }
    .page {
      padding: 16px 14px 48px;
    }
  }
`;

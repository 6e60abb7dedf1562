import { html, svg, type TemplateResult } from 'lit';

const paths = {
  close: 'M4 4l8 8M12 4l-8 8',
  plus: 'M8 3v10M3 8h10',
  search: 'M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.5 10.5L14 14',
  copy: 'M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z',
  check: 'M3 8.5l3.5 3.5L13 4.5',
  back: 'M10 3L5 8l5 5',
  forward: 'M6 3l5 5-5 5',
  warning: 'M8 2L1.5 13.5h13zM8 6.5v3.5M8 11.8v.2',
  info: 'M8 14.5a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM8 7.3v4M8 4.8v.2',
  offline: 'M2 2l12 12M4.7 9.2A5 5 0 0 1 8 8m3.3 1.2a5 5 0 0 0-.8-.6M2.2 6.6A8.5 8.5 0 0 1 5 4.9M13.800 6.600A8.500 8.500 0 0 0 7.500 4.200M8 12.500v.200',
  key: 'M10.500 9a3.800 3.800 0 1 0-3.600-2.600L2 11.300V14h2.700v-1.600h1.600v-1.600h1.600l.900-.900c.500.100 1.100.100 1.700.100zM11.300 4.700v.100',
  rotate: 'M13.500 3v3.500H10M2.500 13V9.500H6M3.300 6.200a5 5 0 0 1 9-1.200l1.200 1.500M12.700 9.800a5 5 0 0 1-9 1.200L2.500 9.500',
  pause: 'M5.500 3.500v9M10.500 3.500v9',
  play: 'M5 3l8 5-8 5z',
  edit: 'M3 13l.700-3L10.800 2.900l2.300 2.300L6 12.300z',
  trash: 'M3 4.500h10M6.500 4.500v-2h3v2M4.500 4.500l.600 9h5.800l.600-9',
  download: 'M8 2.500v8M4.500 7.500L8 11l3.500-3.500M3 13.500h10',
} as const;

export type IconName = keyof typeof paths;

/** Decoration: the text beside it, or the button's label, says what it means. */
export const icon = (name: IconName): TemplateResult =>
  html`<svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
    ${svg`<path d=${paths[name]} fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round"/>`}
  </svg>`;
